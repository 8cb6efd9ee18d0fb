"""A batch of texts becomes typed rows, refused rows with all their reasons, and counts."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from evaluator.intake._profile import MAX_EXAMPLES, Example, Finding
from evaluator.intake._rules import (
    CLOCK,
    TEXT,
    Rule,
    all_checks,
    compile_derived,
    unique_rules,
)
from evaluator.intake._typing import clock_faults, engine_type, parse_values
from evaluator.intake._uniqueness import Uniqueness
from evaluator.intake._violations import (
    WRONG_CELLS,
    Batch,
    Reject,
    reasons_of,
    rejects_table,
    violating_values,
)
from evaluator.spec import SPELLING_KEYS, DataSpec

if TYPE_CHECKING:
    import polars as pl

#: How typed values are spelled when they are made text.
PLAIN: Final = {
    "formats": None,
    "true_values": ("true",),
    "false_values": ("false",),
    **dict.fromkeys(SPELLING_KEYS),
}


@dataclass(frozen=True)
class ValidatedBatch:
    """What became of a batch."""

    typed: "pl.DataFrame"
    #: One row each: `line_number`, `original` (as it is read), `raw` (the file's bytes, where they
    #: are others) and `reasons`.
    refused: "pl.DataFrame"


class RowValidator:
    """Holds an audit's rules and what they have found so far."""

    def __init__(self, data: DataSpec, day: date | None = None) -> None:
        self.data = data
        self._day = day
        self.checks = all_checks(data)
        self.uniques = [(rule, Uniqueness(rule.shown)) for rule in unique_rules(data)]
        self.findings: dict[tuple[str | None, str], Finding] = {}
        for rule in (*self.checks, *(rule for rule, _ in self.uniques)):
            self.findings[rule.column, rule.rule] = Finding(
                column=rule.column, rule=rule.rule, severity=rule.severity, says=rule.says
            )
        self.refused = 0
        self.typed = 0
        #: Of all rows that could be split, by the file's columns: how many have no value there.
        self.missing = dict.fromkeys(data.file_columns, 0)
        self.split = 0
        #: Of each unique rule the keys that several good rows have; None: the first row has them.
        self._shared: list[pl.DataFrame | None] | None = None

    def learn_repeats(self, batches: Iterable[Batch]) -> None:
        """Look through all rows for keys that several good ones have: then none is accepted."""
        import polars as pl

        shared: list[pl.DataFrame | None] = [None] * len(self.uniques)
        for batch in batches:
            frame = self.read(batch)
            wrong = [rows for _, rows in self._wrong_cells(batch, frame)]
            kept = ~self._refused(frame, self._masks(frame), wrong)
            for index, (rule, memory) in enumerate(self.uniques):
                keys = frame.select(rule.shown).filter(memory.repeated(frame, kept) & kept)
                before = shared[index]
                shared[index] = keys if before is None else pl.concat([before, keys]).unique()
        self._shared = shared

    def validate(self, batch: Batch) -> ValidatedBatch:
        """Type a batch, hold it against every rule, and split it."""
        import polars as pl

        frame = self.read(batch)
        self.split += frame.height
        for name in self.missing:
            kind = self.data.columns[name].kind
            self.missing[name] += frame[name if kind == "text" else TEXT + name].null_count()
        masks = self._masks(frame)
        wrong = list(self._wrong_cells(batch, frame))
        refused = self._refused(frame, masks, [rows for _, rows in wrong])
        violations: list[tuple[Rule, npt.NDArray[Any]]] = [
            (check, mask.arg_true().to_numpy())
            for check, mask in zip(self.checks, masks, strict=True)
            if mask.any()
        ]
        violations += wrong
        for index, (unique, memory) in enumerate(self.uniques):
            if self._shared is None:
                repeated = memory.repeated(frame, ~refused)
            else:
                repeated = _among(frame, self._shared[index])
            if unique.severity == "refuse":
                refused = refused | repeated
            if repeated.any():
                violations.append((unique, np.flatnonzero(repeated)))
        parts = [self._note(batch, frame, rule, rows) for rule, rows in violations]
        rows = np.flatnonzero(refused)
        reasons = reasons_of([part for part in parts if part is not None], rows)
        quarantined = pl.DataFrame(
            {
                "line_number": pl.Series(batch.line[rows], dtype=pl.Int64),
                "original": pl.Series(batch.originals(rows), dtype=pl.Binary),
                "raw": pl.Series(batch.raw(rows), dtype=pl.Binary),
                "reasons": reasons,
            }
        )
        away = self._rejects(batch.rejects)
        if away.height:
            quarantined = pl.concat([quarantined, away]).sort("line_number", maintain_order=True)
        typed = frame.select([*self.data.columns, *self._added_id(batch.line)])
        if len(rows):
            typed = typed.filter(pl.Series(~refused))
        if typed.height + quarantined.height != frame.height + len(batch.rejects):
            raise AssertionError("rows were lost while they were judged")
        self.typed += typed.height
        self.refused += quarantined.height
        return ValidatedBatch(typed, quarantined)

    def keep(self, frame: "pl.DataFrame") -> None:
        """Take rows that were accepted before as they are; they hold their unique values."""
        for _, memory in self.uniques:
            memory.repeated(frame, np.ones(frame.height, dtype=bool))
        self.typed += frame.height

    def read(self, batch: Batch) -> "pl.DataFrame":
        """Type the columns that the file gives, beside their texts, and derive the others."""
        import polars as pl

        columns = {name: self.data.read_as(name) for name in self.data.file_columns}

        def one(name: str) -> tuple[pl.Series, pl.Series, pl.Series]:
            column = columns[name]
            if name not in batch.frame.columns:
                nothing = pl.Series(name, [None], dtype=pl.String).new_from_index(
                    0, len(batch.line)
                )
                return nothing, nothing.cast(engine_type(column)), nothing
            given = batch.frame[name]
            text = _present(given, self.data.missing_spellings(name), trim=self.data.trim)
            if column.required or name in self.data.id_columns:
                text = _without_blank_cells(text)
            if name in batch.plain:
                column = column.model_copy(update=PLAIN)
            values = parse_values(text, column)
            return text, values, clock_faults(text, values, column)

        with ThreadPoolExecutor(max_workers=2) as pool:
            read = list(pool.map(one, columns))
        series = []
        for name, (text, values, clock) in zip(columns, read, strict=True):
            series.append(values.alias(name))
            if columns[name].kind != "text":
                series.append(text.alias(TEXT + name))
            if columns[name].time_zone is not None:
                series.append(clock.alias(CLOCK + name))
        frame = pl.DataFrame(series)
        kinds = {name: column.kind for name, column in columns.items()}
        for name, column in self.data.columns.items():
            if column.derive is None:
                continue
            value = compile_derived(column, kinds)
            frame = frame.with_columns(value.cast(engine_type(column), strict=False).alias(name))
            kinds[name] = column.kind
        return frame

    def _added_id(self, lines: npt.NDArray[np.int64]) -> "list[pl.Expr]":
        """Spell the rows' ids where no single column holds them."""
        import polars as pl

        name = self.data.id_column
        if name in self.data.columns:
            return []
        if not self.data.id_columns:
            day = "" if self._day is None else f"{self._day}:"
            return [pl.format(f"{day}{{}}", pl.lit(pl.Series(lines))).alias(name)]
        return [spell_id(self.data.id_columns).alias(name)]

    def _refused(
        self, frame: "pl.DataFrame", masks: "list[pl.Series]", wrong: Sequence[npt.NDArray[Any]]
    ) -> npt.NDArray[np.bool_]:
        """Say which rows break a rule that refuses, or are among some others."""
        refusing = [
            mask.to_numpy()
            for mask, check in zip(masks, self.checks, strict=True)
            if check.severity == "refuse" and mask.any()
        ]
        nothing = np.zeros(frame.height, dtype=bool)
        refused: npt.NDArray[np.bool_] = np.logical_or.reduce([nothing, *refusing])
        for rows in wrong:
            refused[rows] = True
        return refused

    def _masks(self, frame: "pl.DataFrame") -> "list[pl.Series]":
        """Say for each check which rows break it; an expression of constants alone, too."""
        masks = [
            check.violated.fill_null(value=False).alias(str(index))
            for index, check in enumerate(self.checks)
        ]
        found = frame.select(masks)
        if masks and found.height != frame.height:
            height = frame.to_series(0).is_null().alias("height")
            found = frame.select(height, *masks).drop("height")
        return found.get_columns()

    def _wrong_cells(
        self, batch: Batch, frame: "pl.DataFrame"
    ) -> Iterator[tuple[Rule, npt.NDArray[Any]]]:
        """Give the cells that have a text and no value, but for texts that stand for missing."""
        for (name, rule), rows in batch.wrong.items():
            is_text = self.data.columns[name].kind == "text"
            if rule == "excel_error" and not is_text:
                # It is of no type but text, and each type's own rule says so.
                continue
            there = frame[name if is_text else TEXT + name].gather(rows).is_not_null()
            found = np.array(rows, dtype=np.int64)[there.to_numpy()]
            if len(found):
                says = WRONG_CELLS[rule]
                finding = Finding(column=name, rule=rule, severity="refuse", says=says)
                self.findings.setdefault((name, rule), finding)
                yield Rule(name, rule, "refuse", says, (name,)), found

    def _note(
        self, batch: Batch, frame: "pl.DataFrame", rule: Rule, rows: npt.NDArray[Any]
    ) -> "pl.DataFrame | None":
        """Count a rule's violations, keep examples, and give the reasons for refused rows."""
        import polars as pl

        values = violating_values(frame, rule, rows)
        examples = [
            Example(line=int(batch.line[row]), value=value)
            for row, value in zip(rows[:MAX_EXAMPLES], values, strict=False)
        ]
        key = (rule.column, rule.rule)
        self.findings[key] = self.findings[key].counted(len(rows), examples)
        if rule.severity == "warn":
            return None
        name = rule.column or rule.rule
        shown = (
            pl.when(values.is_null())
            .then(pl.lit(""))
            .otherwise(pl.concat_str(pl.lit(" '"), pl.lit(values), pl.lit("'")))
        )
        table = pl.DataFrame({"row": pl.Series(rows, dtype=pl.Int64), "value": values})
        return table.with_columns(
            column=pl.lit(rule.column, dtype=pl.String),
            rule=pl.lit(rule.rule),
            message=pl.concat_str(pl.lit(f"{name}:"), shown, pl.lit(f" {rule.says}")),
        )

    def _rejects(self, rejects: list[Reject]) -> "pl.DataFrame":
        """Count rows that could not be split, and keep examples."""
        by_rule: dict[str, list[Reject]] = {}
        for reject in rejects:
            by_rule.setdefault(reject.rule, []).append(reject)
        for rule, found in by_rule.items():
            known = self.findings.get((None, rule)) or Finding(
                column=None, rule=rule, severity="refuse", says=found[0].message
            )
            examples = [
                Example(line=reject.line, value=reject.shown) for reject in found[:MAX_EXAMPLES]
            ]
            self.findings[None, rule] = known.counted(len(found), examples)
        return rejects_table(rejects)


def spell_id(columns: Sequence[str]) -> "pl.Expr":
    """Spell the id that several columns are together; one with a part missing is missing."""
    import polars as pl

    texts = [pl.col(part).cast(pl.String).str.replace_all(r"([\\/])", r"\${1}") for part in columns]
    return pl.concat_str(texts, separator="/")


def _among(frame: "pl.DataFrame", keys: "pl.DataFrame | None") -> npt.NDArray[np.bool_]:
    """Say which rows have one of some keys; one with a part missing is none."""
    if keys is None:
        return np.zeros(frame.height, dtype=bool)
    rows = frame.select(keys.columns).with_row_index("\0row")
    found = np.zeros(frame.height, dtype=bool)
    found[rows.join(keys, on=keys.columns, how="semi")["\0row"].to_numpy()] = True
    return found


def _without_blank_cells(text: "pl.Series") -> "pl.Series":
    """Make null what is blanks alone: it says nothing, whatever `trim` does with other blanks."""
    # Blanks come before all that is printed in ASCII, or behind it.
    suspects = (text < "!") | (text > "~")
    if not suspects.any():
        return text
    return text.set(suspects & (text.str.strip_chars() == ""), None)


def _present(text: "pl.Series", missing: tuple[str, ...], *, trim: bool) -> "pl.Series":
    """Make null what stands for a missing value."""
    import polars as pl

    if trim:
        text = text.str.strip_chars()
    if not missing:
        return text
    gone = (text == missing[0]) if len(missing) == 1 else text.is_in(list(missing))
    if not gone.any():
        return text
    return text.to_frame().select(pl.when(~pl.lit(gone)).then(pl.col(text.name)))[text.name]
