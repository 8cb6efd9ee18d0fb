"""A batch of texts becomes typed rows, refused rows with all their reasons, and counts."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from evaluator.intake.batches import Batch, Reject
from evaluator.intake.expression import compile_expression
from evaluator.intake.rules import TEXT, Check, all_checks
from evaluator.intake.typed import engine_type, read_values
from evaluator.intake.uniqueness import Uniqueness
from evaluator.spec.data import DataSpec, Severity
from evaluator.spec.data_expression import parse_expression

if TYPE_CHECKING:
    import polars as pl

EXAMPLES: Final = 3
LONGEST_VALUE: Final = 200
#: How typed values are spelled when they are made text.
PLAIN: Final = {"formats": None, "true_values": ("true",), "false_values": ("false",)}


@dataclass
class Finding:
    """What one rule found in the whole file.

    Parameters
    ----------
    column
        The column; None for a rule over a whole row.
    rule
        The rule's short name.
    severity
        Whether it refuses rows.
    says
        What is wrong, in words.
    count
        How many rows violate it.
    examples
        The first ones: physical line and value.
    """

    column: str | None
    rule: str
    severity: Severity
    says: str
    count: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Say it for the profile."""
        return {
            "column": self.column,
            "rule": self.rule,
            "severity": self.severity,
            "says": self.says,
            "count": self.count,
            "examples": self.examples,
        }


@dataclass(frozen=True)
class Judged:
    """What became of a batch.

    Parameters
    ----------
    typed
        The accepted rows.
    refused
        One row each: `line_number`, `original` (bytes) and `reasons`.
    """

    typed: "pl.DataFrame"
    refused: "pl.DataFrame"


@dataclass(frozen=True)
class _Unique:
    column: str | None
    rule: str
    severity: Severity
    says: str
    memory: Uniqueness


class Judge:
    """Holds an audit's rules and what they have found so far.

    Parameters
    ----------
    data
        What is declared.
    """

    def __init__(self, data: DataSpec) -> None:
        self.data = data
        self.checks: list[Check] = all_checks(data)
        self.uniques = _uniques(data)
        self.findings: dict[tuple[str | None, str], Finding] = {}
        rules: list[Check | _Unique] = [*self.checks, *self.uniques]
        for rule in rules:
            key = (rule.column, rule.rule)
            self.findings[key] = Finding(rule.column, rule.rule, rule.severity, rule.says)
        self.refused = 0
        self.typed = 0

    def judge(self, batch: Batch) -> Judged:
        """Type a batch, hold it against every rule, and split it.

        Parameters
        ----------
        batch
            Rows as text.

        Returns
        -------
        Judged
            As many rows as the batch has, rejects among them.
        """
        import polars as pl

        frame = self._read(batch)
        masks = self._masks(frame)
        hits = [mask.any() for mask in masks]
        refusing = [
            mask.to_numpy()
            for mask, check, hit in zip(masks, self.checks, hits, strict=True)
            if hit and check.severity == "refuse"
        ]
        refused = np.logical_or.reduce(refusing) if refusing else np.zeros(frame.height, dtype=bool)
        violations: list[tuple[Check | _Unique, npt.NDArray[Any]]] = [
            (check, mask.arg_true().to_numpy())
            for check, mask, hit in zip(self.checks, masks, hits, strict=True)
            if hit
        ]
        for unique in self.uniques:
            repeated = unique.memory.repeated(frame, ~refused)
            if unique.severity == "refuse":
                refused = refused | repeated
            if repeated.any():
                violations.append((unique, np.flatnonzero(repeated)))
        parts = [self._note(batch, frame, check, rows) for check, rows in violations]
        rows = np.flatnonzero(refused)
        reasons = _reasons([part for part in parts if part is not None], rows)
        judged = pl.DataFrame(
            {
                "line_number": pl.Series(batch.line[rows], dtype=pl.Int64),
                "original": pl.Series(batch.originals(rows), dtype=pl.Binary),
                "reasons": reasons,
            }
        )
        away = self._rejects(batch.rejects)
        if away.height:
            judged = pl.concat([judged, away]).sort("line_number", maintain_order=True)
        typed = frame.select(list(self.data.columns))
        if len(rows):
            typed = typed.filter(pl.Series(~refused))
        if typed.height + judged.height != frame.height + len(batch.rejects):
            raise AssertionError("rows were lost while they were judged")
        self.typed += typed.height
        self.refused += judged.height
        return Judged(typed, judged)

    def keep(self, frame: "pl.DataFrame") -> None:
        """Take rows that were accepted before as they are; they hold their unique values.

        Parameters
        ----------
        frame
            Typed rows.
        """
        for unique in self.uniques:
            unique.memory.repeated(frame, np.ones(frame.height, dtype=bool))
        self.typed += frame.height

    def _read(self, batch: Batch) -> "pl.DataFrame":
        """Type the columns that the file gives, beside their texts, and derive the others."""
        import polars as pl

        columns = {n: c for n, c in self.data.columns.items() if c.derive is None}
        texts: dict[str, pl.Series] = {}

        def one(name: str) -> tuple[pl.Series, pl.Series]:
            column = columns[name]
            if name not in batch.frame.columns:
                nothing = pl.Series(name, [None], dtype=pl.String).new_from_index(
                    0, len(batch.line)
                )
                return nothing, nothing.cast(engine_type(column))
            given = batch.frame[name]
            text = _present(given, self.data.missing_spellings(name), trim=self.data.trim)
            if name in batch.plain:
                column = column.model_copy(update=PLAIN)
            return text, read_values(text, column)

        with ThreadPoolExecutor(max_workers=2) as pool:
            pairs = list(pool.map(one, columns))
        series = []
        for name, (text, values) in zip(columns, pairs, strict=True):
            series.append(values.alias(name))
            if columns[name].kind != "text":
                texts[name] = text
                series.append(text.alias(TEXT + name))
        frame = pl.DataFrame(series)
        kinds = {name: column.kind for name, column in columns.items()}
        for name, column in self.data.columns.items():
            if column.derive is None:
                continue
            value = compile_expression(parse_expression(column.derive, kinds))
            frame = frame.with_columns(value.cast(engine_type(column), strict=False).alias(name))
            kinds[name] = column.kind
        return frame

    def _masks(self, frame: "pl.DataFrame") -> "list[pl.Series]":
        found = frame.select(
            check.violated.fill_null(value=False).alias(str(place))
            for place, check in enumerate(self.checks)
        )
        if found.width and found.height != frame.height:
            found = frame.select(
                frame.to_series(0).is_null().alias("height"),
                *(
                    check.violated.fill_null(value=False).alias(str(place))
                    for place, check in enumerate(self.checks)
                ),
            ).drop("height")
        return found.get_columns()

    def _note(
        self, batch: Batch, frame: "pl.DataFrame", check: Any, rows: npt.NDArray[Any]
    ) -> "pl.DataFrame | None":
        """Count a rule's violations, keep examples, and give the reasons for refused rows."""
        import polars as pl

        finding = self.findings[check.column, check.rule]
        finding.count += len(rows)
        values = _values(frame, check, rows, self.data)
        for row, value in zip(rows[: EXAMPLES - len(finding.examples)], values, strict=False):
            if len(finding.examples) < EXAMPLES:
                finding.examples.append({"line": int(batch.line[row]), "value": value})
        if check.severity == "warn":
            return None
        name = check.column or check.rule
        shown = (
            pl.when(values.is_null())
            .then(pl.lit(""))
            .otherwise(pl.concat_str(pl.lit(" '"), pl.lit(values), pl.lit("'")))
        )
        table = pl.DataFrame({"row": pl.Series(rows, dtype=pl.Int64), "value": values})
        return table.with_columns(
            column=pl.lit(check.column, dtype=pl.String),
            rule=pl.lit(check.rule),
            message=pl.concat_str(pl.lit(f"{name}:"), shown, pl.lit(f" {check.says}")),
        )

    def _rejects(self, rejects: list[Reject]) -> "pl.DataFrame":
        import polars as pl

        for reject in rejects:
            key = (None, reject.rule)
            if key not in self.findings:
                self.findings[key] = Finding(None, reject.rule, "refuse", reject.message)
            finding = self.findings[key]
            finding.count += 1
            if len(finding.examples) < EXAMPLES:
                shown = reject.original[:LONGEST_VALUE].decode("utf-8", errors="backslashreplace")
                finding.examples.append({"line": reject.line, "value": shown})
        nothing = pl.lit(None, dtype=pl.String)
        reason = pl.struct(nothing.alias("column"), "rule", nothing.alias("value"), "message")
        return pl.DataFrame(
            {
                "line_number": [reject.line for reject in rejects],
                "original": [reject.original for reject in rejects],
                "rule": [reject.rule for reject in rejects],
                "message": [reject.message for reject in rejects],
            },
            schema={
                "line_number": pl.Int64,
                "original": pl.Binary,
                "rule": pl.String,
                "message": pl.String,
            },
        ).select("line_number", "original", reasons=pl.concat_list(reason).cast(reasons_type()))


def reasons_type() -> "pl.DataType":
    """Return the engine's type of a row's reasons."""
    import polars as pl

    return pl.List(
        pl.Struct(
            {"column": pl.String, "rule": pl.String, "value": pl.String, "message": pl.String}
        )
    )


def _uniques(data: DataSpec) -> list[_Unique]:
    found = [
        _Unique(
            name,
            "unique",
            column.severity,
            "repeats the value of an earlier row",
            Uniqueness((name,)),
        )
        for name, column in data.columns.items()
        if column.unique or name == data.id
    ]
    for group in data.unique_together:
        names = " + ".join(group)
        found.append(
            _Unique(
                None,
                f"unique together: {names}",
                "refuse",
                "repeats the values of an earlier row",
                Uniqueness(group),
            )
        )
    return found


def _present(text: "pl.Series", missing: tuple[str, ...], *, trim: bool) -> "pl.Series":
    """Make null what stands for a missing value."""
    import polars as pl

    if trim:
        text = text.str.strip_chars(" \t")
    if not missing:
        return text
    gone = (text == missing[0]) if len(missing) == 1 else text.is_in(list(missing))
    if not gone.any():
        return text
    return text.to_frame().select(pl.when(~pl.lit(gone)).then(pl.col(text.name)))[text.name]


def _values(
    frame: "pl.DataFrame", check: Any, rows: npt.NDArray[Any], data: DataSpec
) -> "pl.Series":
    """Return what to show of the rows: the text of the column, or of all columns of a rule."""
    import polars as pl

    def text(name: str) -> pl.Series:
        shown = frame[TEXT + name if TEXT + name in frame.columns else name].gather(rows)
        return shown.cast(pl.String).str.slice(0, LONGEST_VALUE)

    if check.column is not None:
        return text(check.column).alias("value")
    if isinstance(check, _Unique):
        names = list(check.memory.columns)
    else:
        rule = next(rule for rule in data.row_rules if rule.name == check.rule)
        names = sorted(parse_expression(rule.expression, data.kinds).columns)
    parts = [
        pl.concat_str(pl.lit(f"{name}="), pl.lit(text(name)).fill_null("missing")) for name in names
    ]
    if not parts:
        return pl.Series("value", [None] * len(rows), dtype=pl.String)
    return pl.select(pl.concat_str(parts, separator=", ").alias("value"))["value"]


def _reasons(parts: "list[pl.DataFrame]", rows: npt.NDArray[Any]) -> "pl.Series":
    """Gather the reasons of each refused row, in the order of the rules."""
    import polars as pl

    if not parts or len(rows) == 0:
        return pl.Series([[]] * len(rows), dtype=reasons_type())
    gathered = (
        pl.concat(parts)
        .sort("row", maintain_order=True)
        .select("row", reason=pl.struct("column", "rule", "value", "message"))
        .group_by("row", maintain_order=True)
        .agg("reason")
    )
    if gathered.height != len(rows):
        gathered = gathered.filter(pl.col("row").is_in(pl.Series(rows).implode()))
    return gathered["reason"].cast(reasons_type())
