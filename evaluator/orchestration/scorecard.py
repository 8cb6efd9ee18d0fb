"""All candidates side by side, at every level, and what is missing."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from evaluator.candidates.evaluation_set import DATA_PREFIX, SLICE_COLUMNS
from evaluator.certification import Outcome, Verdict, decide_outcomes, judge
from evaluator.errors import EvidenceError
from evaluator.evidence import Address, Moment, Record, content_version, digest_of
from evaluator.metrics import slice_metrics
from evaluator.orchestration import identities
from evaluator.orchestration.candidate_evaluation import SLICE_LEVEL, measure, read_predictions
from evaluator.orchestration.evaluation_assets import CASES
from evaluator.orchestration.state import AuditState, SliceState
from evaluator.spec import AuditSpec
from evaluator.spec.data import ColumnSpec

FIGURES = "figures.parquet"
MORE_FIGURES = "more_figures.parquet"
SLICES = "slices.parquet"

MISSING = "(missing)"
"""The group of the cases without a value."""

_MORE_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("candidate", "level", "group", "metric")),
        *((name, pa.float64()) for name in ("value", "low", "high")),
        ("n", pa.int64()),
        ("n_effective", pa.float64()),
        *((name, pa.string()) for name in ("status", "reason")),
    ]
)
_SLICE_COLUMNS = ("candidate", "geography", "segment", "state", "error", "content_version")


@dataclass(frozen=True)
class Findings:
    """A scorecard, and what the audit's gates say of it."""

    scorecard: Record
    figures: pd.DataFrame
    """`evaluator.metrics.slice_metrics` of all candidates, with a column `candidate`."""
    more_figures: pd.DataFrame
    """What was measured beside geography and segment: `candidate`, `level` ("carrier x origin"),
    `group` ("carrier = B6, origin = JFK") and the metric columns; without rows where the audit
    declares no `more_slices`."""
    slices: pd.DataFrame
    """One row a candidate's slice: its state, its error and its content version."""
    verdicts: Sequence[Verdict]
    outcomes: Sequence[Outcome]


class ExpectedScorecard(NamedTuple):
    """What a scorecard made now would rest on."""

    evaluation_set: Record
    slices: list[SliceState]
    target: tuple[Address, str]
    """Its address and its identity."""


def expected_scorecard(state: AuditState) -> ExpectedScorecard:
    """Look at every candidate's slices as they are now."""
    evaluation_set = state.require("evaluation_set")
    slices = [
        slice_state
        for candidate in state.spec.candidates
        for slice_state in state.slice_states(
            candidate, evaluation_set, state.observed_model(candidate)
        )
    ]
    described = [
        [s.candidate, s.slice_key, s.state, s.error, s.metrics.content_version if s.metrics else ""]
        for s in slices
    ]
    identity = identities.scorecard_identity(state.spec, evaluation_set.content_version, described)
    return ExpectedScorecard(evaluation_set, slices, (state.address("scorecard"), identity))


def store_scorecard(state: AuditState, moment: Moment) -> Record:
    """Gather every candidate's current slices into one stored scorecard.

    Raises
    ------
    EvidenceError
        Where no candidate has a current slice.
    """
    expected = expected_scorecard(state)
    address, identity = expected.target
    slices = expected.slices
    existing = state.store.find(address, identity)
    if existing is not None:
        state.store.make_current(existing, moment)
        return existing
    current = [s for s in slices if s.state == "current"]
    if not current:
        raise EvidenceError(
            f"none of the {len(slices)} slices of {len(state.spec.candidates)} candidates is"
            " evaluated, so there is nothing to score",
            culprit=str(address),
            fix="materialise the candidates' slices first; the failed runs say what went wrong",
        )
    measured = _measure_candidates(state, expected.evaluation_set, slices)
    figures = pa.Table.from_pandas(measured.figures, preserve_index=False)
    more_figures = pa.Table.from_pandas(
        measured.more_figures, schema=_MORE_SCHEMA, preserve_index=False
    )
    frame = pd.DataFrame(
        [
            {
                "candidate": s.candidate,
                "geography": s.geography,
                "segment": s.segment,
                "state": s.state,
                "error": s.error,
                "content_version": s.metrics.content_version if s.metrics else None,
            }
            for s in slices
        ]
    )
    schema = pa.schema([(name, pa.string()) for name in _SLICE_COLUMNS])
    records = [record for s in current for record in (s.predictions, s.metrics) if record]
    return state.store.write(
        address,
        identity,
        {
            FIGURES: figures,
            MORE_FIGURES: more_figures,
            SLICES: pa.Table.from_pandas(frame, schema=schema, preserve_index=False),
        },
        content_version=digest_of([content_version(figures), content_version(more_figures)]),
        upstream=[expected.evaluation_set.as_upstream(), *(r.as_upstream() for r in records)],
        facts={
            "candidates": [candidate.name for candidate in state.spec.candidates],
            "slices": len(slices),
            "current": len(current),
            "models": {c.name: state.observed_model(c) for c in state.spec.candidates},
        },
        code_version=identities.CODE_VERSIONS["scorecard"],
        moment=moment,
    )


def read_findings(state: AuditState) -> Findings:
    """Read the current scorecard and judge it by the audit's gates."""
    scorecard = state.require("scorecard")
    figures, more_figures, slices = (
        state.store.read_table(scorecard, name).to_pandas()
        for name in (FIGURES, MORE_FIGURES, SLICES)
    )
    names = [candidate.name for candidate in state.spec.candidates]
    verdicts = judge(state.spec.gates, figures, slices, names)
    return Findings(
        scorecard=scorecard,
        figures=figures,
        more_figures=more_figures,
        slices=slices,
        verdicts=verdicts,
        outcomes=decide_outcomes(verdicts, slices, names),
    )


class _Measured(NamedTuple):
    figures: pd.DataFrame
    more_figures: pd.DataFrame


def _measure_candidates(
    state: AuditState, evaluation_set: Record, slices: Sequence[SliceState]
) -> _Measured:
    named = {name for names in state.spec.more_slices for name in names}
    columns = ["id", *(DATA_PREFIX + name for name in sorted(named))]
    cases = state.store.read_table(evaluation_set, CASES, columns=columns)
    figures, more_figures = [], [pd.DataFrame(columns=_MORE_SCHEMA.names)]
    for candidate in state.spec.candidates:
        records = {
            s.slice_key: s.predictions
            for s in slices
            if s.candidate == candidate.name and s.predictions is not None
        }
        if not records:
            continue
        predictions = read_predictions(state, records)
        measured = _measured_slices(state, predictions, records)
        measured.insert(0, "candidate", candidate.name)
        figures.append(measured)
        for more in measure_more(state.spec, cases, predictions):
            more.insert(0, "candidate", candidate.name)
            more_figures.append(more)
    table = pd.concat(figures, ignore_index=True)
    return _Measured(
        table.astype(dict.fromkeys(SLICE_COLUMNS, "str")),
        pd.concat(more_figures, ignore_index=True),
    )


def _measured_slices(
    state: AuditState, predictions: pd.DataFrame, known: Collection[str]
) -> pd.DataFrame:
    figures = measure(state, predictions)
    # A slice that is not evaluated is not an empty slice: it stands among the missing ones.
    keys = figures["geography"].astype(str) + "|" + figures["segment"].astype(str)
    return figures[(figures["level"] != SLICE_LEVEL) | keys.isin(list(known))]


def measure_more(spec: AuditSpec, cases: pa.Table, predictions: pd.DataFrame) -> list[pd.DataFrame]:
    """Measure one candidate by the columns that `more_slices` names, and by their crosses.

    Parameters
    ----------
    spec
        The audit.
    cases
        The evaluation set: `id`, and `data.<column>` of each column that is named.
    predictions
        `id`, `label`, `score` and `prediction` of the cases that the candidate was run on.

    Returns
    -------
    list[pandas.DataFrame]
        One frame a level, no level twice: `level`, `group`, and the columns of
        `evaluator.metrics.slice_metrics` from `metric` on. A declared group without a case has
        `n` 0; a group that has cases, of which the candidate was run on none, is left out.
    """
    place = pd.Index(cases["id"].to_pandas()).get_indexer(pd.Index(predictions["id"]))
    if (place < 0).any():
        raise ValueError("there are predictions for cases that the evaluation set does not have")
    levels: dict[frozenset[str], pd.DataFrame] = {}
    for names in spec.more_slices:
        groups = [_groups_of(cases[DATA_PREFIX + n], spec.data.columns[n]) for n in names]
        frame = predictions[["label", "score", "prediction"]].copy()
        # A declared column may be called `label` itself: here each goes by its position.
        for position, cut in enumerate(groups):
            frame[str(position)] = cut.codes[place]
        measured = slice_metrics(
            frame,
            label="label",
            score="score",
            prediction="prediction",
            slices=[str(position) for position in range(len(names))],
            metrics=spec.metrics,
            confidence=spec.confidence,
            groups={str(p): range(len(c.names)) for p, c in enumerate(groups) if c.declared},
        )
        for level, rows in measured.groupby("level", sort=False):
            if level == "overall":
                continue
            positions = [int(position) for position in str(level).split(" x ")]
            columns = [names[position] for position in positions]
            if frozenset(columns) not in levels:
                cuts = [groups[position] for position in positions]
                levels[frozenset(columns)] = _level(columns, cuts, rows, positions)
    return list(levels.values())


class _Groups(NamedTuple):
    """How a declared column cuts the evaluation set."""

    codes: NDArray[np.intp]
    """The group of each case, as a position among the names."""
    names: list[str]
    declared: bool
    """Whether the column lists its allowed values."""


def _groups_of(column: pa.ChunkedArray, declared: ColumnSpec) -> _Groups:
    """Find the groups of a column: allowed values first, then others in order, then missing."""
    encoded = column.combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_pylist()
    # As the column has them: the YAML may say 1.0 where it holds whole numbers.
    allowed = pa.array(declared.allowed or (), column.type).to_pylist()
    # A rule that only warns lets through what is not allowed.
    values = [*allowed, *sorted(set(found) - set(allowed))]
    position = {value: number for number, value in enumerate(values)}
    lookup = np.array([*(position[value] for value in found), len(values)], dtype=np.intp)
    codes = lookup[encoded.indices.fill_null(len(found)).to_numpy()]
    names = [_group_name(value) for value in values]
    return _Groups(
        codes, names + [MISSING] * (encoded.null_count > 0), declared.allowed is not None
    )


def _group_name(value: Any) -> str:
    """Write a value; a text that could be read as something else stands in quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    is_plain = text == text.strip() != "" and not any(mark in text for mark in ',="')
    return text if is_plain and text != MISSING else json.dumps(text, ensure_ascii=False)


def _level(
    columns: Sequence[str], cuts: Sequence[_Groups], rows: pd.DataFrame, positions: Sequence[int]
) -> pd.DataFrame:
    """Name the groups of a level, and leave out those that the candidate was never run on."""
    codes = [rows[str(position)].to_numpy(dtype=np.intp) for position in positions]
    sizes = [len(cut.names) for cut in cuts]
    there = np.unique(np.ravel_multi_index([cut.codes for cut in cuts], sizes))
    is_unknown = np.isin(np.ravel_multi_index(codes, sizes), there) & (rows["n"].to_numpy() == 0)
    parts = [
        np.array([f"{column} = {name}" for name in cut.names], dtype=object)[code]
        for column, cut, code in zip(columns, cuts, codes, strict=True)
    ]
    named = rows.drop(columns=[name for name in rows.columns if name.isdigit()])
    named["level"] = " x ".join(columns)
    named.insert(1, "group", [", ".join(group) for group in zip(*parts, strict=True)])
    known: pd.DataFrame = named[~is_unknown]
    return known
