"""The small expression language of row rules and derived columns.

An expression reads like Python, and is never run as Python: it is parsed to a syntax tree, each
node is held against a list of what is allowed, and its kinds are checked before any data is seen.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

Kind = Literal["number", "text", "boolean", "date", "timestamp"]

_MAX_LENGTH: Final = 1_000
_MAX_NESTING: Final = 50
_MAX_ROUND_DIGITS: Final = 15
"""A float has no more."""

_ARITHMETIC: Final = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_ORDERINGS: Final = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)

_FUNCTIONS: Final[dict[str, tuple[tuple[tuple[Kind, ...], ...], Kind]]] = {
    "abs": ((("number",),), "number"),
    "round": ((("number",), ("number",)), "number"),
    "length": ((("text",),), "number"),
    "lower": ((("text",),), "text"),
    "upper": ((("text",),), "text"),
    "number": ((("text",),), "number"),
    "replace": ((("text",), ("text",), ("text",)), "text"),
    "starts_with": ((("text",), ("text",)), "boolean"),
    "ends_with": ((("text",), ("text",)), "boolean"),
    "year": ((("date", "timestamp"),), "number"),
    "month": ((("date", "timestamp"),), "number"),
    "day": ((("date", "timestamp"),), "number"),
    "weekday": ((("date", "timestamp"),), "number"),
    "hour": ((("timestamp",),), "number"),
    "date": ((("text", "timestamp"),), "date"),
}
"""Function name to the kinds that each argument may be of, and the kind of its value."""


@dataclass(frozen=True)
class Expression:
    """An expression that has been checked.

    Parameters
    ----------
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
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"an expression has at most {_MAX_LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise ValueError(f"`{text}` is not an expression: {reason}") from error
    checker = _Checker(text, kinds)
    kind = checker.kind(tree, 0)
    return Expression(
        tree=tree,
        columns=frozenset(checker.columns),
        needed=frozenset(checker.needed - checker.may_be_missing),
        kind=kind,
    )


def column_of(node: ast.expr) -> str | None:
    """Name the column that a node stands for: `name`, or `column("any name")`.

    Returns
    -------
    str or None
        None when the node is not a column.
    """
    match node:
        case ast.Name(id=name):
            return name
        case ast.Call(
            func=ast.Name(id="column"), args=[ast.Constant(value=str(name))], keywords=[]
        ):
            return name
    return None


class _Checker:
    """Walks a tree once; finds each node's kind and the columns that are read."""

    def __init__(self, text: str, kinds: Mapping[str, Kind]) -> None:
        self.text = text
        self.kinds = kinds
        self.columns: set[str] = set()
        self.needed: set[str] = set()
        self.may_be_missing: set[str] = set()

    def kind(self, node: ast.expr, depth: int) -> Kind:
        """Return the kind of a node's value, or refuse the node."""
        if depth > _MAX_NESTING:
            raise self.refusal("it is nested too deeply")
        name = column_of(node)
        if name is not None:
            self.needed.add(name)
            return self.column(name)
        match node:
            case ast.Constant():
                kind = self.constant(node)
            case ast.BoolOp():
                kind = self.logic(node, depth + 1)
            case ast.UnaryOp():
                kind = self.unary(node, depth + 1)
            case ast.BinOp():
                kind = self.arithmetic(node, depth + 1)
            case ast.Compare():
                kind = self.comparison(node, depth + 1)
            case ast.Call():
                kind = self.call(node, depth + 1)
            case _:
                raise self.refusal(f"`{ast.unparse(node)}` is not part of the language")
        return kind

    def refusal(self, reason: str) -> ValueError:
        return ValueError(f"in `{self.text}`: {reason}")

    def column(self, name: str) -> Kind:
        if name not in self.kinds:
            known = ", ".join(sorted(self.kinds)) or "none"
            raise self.refusal(f"there is no column `{name}` to use here; there are: {known}")
        self.columns.add(name)
        return self.kinds[name]

    def constant(self, node: ast.Constant) -> Kind:
        value = node.value
        if isinstance(value, bool):
            return "boolean"
        if isinstance(value, int | float):
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise self.refusal(f"the number {value} has more than 64 bits")
            return "number"
        if isinstance(value, str):
            return "text"
        raise self.refusal(f"`{ast.unparse(node)}` is neither a number, a text nor True or False")

    def logic(self, node: ast.BoolOp, depth: int) -> Kind:
        for operand in node.values:
            self.expect(operand, ("boolean",), depth)
        return "boolean"

    def unary(self, node: ast.UnaryOp, depth: int) -> Kind:
        if isinstance(node.op, ast.Not):
            return self.expect(node.operand, ("boolean",), depth)
        if isinstance(node.op, ast.USub | ast.UAdd):
            return self.expect(node.operand, ("number",), depth)
        raise self.refusal(f"`{ast.unparse(node)}` is not part of the language")

    def arithmetic(self, node: ast.BinOp, depth: int) -> Kind:
        if not isinstance(node.op, _ARITHMETIC):
            raise self.refusal(f"`{ast.unparse(node)}` uses an operator that is not + - * / // %")
        self.expect(node.left, ("number",), depth)
        return self.expect(node.right, ("number",), depth)

    def expect(self, node: ast.expr, kinds: tuple[Kind, ...], depth: int) -> Kind:
        """Return the kind of a node's value, or refuse one of any other kind than these."""
        kind = self.kind(node, depth)
        if kind not in kinds:
            raise self.refusal(f"`{ast.unparse(node)}` is a {kind}, not a {' or '.join(kinds)}")
        return kind

    def comparison(self, node: ast.Compare, depth: int) -> Kind:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.In | ast.NotIn):
                self.membership(left, right, depth)
            elif isinstance(operator, (*_ORDERINGS, ast.Eq, ast.NotEq)):
                self.same_kind(left, right, operator, depth)
            else:
                raise self.refusal("compare with ==, !=, <, <=, >, >=, in or not in")
            left = right
        return "boolean"

    def membership(self, left: ast.expr, right: ast.expr, depth: int) -> None:
        if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not right.elts:
            raise self.refusal("after `in` stands a list of values, such as ['a', 'b']")
        kind = self.kind(left, depth)
        for element in right.elts:
            if not isinstance(element, ast.Constant) or self.kind(element, depth) != kind:
                raise self.refusal(f"`{ast.unparse(element)}` in the list is not a {kind}")

    def same_kind(self, left: ast.expr, right: ast.expr, operator: ast.cmpop, depth: int) -> None:
        left_kind, right_kind = self.kind(left, depth), self.kind(right, depth)
        if left_kind != right_kind:
            raise self.refusal(
                f"a {left_kind} (`{ast.unparse(left)}`) is compared with a {right_kind} "
                f"(`{ast.unparse(right)}`)"
            )
        if left_kind == "boolean" and isinstance(operator, _ORDERINGS):
            raise self.refusal("True and False have no order")

    def call(self, node: ast.Call, depth: int) -> Kind:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if node.keywords:
            raise self.refusal(f"`{name}` takes no named arguments")
        if name == "is_missing":
            column = column_of(node.args[0]) if len(node.args) == 1 else None
            if column is None:
                raise self.refusal("`is_missing` takes one column")
            self.may_be_missing.add(column)
            self.column(column)
            return "boolean"
        if name not in _FUNCTIONS:
            known = ", ".join([*_FUNCTIONS, "is_missing", "column"])
            raise self.refusal(f"there is no function `{name}`; there are: {known}")
        argument_kinds, kind = _FUNCTIONS[name]
        if len(node.args) != len(argument_kinds):
            raise self.refusal(
                f"`{name}` takes {len(argument_kinds)} argument(s), not {len(node.args)}"
            )
        for argument, kinds in zip(node.args, argument_kinds, strict=True):
            self.expect(argument, kinds, depth)
        if name == "round":
            self.check_digits(node.args[1])
        if name == "date":
            self.check_date(node.args[0])
        return kind

    def check_digits(self, node: ast.expr) -> None:
        """Refuse a number of digits that is not the same for all rows."""
        if not (
            isinstance(node, ast.Constant)
            and isinstance(node.value, int)
            and 0 <= node.value <= _MAX_ROUND_DIGITS
        ):
            raise self.refusal(
                f"the second argument of `round` is a number of places, 0 to {_MAX_ROUND_DIGITS}"
            )

    def check_date(self, node: ast.expr) -> None:
        """Refuse what could be no date in some row: all but a timestamp, or a date written out."""
        if isinstance(node, ast.Constant):
            text = str(node.value)
            try:
                date.fromisoformat(text)
            except ValueError as error:
                raise self.refusal(f"'{text}' is not a date as 2013-11-30") from error
        elif self.kinds.get(column_of(node) or "") != "timestamp":
            raise self.refusal("`date` takes a timestamp column, or a date as '2013-11-30'")
