"""Checked expressions, compiled to the engine's own."""

import ast
import functools
import operator
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from evaluator.spec.data_expression import Expression, column_of

if TYPE_CHECKING:
    import polars as pl

COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
#: Years and the like, as the engine names them.
PARTS_OF_TIME: Final = ("year", "month", "day", "weekday", "hour")


def compile_expression(expression: Expression) -> "pl.Expr":
    """Turn a checked expression into the engine's.

    Numbers are computed as floats, so that no integer overflows in silence; a division by zero
    and anything else that is not a finite number is missing.

    Parameters
    ----------
    expression
        From `evaluator.spec.data_expression.parse_expression`.

    Returns
    -------
    polars.Expr
        Null in rows where something that it needs is missing.
    """
    import polars as pl

    value: pl.Expr = _Compiler(pl).value(expression.tree)
    if not expression.needed:
        return value
    present = pl.all_horizontal(pl.col(name).is_not_null() for name in sorted(expression.needed))
    return pl.when(present).then(value).otherwise(None)


class _Compiler:
    def __init__(self, engine: Any) -> None:
        self.pl = engine

    def value(self, node: ast.expr) -> Any:  # noqa: PLR0911 - one way out a kind of node
        name = column_of(node)
        if name is not None:
            return self.pl.col(name)
        if isinstance(node, ast.Constant):
            return self.pl.lit(node.value)
        if isinstance(node, ast.BoolOp):
            join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
            return functools.reduce(join, [self.value(part) for part in node.values])
        if isinstance(node, ast.UnaryOp):
            return self.unary(node)
        if isinstance(node, ast.BinOp):
            return self.arithmetic(node)
        if isinstance(node, ast.Compare):
            return self.comparison(node)
        if isinstance(node, ast.Call):
            return self.call(node)
        raise AssertionError(f"unchecked node {ast.dump(node)}")

    def unary(self, node: ast.UnaryOp) -> Any:
        operand = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return ~operand
        return operand * -1 if isinstance(node.op, ast.USub) else operand

    def arithmetic(self, node: ast.BinOp) -> Any:
        left = self.value(node.left).cast(self.pl.Float64)
        right = self.value(node.right).cast(self.pl.Float64)
        operators: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
            ast.Add: operator.add,
            ast.Sub: operator.sub,
            ast.Mult: operator.mul,
            ast.Div: operator.truediv,
            ast.FloorDiv: operator.floordiv,
            ast.Mod: operator.mod,
        }
        result = operators[type(node.op)](left, right)
        return self.pl.when(result.is_finite()).then(result).otherwise(None)

    def comparison(self, node: ast.Compare) -> Any:
        parts = []
        left = node.left
        for how, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(how, ast.In | ast.NotIn):
                values = [ast.literal_eval(item) for item in getattr(right, "elts", [])]
                found = self.value(left).is_in(values)
                parts.append(~found if isinstance(how, ast.NotIn) else found)
            else:
                parts.append(COMPARISONS[type(how)](self.value(left), self.value(right)))
            left = right
        return functools.reduce(operator.and_, parts)

    def call(self, node: ast.Call) -> Any:  # noqa: PLR0911 - one way out a function
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "is_missing":
            return self.pl.col(column_of(node.args[0])).is_null()
        if name == "date" and isinstance(node.args[0], ast.Constant):
            return self.pl.lit(date.fromisoformat(str(node.args[0].value)))
        first = self.value(node.args[0])
        if name == "abs":
            return first.abs()
        if name == "round":
            places = ast.literal_eval(node.args[1])
            return first.cast(self.pl.Float64).round(places)
        if name in ("starts_with", "ends_with"):
            return getattr(first.str, name)(self.value(node.args[1]))
        if name == "length":
            return first.str.len_chars().cast(self.pl.Int64)
        if name in ("lower", "upper"):
            return getattr(first.str, f"to_{name}case")()
        if name == "date":
            return first.dt.date()
        if name in PARTS_OF_TIME:
            return getattr(first.dt, name)().cast(self.pl.Int64)
        raise AssertionError(f"unchecked function {name}")
