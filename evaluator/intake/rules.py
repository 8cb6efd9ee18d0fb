"""The rules of an audit's data as checks over a frame of typed rows."""

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from evaluator.errors import IntakeError
from evaluator.intake.expression import compile_expression
from evaluator.intake.typed import engine_type
from evaluator.spec.data import ColumnSpec, DataSpec, Severity
from evaluator.spec.data_expression import parse_expression

if TYPE_CHECKING:
    import polars as pl

#: The prefix of a column of texts that stands beside its column of values; no YAML key has it.
TEXT: Final = "\0text of "
ARTICLES: Final = {"integer": "an integer"}


@dataclass(frozen=True)
class Check:
    """One rule, ready to run.

    Parameters
    ----------
    column
        The column that it is about; None for a rule over several.
    rule
        Its short name: `type`, `required`, `allowed`, ...
    severity
        Whether a violation refuses the row.
    says
        What is wrong where it is violated, in words that follow the value.
    violated
        True in rows that break the rule; null counts as kept.
    """

    column: str | None
    rule: str
    severity: Severity
    says: str
    violated: "pl.Expr"


def column_checks(name: str, column: ColumnSpec, *, is_id: bool) -> list[Check]:
    """Return the checks that a column declares.

    Parameters
    ----------
    name
        The column's name.
    column
        The column as declared.
    is_id
        Whether it identifies a row, and so must be there.

    Returns
    -------
    list of Check
        The type's first.

    Raises
    ------
    IntakeError
        When the pattern is one that the engine does not know.
    """
    import polars as pl

    value = pl.col(name)
    checks: list[Check] = []

    def add(rule: str, says: str, violated: "pl.Expr", severity: Severity | None = None) -> None:
        checks.append(Check(name, rule, severity or column.severity, says, violated))

    if column.derive is None and column.kind != "text":
        article = ARTICLES.get(column.type, f"a {column.type}")
        wrong = value.is_null() & pl.col(TEXT + name).is_not_null()
        add("type", f"is not {article}{_how(column)}", wrong, "refuse")
    if column.required or is_id:
        missing = (
            value.is_null()
            if column.kind == "text" or column.derive
            else (value.is_null() & pl.col(TEXT + name).is_null())
        )
        add("required", "is missing", missing, "refuse" if is_id else None)
    if column.allowed is not None:
        add("allowed", "is not an allowed value", ~value.is_in(_listed(column)))
    if column.minimum is not None:
        limit = _limit(column, column.minimum)
        add("minimum", f"is below {column.minimum}", value < limit)
    if column.maximum is not None:
        limit = _limit(column, column.maximum)
        add("maximum", f"is above {column.maximum}", value > limit)
    if column.minimum_length is not None:
        short = value.str.len_chars() < column.minimum_length
        add("minimum_length", f"has fewer than {column.minimum_length} characters", short)
    if column.maximum_length is not None:
        long = value.str.len_chars() > column.maximum_length
        add("maximum_length", f"has more than {column.maximum_length} characters", long)
    if column.pattern is not None:
        _try_pattern(name, column.pattern)
        add(
            "pattern",
            f"does not match {column.pattern}",
            ~value.str.contains(f"^(?:{column.pattern})$"),
        )
    return checks


def _how(column: ColumnSpec) -> str:
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
        values = [_moment(column, value) for value in values]
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
        return pl.lit(_moment(column, limit), dtype=pl.Datetime("us", column.time_zone))
    if column.type == "decimal":
        return pl.lit(Decimal(str(limit)))
    return limit


def _moment(column: ColumnSpec, limit: date) -> datetime:
    """Read a declared date or time as an instant of the column: in its zone, or in none."""
    moment = limit if isinstance(limit, datetime) else datetime.combine(limit, time())
    if column.time_zone is None:
        return moment.replace(tzinfo=None)
    zone = ZoneInfo(column.time_zone)
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def _try_pattern(name: str, pattern: str) -> None:
    import polars as pl

    try:
        pl.Series([""]).str.contains(f"^(?:{pattern})$")
    except pl.exceptions.ComputeError as error:
        raise IntakeError(
            f"the pattern {pattern!r} cannot be used: {error}",
            culprit=f"columns.{name}.pattern",
            fix="write it without that part",
        ) from error


def row_checks(data: DataSpec) -> list[Check]:
    """Return the checks of the rules across columns.

    Parameters
    ----------
    data
        What is declared.

    Returns
    -------
    list of Check
        In the declared order.
    """
    return [
        Check(
            None,
            rule.name,
            rule.severity,
            f"breaks {rule.expression}",
            ~compile_expression(parse_expression(rule.expression, data.kinds)),
        )
        for rule in data.row_rules
    ]


def all_checks(data: DataSpec) -> list[Check]:
    """Return every check over single rows: the columns' in declared order, then the row rules'.

    Parameters
    ----------
    data
        What is declared.

    Returns
    -------
    list of Check
        What stands across rows (uniqueness) is not among them.
    """
    checks: list[Check] = []
    for name, column in data.columns.items():
        checks += column_checks(name, column, is_id=name == data.id)
    return checks + row_checks(data)
