"""From the predictions of an audit's candidates to all tables of its scorecard.

Who makes a scorecard and who checks one call the same function. A fault in what is looked at
beside the measurements never costs the scorecard: it becomes a remark, and the table has no rows.
"""

import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from evaluator.evaluation._cases import WEIGHT, EvaluatedCases, IntArray
from evaluator.evaluation._compare import NO_OTHERS, OthersCompared, compare
from evaluator.evaluation._fairness import measure_fairness
from evaluator.evaluation._measure import (
    design_effect,
    measure_additional_slices,
    measure_evaluated,
)
from evaluator.evaluation._pictures import PICTURES
from evaluator.evaluation._weak_slices import search_weak_slices
from evaluator.scorecard import (
    ADDITIONAL_MEASUREMENTS,
    COMPARISONS,
    FAIRNESS,
    MEASUREMENTS,
    PAIRS,
    RANKS,
    SLICE_COLUMNS,
    WEAK_SLICES,
    WORSENED,
    Slice,
    to_stored,
)
from evaluator.spec import AuditSpec, CandidateSpec

SCORE_VERSION: Final = "8"
"""Raised when `score` would give other figures for the same inputs."""
DESIGN_EFFECT = 1.5
"""A design effect of days above this is told where the audit takes cases as independent."""


class Predicted(NamedTuple):
    """What a candidate said about the cases of its current slices."""

    frame: pd.DataFrame
    """`id`, `label`, the task's `output_columns`, `geography` and `segment`."""
    slices: Collection[Slice]
    """One may have no case."""


Worsened = Callable[[CandidateSpec, pd.DataFrame], pd.DataFrame]
"""Compares a candidate, given its predictions, with what it was when it was last certified."""


class Scored(NamedTuple):
    """What a scorecard says of all candidates."""

    tables: dict[str, pa.Table]
    """The measurements and all tables that a scorecard stores besides, by their files' names;
    without those that the task does not ask for."""
    searches: dict[str, dict[str, Any]]
    """By candidate, how far its weak slices were searched."""
    remarks: list[str]
    """What could not be looked at, or who is not compared."""


class CandidateFindings(NamedTuple):
    """What was found of one candidate by itself."""

    tables: dict[str, pd.DataFrame]
    search: dict[str, Any] | None
    """How far its weak slices were searched; None where they were not."""
    remarks: list[str]


class _CandidateScore(NamedTuple):
    predictions: pd.DataFrame
    measurements: pd.DataFrame
    additional_measurements: Sequence[pd.DataFrame]
    found: CandidateFindings
    effect_of_days: float
    """The design effect of days on its losses; NaN where there is none to be told."""


def score(
    spec: AuditSpec,
    cases: EvaluatedCases,
    predicted: Callable[[CandidateSpec], Predicted | None],
    *,
    worsened: Worsened | None = None,
    others: OthersCompared = NO_OTHERS,
) -> Scored:
    """Measure and compare all candidates, as far as the audit asks for it.

    Parameters
    ----------
    spec
        The audit.
    cases
        The evaluation set.
    predicted
        Reads a candidate's predictions; None where none of its slices is current. Candidates are
        read and measured side by side.
    worsened
        Looks for what got worse; without it nobody does.
    others
        Where `spec` was narrowed to some of its candidates, what of the others bears on how these
        are compared. There are no ranks then.

    Returns
    -------
    Scored
        Its tables; how far was searched; and remarks, where something could not be looked at.

    Raises
    ------
    ValueError
        Where there is no candidate with predictions, or there are some for other cases.
    """

    def scored(candidate: CandidateSpec) -> _CandidateScore | None:
        found = predicted(candidate)
        return None if found is None else _score_one(spec, candidate, cases, found, worsened)

    # Reading and numpy let go of the lock, so candidates are measured side by side.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = zip(spec.candidates, pool.map(scored, spec.candidates), strict=True)
        of_each = {candidate.name: one for candidate, one in results if one is not None}
    compared, remarks = find_differences(
        spec, {name: one.predictions for name, one in of_each.items()}, cases, others
    )
    measurements = pd.concat([one.measurements for one in of_each.values()], ignore_index=True)
    measurements = measurements.astype(dict.fromkeys(SLICE_COLUMNS, "str"))
    more = [
        {ADDITIONAL_MEASUREMENTS: table}
        for one in of_each.values()
        for table in one.additional_measurements
    ]
    stored = to_stored([*more, compared, *(one.found.tables for one in of_each.values())])
    for name in PICTURES.keys() - set(spec.asks.pictures):
        del stored[name]
    return Scored(
        {MEASUREMENTS: pa.Table.from_pandas(measurements, preserve_index=False), **stored},
        {name: one.found.search for name, one in of_each.items() if one.found.search is not None},
        [
            *_dependence_remark(cases, {name: one.effect_of_days for name, one in of_each.items()}),
            *remarks,
            *(remark for one in of_each.values() for remark in one.found.remarks),
        ],
    )


def _score_one(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predicted: Predicted,
    worsened: Worsened | None,
) -> _CandidateScore:
    predictions = predicted.frame
    row_positions = cases.positions_of(predictions)
    measurements = measure_evaluated(
        spec, candidate, cases, predictions, row_positions, known=predicted.slices
    )
    additional_measurements = measure_additional_slices(
        spec, candidate, cases, predictions, row_positions
    )
    for one in (measurements, *additional_measurements):
        one.insert(0, "candidate", candidate.name)
    found = find_for_candidate(
        spec, candidate, cases, predictions, row_positions, worsened=worsened
    )
    effect = _effect_of_days(spec, cases, predictions, row_positions)
    return _CandidateScore(predictions, measurements, additional_measurements, found, effect)


def _effect_of_days(
    spec: AuditSpec, cases: EvaluatedCases, predictions: pd.DataFrame, row_positions: IntArray
) -> float:
    """Tell how much cases of one day are alike, where the audit takes them as independent."""
    if spec.data.cluster is not None:
        return math.nan
    said = (predictions[name].to_numpy() for name in ("label", "prediction"))
    losses = spec.asks.case_losses(*said)
    weights = cases.dependence(row_positions).get(WEIGHT)
    return design_effect(
        losses, cases.days.codes[row_positions], None if weights is None else weights.to_numpy()
    )


def _dependence_remark(cases: EvaluatedCases, effects: Mapping[str, float]) -> Iterator[str]:
    """Say that cases are not as independent as they are taken for; nothing where they are."""
    candidate = max(effects, key=lambda name: np.nan_to_num(effects[name]))
    largest = effects[candidate]
    if largest > DESIGN_EFFECT:
        yield (
            "cases are taken as independent, and those of one day are alike: over"
            f" {len(cases.days.names)} days the design effect on the losses of {candidate} is"
            f" {largest:.1f}, so that intervals are about {math.sqrt(largest):.1f} times too"
            " narrow; `data.cluster: day` takes days as the independent units"
        )


def find_for_candidate(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    row_positions: IntArray,
    *,
    worsened: Worsened | None = None,
) -> CandidateFindings:
    """Look at one candidate's fairness and weak slices, as far as the audit asks for it."""
    tables: dict[str, pd.DataFrame] = {}
    remarks: list[str] = []
    search = None

    def tried(what: str, work: Callable[[], Any]) -> Any:
        return _attempt(f"{what} of {candidate.name}", work, remarks)

    for name in spec.asks.pictures:
        what, picture = PICTURES[name]
        tables[name] = tried(
            what, partial(picture, spec, candidate, cases, predictions, row_positions)
        )
    if spec.fairness is not None:
        tables[FAIRNESS] = tried(
            "a look at the fairness",
            lambda: measure_fairness(spec, candidate, cases, predictions, row_positions),
        )
    if spec.weak_slices is not None:
        searched = tried(
            "a search for weak slices",
            lambda: search_weak_slices(spec, candidate, cases, predictions, row_positions),
        )
        if searched is not None:
            tables[WEAK_SLICES], search = searched.table, searched.search
        if worsened is not None:
            tables[WORSENED] = tried(
                "a comparison with the last certificate",
                lambda: worsened(candidate, predictions),
            )
    found = {
        name: table.assign(candidate=candidate.name)
        for name, table in tables.items()
        if table is not None and len(table)
    }
    return CandidateFindings(found, search, remarks)


def find_differences(
    spec: AuditSpec,
    predictions: Mapping[str, pd.DataFrame],
    cases: EvaluatedCases,
    others: OthersCompared = NO_OTHERS,
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Compare the candidates where the audit does; return the tables and the remarks."""
    if not spec.compares:
        return {}, []
    remarks: list[str] = []
    found = _attempt("a comparison", lambda: compare(spec, predictions, cases, others), remarks)
    if found is None:
        return {}, remarks
    tables = {COMPARISONS: found.comparisons, PAIRS: found.pairs, RANKS: found.ranks}
    return tables, [*remarks, *found.remarks]


def _attempt(what: str, work: Callable[[], Any], remarks: list[str]) -> Any:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it must not cost the rest
        remarks.append(f"{what} was not possible: {error or type(error).__name__}")
        return None
