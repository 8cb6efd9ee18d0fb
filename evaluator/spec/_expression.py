"""The small expression language of row rules and derived columns.

An expression reads like Python, and is never run as Python: it is parsed to a syntax tree, each
node is held against a list of what is allowed, and its kinds are checked before any data is seen.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

Kind = Literal["number", "text", "boolean", "date", "timestamp"]

MAX_EXPRESSION_LENGTH: Final = 1_000
MAX_NESTING: Final = 50

ARITHMETIC: Final = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
ORDERINGS: Final = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)

#: Function name to the kinds of its arguments and the kind of its value.
FUNCTIONS: Final[dict[str, tuple[tuple[tuple[Kind, ...], ...], Kind]]] = {
    "abs": ((("number",),), "number"),
    "round": ((("number",), ("number",)), "number"),
    "length": ((("text",),), "number"),
    "lower": ((("text",),), "text"),
    "upper": ((("text",),), "text"),
    "starts_with": ((("text",), ("text",)), "boolean"),
    "ends_with": ((("text",), ("text",)), "boolean"),
    "year": ((("date", "timestamp"),), "number"),
    "month": ((("date", "timestamp"),), "number"),
    "day": ((("date", "timestamp"),), "number"),
    "weekday": ((("date", "timestamp"),), "number"),
    "hour": ((("timestamp",),), "number"),
    "date": ((("text", "timestamp"),), "date"),
}


@dataclass(frozen=True)
class Expression:
    """An expression that has been checked.

    Parameters
    ----------
    text
        As it was written.
    tree
        Its syntax tree; every node in it is on the list of what is allowed.
    columns
        The columns that it reads.
    needed
        Those of the columns whose absence in a row leaves the expression without a value:
        all but the ones that it asks about with `is_missing(...)`.
    kind
        The kind of its value.
    """

    text: str
    tree: ast.expr
    columns: frozenset[str]
    needed: frozenset[str]
    kind: Kind


def parse_expression(text: str, kinds: Mapping[str, Kind]) -> Expression:
    """Parse and check an expression.

    Parameters
    ----------
    text
        For example `arrival_delay > 15 and not is_missing(carrier)`.
    kinds
        The columns that it may name, and their kinds.

    Returns
    -------
    Expression
        Checked: computing it over rows cannot fail.

    Raises
    ------
    ValueError
        When it is not of the language; the message says where and why.
    """
    if len(text) > MAX_EXPRESSION_LENGTH:
        raise ValueError(f"an expression has at most {MAX_EXPRESSION_LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        why = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise ValueError(f"`{text}` is not an expression: {why}") from error
    checker = _Checker(text, kinds)
    kind = checker.kind(tree, 0)
    return Expression(
        text=text,
        tree=tree,
        columns=frozenset(checker.columns),
        needed=frozenset(checker.needed - checker.asked),
        kind=kind,
    )


def column_of(node: ast.expr) -> str | None:
    """Name the column that a node stands for: `name`, or `column("any name")`.

    Parameters
    ----------
    node
        A node of a checked tree.

    Returns
    -------
    str or None
        None when the node is not a column.
    """
    if isinstance(node, ast.Name):
        return node.id
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "column"
        and len(node.args) == 1
        and not node.keywords
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ):
        return node.args[0].value
    return None


class _Checker:
    """Walks a tree once; finds each node's kind and the columns that are read."""

    def __init__(self, text: str, kinds: Mapping[str, Kind]) -> None:
        self.text = text
        self.kinds = kinds
        self.columns: set[str] = set()
        self.needed: set[str] = set()
        self.asked: set[str] = set()

    def refuse(self, why: str) -> ValueError:
        return ValueError(f"in `{self.text}`: {why}")

    def kind(self, node: ast.expr, depth: int) -> Kind:
        if depth > MAX_NESTING:
            raise self.refuse("it is nested too deeply")
        name = column_of(node)
        if name is not None:
            self.needed.add(name)
            return self.column(name)
        for node_type, check in self.checks().items():
            if isinstance(node, node_type):
                return check(node, depth + 1)
        raise self.refuse(f"`{ast.unparse(node)}` is not part of the language")

    def checks(self) -> "dict[type[ast.expr], Callable[..., Kind]]":
        return {
            ast.Constant: self.constant,
            ast.BoolOp: self.logic,
            ast.UnaryOp: self.unary,
            ast.BinOp: self.arithmetic,
            ast.Compare: self.comparison,
            ast.Call: self.call,
        }

    def column(self, name: str) -> Kind:
        if name not in self.kinds:
            known = ", ".join(sorted(self.kinds)) or "none"
            raise self.refuse(f"there is no column `{name}` to use here; there are: {known}")
        self.columns.add(name)
        return self.kinds[name]

    def constant(self, node: ast.Constant, _depth: int) -> Kind:
        value = node.value
        if isinstance(value, bool):
            return "boolean"
        if isinstance(value, int | float):
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise self.refuse(f"the number {value} has more than 64 bits")
            return "number"
        if isinstance(value, str):
            return "text"
        raise self.refuse(f"`{ast.unparse(node)}` is neither a number, a text nor True or False")

    def logic(self, node: ast.BoolOp, depth: int) -> Kind:
        for part in node.values:
            self.expect(part, ("boolean",), depth)
        return "boolean"

    def unary(self, node: ast.UnaryOp, depth: int) -> Kind:
        if isinstance(node.op, ast.Not):
            return self.expect(node.operand, ("boolean",), depth)
        if isinstance(node.op, ast.USub | ast.UAdd):
            return self.expect(node.operand, ("number",), depth)
        raise self.refuse(f"`{ast.unparse(node)}` is not part of the language")

    def arithmetic(self, node: ast.BinOp, depth: int) -> Kind:
        if not isinstance(node.op, ARITHMETIC):
            raise self.refuse(f"`{ast.unparse(node)}` uses an operator that is not + - * / // %")
        self.expect(node.left, ("number",), depth)
        self.expect(node.right, ("number",), depth)
        return "number"

    def comparison(self, node: ast.Compare, depth: int) -> Kind:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.In | ast.NotIn):
                self.membership(left, right, depth)
            elif isinstance(operator, (*ORDERINGS, ast.Eq, ast.NotEq)):
                self.same_kind(left, right, operator, depth)
            else:
                raise self.refuse("compare with ==, !=, <, <=, >, >=, in or not in")
            left = right
        return "boolean"

    def membership(self, left: ast.expr, right: ast.expr, depth: int) -> None:
        if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not right.elts:
            raise self.refuse("after `in` stands a list of values, such as ['a', 'b']")
        kind = self.kind(left, depth)
        for element in right.elts:
            if not isinstance(element, ast.Constant) or self.kind(element, depth) != kind:
                raise self.refuse(f"`{ast.unparse(element)}` in the list is not a {kind}")

    def same_kind(self, left: ast.expr, right: ast.expr, operator: ast.cmpop, depth: int) -> None:
        kinds = (self.kind(left, depth), self.kind(right, depth))
        if kinds[0] != kinds[1]:
            raise self.refuse(
                f"a {kinds[0]} (`{ast.unparse(left)}`) is compared with a {kinds[1]} "
                f"(`{ast.unparse(right)}`)"
            )
        if kinds[0] == "boolean" and isinstance(operator, ORDERINGS):
            raise self.refuse("True and False have no order")

    def call(self, node: ast.Call, depth: int) -> Kind:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if node.keywords:
            raise self.refuse(f"`{name}` takes no named arguments")
        if name == "is_missing":
            column = column_of(node.args[0]) if len(node.args) == 1 else None
            if column is None:
                raise self.refuse("`is_missing` takes one column")
            self.asked.add(column)
            self.column(column)
            return "boolean"
        if name not in FUNCTIONS:
            known = ", ".join([*FUNCTIONS, "is_missing", "column"])
            raise self.refuse(f"there is no function `{name}`; there are: {known}")
        allowed, value = FUNCTIONS[name]
        if len(node.args) != len(allowed):
            raise self.refuse(f"`{name}` takes {len(allowed)} argument(s), not {len(node.args)}")
        for argument, kinds in zip(node.args, allowed, strict=True):
            self.expect(argument, kinds, depth)
        self.constants(name, node.args)
        return value

    def constants(self, name: str, arguments: list[ast.expr]) -> None:
        """Check the arguments that must be written out, since they are fixed for all rows."""
        if name == "round":
            places = arguments[1]
            if not (
                isinstance(places, ast.Constant)
                and isinstance(places.value, int)
                and 0 <= places.value <= 15  # noqa: PLR2004 - a float has no more digits
            ):
                raise self.refuse("the second argument of `round` is a number of places, 0 to 15")
        if name == "date" and isinstance(arguments[0], ast.Constant):
            self.written_date(str(arguments[0].value))
        elif name == "date" and not self.is_timestamp(arguments[0]):
            raise self.refuse("`date` takes a timestamp column, or a date as '2013-11-30'")

    def is_timestamp(self, node: ast.expr) -> bool:
        name = column_of(node)
        return name is not None and self.kinds.get(name) == "timestamp"

    def written_date(self, text: str) -> None:
        try:
            date.fromisoformat(text)
        except ValueError as error:
            raise self.refuse(f"'{text}' is not a date as 2013-11-30") from error

    def expect(self, node: ast.expr, kinds: tuple[Kind, ...], depth: int) -> Kind:
        kind = self.kind(node, depth)
        if kind not in kinds:
            raise self.refuse(f"`{ast.unparse(node)}` is a {kind}, not a {' or '.join(kinds)}")
        return kind
