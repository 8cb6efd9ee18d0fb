"""Which cases candidates saw in training, by what they say that they were trained on.

A case was seen where its id or its values are among what the candidate was trained on, where its
day is not after the last day of that, or where a file of its day is one of those.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.errors import EvaluatorError, IntakeError, fault_of
from evaluator.scorecard import DATA_PREFIX, TrainingFacts
from evaluator.spec import AuditSpec, CandidateSpec, TrainingSpec

if TYPE_CHECKING:
    import polars as pl

Mask = npt.NDArray[np.bool_]

_COMMON: Final = 0.05
"""A value that so many of the cases have is as frequent as it is among all of them."""
_SEEN_SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("candidate", "id", "day")),
        *((f"by_{look}", pa.bool_()) for look in ("id", "content", "day", "file")),
        ("left_out", pa.bool_()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """What a candidate was trained on, ready to be read.

    Attributes
    ----------
    files
        The SHA-256 of each file, by path.
    rows
        Some rows after others, and how many of these could not be read whole: the declared columns
        that their file gives, and `DataSpec.id_column` where it gives ids. To read on may raise
        what says why that cannot be done.
    problem
        Why there is nothing to be read, though something is declared; None where there is.
    """

    files: Mapping[str, str]
    rows: Iterable[tuple["pl.DataFrame", int]]
    problem: str | None = None


class SeenInTraining(NamedTuple):
    """Which cases candidates saw in training."""

    facts: Mapping[str, TrainingFacts]
    """Of each candidate that says what it was trained on."""
    table: pa.Table
    """One row a candidate and case that it saw: `candidate`, `id` (as text), `day`, by what it was
    found (`by_id`, `by_content`, `by_day`, `by_file`), `left_out`."""
    is_left_out: Mask
    """By case, whether the set is to do without it."""


def find_seen(
    cases: pa.Table,
    spec: AuditSpec,
    trained_on: Mapping[str, TrainedOn],
    came_as: Mapping[str, Iterable[str]],
) -> SeenInTraining:
    """Find the cases that candidates saw in training.

    Parameters
    ----------
    cases
        As `EvaluationSet.cases`.
    spec
        The audit. Of its candidates those are looked at that declare `training`.
    trained_on
        By candidate what its files hold.
    came_as
        By day the SHA-256 of each of its files as they came.

    Raises
    ------
    IntakeError
        Where no case is left.
    """
    looks: dict[str, _Look] = {}
    is_left_out = np.zeros(cases.num_rows, bool)
    leaving_out = []
    for candidate in spec.candidates:
        if candidate.training is None:
            continue
        look = looks[candidate.name] = _Look(cases, spec, candidate, candidate.training)
        look.take(trained_on[candidate.name], came_as)
        if candidate.training.seen == "leave_out":
            is_left_out |= look.found()
            leaving_out.append(candidate.name)
    if cases.num_rows and is_left_out.all():
        raise IntakeError(
            f"all {cases.num_rows:,} labelled cases were seen in training by"
            f" {' or '.join(leaving_out)}, and are to be left out (`training.seen`)",
            culprit="evaluation_set",
            fix="take in days that they were not trained on, or mend what `training` says",
        )
    facts, tables = {}, [_SEEN_SCHEMA.empty_table()]
    for name, look in looks.items():
        seen = look.found()
        facts[name] = replace(
            look.facts,
            found=int(seen.sum()),
            left_out=int((seen & is_left_out).sum()),
            evaluated=int((~is_left_out).sum()),
        )
        tables.append(_seen_cases(name, cases, look.masks, seen, is_left_out))
    return SeenInTraining(facts, pa.concat_tables(tables), is_left_out)


def _seen_cases(
    name: str, cases: pa.Table, masks: Mapping[str, Mask], seen: Mask, is_left_out: Mask
) -> pa.Table:
    of = cases.filter(pa.array(seen))
    nothing = np.zeros(len(seen), bool)
    columns = {f"by_{look}": masks.get(look, nothing) for look in ("id", "content", "day", "file")}
    return pa.table(
        {
            "candidate": pa.repeat(name, of.num_rows),
            "id": of["id"].cast(pa.string()),
            "day": of["day"],
            **{key: mask[seen] for key, mask in (columns | {"left_out": is_left_out}).items()},
        },
        schema=_SEEN_SCHEMA,
    )


class _Look:
    """A look for the cases that one candidate saw, in each way that its `training` allows."""

    def __init__(
        self, cases: pa.Table, spec: AuditSpec, candidate: CandidateSpec, training: TrainingSpec
    ) -> None:
        self._cases = cases
        self._spec = spec
        self._candidate = candidate
        self._training = training
        self.masks: dict[str, Mask] = {}
        self.facts = TrainingFacts(
            cases=cases.num_rows,
            evaluated=cases.num_rows,
            last_day=None if training.last_day is None else training.last_day.isoformat(),
            digests=len(training.digests),
        )

    def take(self, trained_on: TrainedOn, came_as: Mapping[str, Iterable[str]]) -> None:
        """Look, and know the facts and by each way a mask of the cases that were found."""
        training = self._training
        if training.last_day is not None:
            self.masks["day"] = self._not_after(training.last_day)
        if training.digests:
            days = [day for day, digests in came_as.items() if {*digests} & {*training.digests}]
            self.masks["file"] = _as_mask(pc.is_in(self._cases["day"], pa.array(days, pa.string())))
        self.facts = replace(self.facts, files=trained_on.files, problem=trained_on.problem)
        if training.files is not None and trained_on.problem is None:
            try:
                self._look_at(trained_on.rows)
            except EvaluatorError as error:
                if fault_of(error) != "input":
                    raise
                self.facts = replace(self.facts, problem=f"{error.culprit}: {error.what}")
        counts: dict[str, Any] = {
            f"by_{look}": int(mask.sum()) for look, mask in self.masks.items()
        }
        self.facts = replace(self.facts, **counts)
        if not self.facts.content_identifies:
            self.masks.pop("content", None)

    def found(self) -> Mask:
        """Tell which cases were found in any way."""
        found: Mask = np.logical_or.reduce(
            [np.zeros(self._cases.num_rows, bool), *self.masks.values()]
        )
        return found

    def _not_after(self, last_day: date) -> Mask:
        """Tell which cases are of a day or an earlier one; of a month its first day counts."""
        if self._training.day is None:
            # Days are written so that they sort as texts.
            return _as_mask(pc.less_equal(self._cases["day"], pa.scalar(last_day.isoformat())))
        moments = self._cases[DATA_PREFIX + self._training.day]
        if pa.types.is_timestamp(moments.type) and moments.type.tz is not None:
            moments = pc.local_timestamp(moments)
        return _as_mask(
            pc.less_equal(moments.cast(pa.date32(), safe=False), pa.scalar(last_day, pa.date32()))
        )

    def _look_at(self, batches: Iterable[tuple["pl.DataFrame", int]]) -> None:
        """Compare rows with the cases, by ids and by values."""
        import polars as pl

        id_column = self._spec.data.id_column
        ids = _Matches(pl.DataFrame(pl.from_arrow(self._cases.select(["id"]))))
        contents: dict[tuple[str, ...], _Matches] = {}
        rows = unread = compared = 0
        for frame, not_read in batches:
            rows, unread = rows + frame.height, unread + not_read
            if id_column in frame.columns:
                ids.add(frame.select(pl.col(id_column).alias("id")).drop_nulls())
            columns = self._compared(frame.columns)
            if columns:
                compared += frame.height
                if columns not in contents:
                    contents[columns] = _Matches(content_of(self._cases, columns))
                contents[columns].add(frame.select(columns))
        if ids.asked:
            self.masks["id"] = ids.found()
        if contents:
            found = [one.found() for one in contents.values()]
            self.masks["content"] = np.logical_or.reduce(found)
        if not ids.asked and not contents:
            raise self._tells_nothing()
        self.facts = replace(
            self.facts,
            rows=rows,
            unread=unread,
            columns=tuple(dict.fromkeys(name for columns in contents for name in columns)),
            by_chance=max(
                (_by_chance(one.cases, compared) for one in contents.values()), default=0
            ),
        )

    def _compared(self, given: Sequence[str]) -> tuple[str, ...]:
        """Choose by which columns rows are compared; by none where some that are needed lack."""
        chosen, data = self._training.columns, self._spec.data
        if chosen is not None:
            return chosen if {*chosen} <= {*given} else ()
        return tuple(name for name in data.columns if name in {*given} - self._apart) * (
            {*self._needed} <= {*given}
        )

    @property
    def _needed(self) -> Sequence[str]:
        """The columns without which a row cannot be told from others."""
        # Of a recording nobody knows what the system was given.
        read = [name for name in self._spec.data.file_columns if name not in self._apart]
        return self._candidate.features or read

    @property
    def _apart(self) -> set[str | None]:
        data = self._spec.data
        return {*data.id_columns, data.id_column, data.weight, self._spec.label_column}

    def _tells_nothing(self) -> IntakeError:
        ids = self._training.id_columns or self._spec.data.id_columns
        columns = self._training.columns or self._needed
        named = f"the id ({' and '.join(ids)})" if ids else "an id"
        return IntakeError(
            f"they have neither {named} nor all of {', '.join(columns)}",
            culprit="its training files",
            fix="name their id under `training.id`",
        )


def _as_mask(found: "pa.ChunkedArray | pa.Array") -> Mask:
    return np.asarray(pc.fill_null(found, fill_value=False), bool)


def content_of(cases: pa.Table, columns: Sequence[str]) -> "pl.DataFrame":
    """Take declared columns out of cases, under their own names."""
    import polars as pl

    named = cases.select([DATA_PREFIX + name for name in columns]).rename_columns(list(columns))
    return pl.DataFrame(pl.from_arrow(named))


class _Matches:
    """Which cases have equals among rows that come batch by batch."""

    def __init__(self, cases: "pl.DataFrame") -> None:
        self.cases = cases
        self.asked = False
        self._hashes = np.unique(cases.hash_rows().to_numpy())
        self._kept: list[pl.DataFrame] = []

    def add(self, rows: "pl.DataFrame") -> None:
        """Keep of some rows those that may be equal to a case."""
        self.asked = True
        may_be = np.isin(rows.hash_rows().to_numpy(), self._hashes)
        if may_be.any():
            self._kept.append(rows.filter(may_be).unique())

    def found(self) -> Mask:
        """Tell of each case whether some row is equal to it; what is missing equals what is."""
        import polars as pl

        found = np.zeros(self.cases.height, bool)
        if self._kept:
            numbered = self.cases.with_row_index("\0case")
            equal = numbered.join(
                pl.concat(self._kept), on=self.cases.columns, how="semi", nulls_equal=True
            )
            found[equal["\0case"].to_numpy()] = True
        return found


def _by_chance(cases: "pl.DataFrame", rows: int) -> float:
    """Expect how many cases have an equal among other rows, were columns independent of each other.

    Values are taken to be as frequent there as they are among the cases.
    """
    chances = equal_by_chance(cases).clip(max=1 - 1e-15)
    return float(-np.expm1(rows * np.log1p(-chances)).sum())


def equal_by_chance(content: "pl.DataFrame") -> npt.NDArray[np.float64]:
    """Give of each row how probable it is that another one is equal, were columns independent.

    A rare value is as frequent as it is among rows that differ elsewhere: that rows are equal must
    not make it probable that they are.
    """
    import polars as pl

    equal = pl.len().over(content.columns)
    chance = [
        pl.when(pl.len().over(name) >= _COMMON * pl.len())
        .then(pl.len().over(name) / pl.len())
        .otherwise((pl.len().over(name) - equal) / pl.max_horizontal(pl.len() - equal, 1))
        for name in content.columns
    ]
    found = content.select(pl.fold(1.0, lambda one, other: one * other, chance).alias("chance"))
    return found["chance"].to_numpy()
