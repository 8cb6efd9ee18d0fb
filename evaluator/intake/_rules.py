"""The rules of an audit's data: as checks over a frame of typed rows, and over a whole day."""

import ast
import functools
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from itertools import starmap
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from evaluator.errors import IntakeError
from evaluator.intake._profile import BrokenRule, ColumnStatistics
from evaluator.intake._typing import engine_type
from evaluator.spec import ColumnSpec, DataSpec, Expression, Severity, column_of, parse_expression

if TYPE_CHECKING:
    import polars as pl

#: The prefix of a column of texts that stands beside its column of values; no YAML key has it.
TEXT: Final = "\0text of "
#: The same of a column that says what is wrong with the hours of a zone's clocks.
CLOCK: Final = "\0clock of "
CLOCK_RULES: Final = {
    "ambiguous": ("is an hour that the clocks repeat", "`ambiguous: earlier` or `later` chooses"),
    "gap": ("is an hour that the clocks skip", "`gap: forward` or `backward` moves it"),
}
ARTICLES: Final = {"integer": "an integer"}
COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
TEXT_FUNCTIONS: Final = (
    *("number", "replace", "length", "lower", "upper", "starts_with", "ends_with"),
)
#: Years and the like, as the engine names them.
_ALWAYS: Final = ("type", *CLOCK_RULES)
PARTS_OF_TIME: Final = ("year", "month", "day", "weekday", "hour")


@dataclass(frozen=True)
class Rule:
    """One rule over rows."""

    #: None for a rule over several columns.
    column: str | None
    rule: str
    severity: Severity
    #: Words that follow the value.
    says: str
    #: The columns whose values are shown of a row that breaks it.
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Check(Rule):
    """A rule that each row keeps or breaks by itself."""

    #: True in rows that break the rule; null counts as kept.
    violated: "pl.Expr"


def all_checks(data: DataSpec) -> list[Check]:
    """Return every check over single rows: the columns' in declared order, then the row rules'."""
    checks: list[Check] = []
    for name, column in data.columns.items():
        is_id = name in data.id_columns
        found = column_checks(name, column, is_id=is_id)
        if column.when is not None:
            # What is of no type is wrong under any condition, and a row needs its id.
            always = (*_ALWAYS, "required") if is_id else _ALWAYS
            condition = compile_expression(parse_expression(column.when, data.kinds))
            found = [
                check
                if check.rule in always
                else replace(check, violated=check.violated & condition)
                for check in found
            ]
        checks += found
    return checks + row_checks(data)


def column_checks(name: str, column: ColumnSpec, *, is_id: bool) -> list[Check]:
    """Return the checks that a column declares."""

    def check(rule: str, says: str, violated: "pl.Expr") -> Check:
        always = rule in _ALWAYS or (is_id and rule == "required")
        severity: Severity = "refuse" if always else column.severity
        return Check(name, rule, severity, says, (name,), violated)

    found = [*_type_checks(name, column)]
    if column.required or is_id:
        found.append(("required", "is missing", _is_missing(name, column)))
    return list(starmap(check, [*found, *_limits(name, column)]))


def _type_checks(name: str, column: ColumnSpec) -> "Iterator[tuple[str, str, pl.Expr]]":
    """Yield what a value breaks that is none of the column's type."""
    import polars as pl

    if column.derive is not None or column.kind == "text":
        return
    wrong = pl.col(name).is_null() & pl.col(TEXT + name).is_not_null()
    if column.time_zone is not None:
        clock = pl.col(CLOCK + name)
        for fault, (says, mend) in CLOCK_RULES.items():
            yield fault, f"{says} in {column.time_zone}; {mend}", clock == fault
        wrong &= clock.is_null()
    article = ARTICLES.get(column.type, f"a {column.type}")
    yield "type", f"is not {article}{_type_description(column)}", wrong


def _is_missing(name: str, column: ColumnSpec) -> "pl.Expr":
    import polars as pl

    value = pl.col(name)
    if column.derive is not None or column.kind == "text":
        return value.is_null()
    return value.is_null() & pl.col(TEXT + name).is_null()


def _limits(name: str, column: ColumnSpec) -> "Iterator[tuple[str, str, pl.Expr]]":
    """Yield what a value breaks that may not be what it is."""
    import polars as pl

    value = pl.col(name)
    if column.allowed is not None:
        yield "allowed", "is not an allowed value", ~value.is_in(_listed(column))
    if column.minimum is not None:
        yield "minimum", f"is below {column.minimum}", value < _limit(column, column.minimum)
    if column.maximum is not None:
        yield "maximum", f"is above {column.maximum}", value > _limit(column, column.maximum)
    shortest, longest = column.minimum_length, column.maximum_length
    if shortest is not None:
        short = value.str.len_chars() < shortest
        yield "minimum_length", f"has fewer than {shortest} characters", short
    if longest is not None:
        long = value.str.len_chars() > longest
        yield "maximum_length", f"has more than {longest} characters", long
    if column.pattern is not None:
        matched = value.str.contains(_whole(f"columns.{name}.pattern", column.pattern))
        yield "pattern", f"does not match {column.pattern}", ~matched
    if column.not_pattern is not None:
        matched = value.str.contains(_whole(f"columns.{name}.not_pattern", column.not_pattern))
        yield "not_pattern", f"matches {column.not_pattern}", matched


def _type_description(column: ColumnSpec) -> str:
    if column.formats is not None:
        return f" as {' or '.join(column.formats)}"
    if column.type == "decimal":
        return f" of {column.precision} digits with at most {column.scale} after the point"
    return f" in {column.time_zone}" if column.time_zone else ""


def _listed(column: ColumnSpec) -> "pl.Expr":
    """Return allowed values of the type that the column's values have."""
    import polars as pl

    values: list[Any] = list(column.allowed or ())
    dtype: Any = engine_type(column)
    if column.kind == "timestamp":
        values = [_timestamp_literal(column, value) for value in values]
    elif column.type == "decimal":
        values = [Decimal(str(value)) for value in values]
    elif column.kind == "number":
        # An integer column is compared with integers exactly, also beyond 2**53.
        dtype = pl.Int64 if all(isinstance(value, int) for value in values) else pl.Float64
    return pl.lit(pl.Series(values, dtype=dtype).implode())


def _limit(column: ColumnSpec, limit: Any) -> Any:
    """Return a limit that the engine compares with the column's values."""
    import polars as pl

    if column.type == "date" and isinstance(limit, datetime):
        return limit.date()
    if column.type == "timestamp":
        return pl.lit(_timestamp_literal(column, limit), dtype=pl.Datetime("us", column.time_zone))
    if column.type == "decimal":
        return pl.lit(Decimal(str(limit)))
    return limit


def _timestamp_literal(column: ColumnSpec, limit: date) -> datetime:
    """Read a declared date or time as an instant of the column: in its zone, or in none."""
    moment = limit if isinstance(limit, datetime) else datetime.combine(limit, time())
    if column.time_zone is None:
        return moment.replace(tzinfo=None)
    zone = ZoneInfo(column.time_zone)
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def _whole(key: str, pattern: str) -> str:
    """Anchor a declared pattern, and see that the engine can use it."""
    import polars as pl

    anchored = f"^(?:{pattern})$"
    try:
        pl.Series([""]).str.contains(anchored)
    except pl.exceptions.ComputeError as error:
        raise IntakeError(
            f"the pattern {pattern!r} cannot be used: {error}",
            culprit=key,
            fix="write it without that part",
        ) from error
    return anchored


def row_checks(data: DataSpec) -> list[Check]:
    """Return the checks of the rules across columns."""
    checks = []
    for rule in data.row_rules:
        expression = parse_expression(rule.expression, data.kinds)
        says, shown = f"breaks {rule.expression}", tuple(sorted(expression.columns))
        kept = compile_expression(expression)
        violated = ~kept.fill_null(rule.missing == "keep")
        if rule.when is not None:
            violated &= compile_expression(parse_expression(rule.when, data.kinds))
        checks.append(Check(None, rule.name, rule.severity, says, shown, violated))
    return checks


def unique_rules(data: DataSpec) -> list[Rule]:
    """Return the rules that a row keeps or breaks by the good rows before it."""
    single = [
        Rule(name, "unique", column.severity, "repeats the value of an earlier row", (name,))
        for name, column in data.columns.items()
        if column.unique or (name,) == data.id_columns
    ]
    says = "repeats the values of an earlier row"
    several = [data.id_columns] if len(data.id_columns) > 1 else []
    return single + [
        Rule(None, f"unique together: {' + '.join(group)}", "refuse", says, group)
        for group in dict.fromkeys([*several, *data.unique_together])
    ]


def broken_dataset_rules(
    rows: int, statistics: Mapping[str, ColumnStatistics], data: DataSpec, day: date | None
) -> list[BrokenRule]:
    """Hold a day against the rules that are about all its rows."""
    rules = data.dataset_rules
    found: list[BrokenRule] = []

    def add(rule: str, says: str, severity: Severity, column: str | None = None) -> None:
        found.append(BrokenRule(rule=rule, column=column, severity=severity, says=says))

    if rules.minimum_rows is not None and rows < rules.minimum_rows:
        says = f"the file has {rows:,} rows, fewer than {rules.minimum_rows:,}"
        add("minimum_rows", says, rules.severity)
    if rules.maximum_rows is not None and rows > rules.maximum_rows:
        says = f"the file has {rows:,} rows, more than {rules.maximum_rows:,}"
        add("maximum_rows", says, rules.severity)
    freshness = rules.freshness
    if freshness is not None and day is not None:
        newest = statistics[freshness.column].max
        if newest is None:
            add("freshness", "no row has a date", rules.severity, freshness.column)
        else:
            age = (day - date.fromisoformat(str(newest)[:10])).days
            if age > freshness.within_days:
                says = (
                    f"the newest {freshness.column} is {newest}, {age} days before the file's "
                    f"day (at most {freshness.within_days})"
                )
                add("freshness", says, rules.severity, freshness.column)
    for name, column in data.columns.items():
        limit, missing = column.maximum_missing_share, statistics[name].missing
        total = statistics[name].count + missing
        if limit is not None and total and missing / total > limit:
            says = f"{name} is missing in {missing / total:.1%} of the rows (at most {limit:.1%})"
            add("maximum_missing_share", says, column.severity, name)
    return found


def compile_derived(column: ColumnSpec, kinds: Mapping[str, Any]) -> "pl.Expr":
    """Return what a derived column holds: a value, or in which of its bins a number lies."""
    import polars as pl

    value = compile_expression(parse_expression(column.derive or "", kinds))
    if column.bins is None:
        return value
    *below, found = [pl.lit(name) for name in column.allowed or ()]
    # An upper bound is the next bin's.
    for bound, name in zip(reversed(column.bins), reversed(below), strict=True):
        found = pl.when(value < bound).then(name).otherwise(found)
    return pl.when(value.is_not_null()).then(found)


def compile_expression(expression: Expression) -> "pl.Expr":
    """Turn a checked expression into the engine's.

    Numbers are computed as floats, so that no integer overflows in silence; a division by zero
    and anything else that is not a finite number is missing.
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
        if name in TEXT_FUNCTIONS:
            return self.of_text(name, first, [self.value(node) for node in node.args[1:]])
        if name == "date":
            return first.dt.date()
        if name in PARTS_OF_TIME:
            return getattr(first.dt, name)().cast(self.pl.Int64)
        raise AssertionError(f"unchecked function {name}")

    def of_text(self, name: str, text: Any, more: list[Any]) -> Any:
        if name == "number":
            # What is no number has no value, as where something is missing.
            number = text.cast(self.pl.Float64, strict=False)
            return self.pl.when(number.is_finite()).then(number).otherwise(None)
        if name == "replace":
            return text.str.replace_all(*more, literal=True)
        if name == "length":
            return text.str.len_chars().cast(self.pl.Int64)
        method = {"lower": "to_lowercase", "upper": "to_uppercase"}.get(name, name)
        return getattr(text.str, method)(*more)
