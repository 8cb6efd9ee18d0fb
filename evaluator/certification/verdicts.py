"""Gates to verdicts.

At this depth a gate is decided by the value. What could let a bad system pass is closed: a metric,
a slice or a candidate that is missing, outdated, undefined or too few never gives a PASS.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from evaluator.certification.figures import (
    SLICE_LEVEL,
    Figure,
    SliceState,
    place_words,
    read_figures,
    slices_by_candidate,
)
from evaluator.certification.words import (
    count_words,
    currency_words,
    gate_words,
    list_words,
    metric_words,
    number_words,
)
from evaluator.spec.gates import GateSpec

VerdictWord = Literal["PASS", "FAIL", "INSUFFICIENT EVIDENCE"]

Place = tuple[str | None, str | None]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one gate says about one candidate.

    Attributes
    ----------
    gate
        The gate in words.
    metric, gate_level, minimum, maximum, required
        The gate as the audit declares it.
    candidate
        Whom the verdict is about.
    level, geography, segment
        The worst place found, at the scorecard's level: the one furthest on the wrong side, or
        the one that could not be judged, or the one that passes by the least.
    value, low, high, n, n_effective
        What was measured there; None where there is nothing.
    limit
        The limit that is broken there, or the nearer one; None where nothing was measured.
    decided_on
        ``value``: the verdict compares the value with the limit, and not its interval.
    verdict
        ``PASS``, ``FAIL`` or ``INSUFFICIENT EVIDENCE``.
    reason
        Why, in a sentence without its full stop.
    places, failing, open
        How many places the gate looks at, how many fail, and how many cannot be judged.
    """

    gate: str
    metric: str
    gate_level: str
    minimum: float | None
    maximum: float | None
    required: bool
    candidate: str
    level: str
    geography: str | None
    segment: str | None
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    n_effective: float | None
    limit: float | None
    decided_on: Literal["value"] = "value"
    verdict: VerdictWord
    reason: str
    places: int
    failing: int
    open: int

    @property
    def place(self) -> str:
        """The worst place in words."""
        return place_words(self.geography, self.segment)

    def as_record(self) -> dict[str, Any]:
        """Give the verdict as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class _Finding:
    """One place, seen through one gate."""

    place: Place
    figure: Figure | None
    verdict: VerdictWord
    # How far inside its limits the value is; negative outside; None where it cannot be judged.
    margin: float | None
    limit: float | None
    reason: str


def judge(
    gates: Iterable[GateSpec],
    scorecard: pd.DataFrame,
    slices: pd.DataFrame,
    candidates: Sequence[str],
    *,
    allowed_missing: int = 0,
) -> list[Verdict]:
    """Judge every candidate by every gate that is for it.

    Parameters
    ----------
    gates
        The audit's gates.
    scorecard
        One row per candidate, level, slice and metric: the column `candidate` and the columns of
        `evaluator.metrics.slice_metrics` with the slice columns `geography` and `segment`.
    slices
        One row per candidate and slice that the audit expects: `candidate`, `geography`,
        `segment`, `state` (``current``, ``outdated`` or ``missing``), `error`, `content_version`.
    candidates
        The audit's candidates, in the order to report them in.
    allowed_missing
        How many slices of a candidate may be missing (the audit's error budget). Within it, a
        value overall or at a margin counts without the missing slices; a gate that looks at a
        missing slice itself never passes.

    Returns
    -------
    list[Verdict]
        One per gate and candidate, gates outermost, in the order given. A gate for a candidate
        that the audit does not have gives one verdict, INSUFFICIENT EVIDENCE.

    Notes
    -----
    A limit itself passes. FAIL needs a value that was measured: one on current evidence at a
    single slice; at a margin or overall also one from which a slice is missing, and the reason
    then says so. PASS needs every place to be measured, with status ``ok``, on current slices.
    """
    gates = list(gates)
    figures = _by_place(read_figures(scorecard, metrics={gate.metric for gate in gates}))
    states = slices_by_candidate(slices)
    return [
        _judge_one(
            gate,
            candidate,
            figures.get((candidate, gate.metric, _scorecard_level(gate)), {}),
            states.get(candidate, []),
            declared=candidate in candidates,
            allowed_missing=allowed_missing,
        )
        for gate in gates
        for candidate in ([gate.candidate] if gate.candidate is not None else candidates)
    ]


def _judge_one(
    gate: GateSpec,
    candidate: str,
    figures: Mapping[Place, Sequence[Figure]],
    states: Sequence[SliceState],
    *,
    declared: bool,
    allowed_missing: int,
) -> Verdict:
    if not declared:
        reason = f"the audit has no candidate {candidate!r}"
        return _verdict(gate, candidate, [_open((None, None), reason)], reason)
    if not states:
        reason = "no slice of this candidate is recorded, so that nothing says what is missing"
        return _verdict(gate, candidate, [_open((None, None), reason)], reason)
    expected: dict[Place, list[SliceState]] = {}
    for state in states:
        expected.setdefault(_project(gate, state), []).append(state)
    within_budget = sum(not state.is_current for state in states) <= allowed_missing
    # What the audit expects comes first, then what was measured beyond that.
    findings = [
        _look(
            gate,
            place,
            figures.get(place, []),
            expected.get(place, []),
            within_budget=within_budget,
        )
        for place in dict.fromkeys([*expected, *figures])
    ]
    return _verdict(gate, candidate, findings, _reason(gate, findings))


def _look(
    gate: GateSpec,
    place: Place,
    figures: Sequence[Figure],
    states: Sequence[SliceState],
    *,
    within_budget: bool,
) -> _Finding:
    """Judge one place: what was measured there, and on which slices."""
    not_current = [state for state in states if not state.is_current]
    figure = figures[0] if figures else None
    problem = ""
    if gate.level == "slice" and not_current:
        error = not_current[0].error
        problem = f"{not_current[0].state}: {error}" if error else not_current[0].state
        # What an earlier version scored must not stand beside this verdict.
        figure = None
    elif not states:
        problem = "not among the slices that the audit lists"
    elif figure is None:
        problem = f"{metric_words(gate.metric)} was not measured"
    elif len(figures) > 1:
        problem = f"{metric_words(gate.metric)} is recorded {len(figures)} times"
    elif figure.status != "ok" or figure.value is None:
        problem = f"{figure.status.replace('_', ' ')}: {figure.reason}"
    if problem or figure is None or figure.value is None:
        return _open(place, problem, figure)
    margin, limit = _margin(gate, figure.value)
    shown = number_words(figure.value, apart_from=limit)
    said = f"{shown}, {_side(gate, figure.value, limit)}"
    if margin < 0:
        said += f", though {currency_words(states)}" if not_current else ""
        return _Finding(
            place=place, figure=figure, verdict="FAIL", margin=margin, limit=limit, reason=said
        )
    if not_current and not within_budget:
        return _open(place, f"{shown}, but {currency_words(states)}", figure, limit=limit)
    if not_current:
        said += f"; {currency_words(states)}, which the audit allows"
    return _Finding(
        place=place, figure=figure, verdict="PASS", margin=margin, limit=limit, reason=said
    )


def _open(
    place: Place, reason: str, figure: Figure | None = None, *, limit: float | None = None
) -> _Finding:
    return _Finding(
        place=place,
        figure=figure,
        verdict="INSUFFICIENT EVIDENCE",
        margin=None,
        limit=limit,
        reason=reason,
    )


def _reason(gate: GateSpec, findings: Sequence[_Finding]) -> str:
    """Say what was found, in one sentence."""
    failing = [finding for finding in findings if finding.verdict == "FAIL"]
    open_ = [finding for finding in findings if finding.verdict == "INSUFFICIENT EVIDENCE"]
    worst = _worst(findings)
    if gate.level == "overall" and len(findings) == 1:
        return f"{metric_words(gate.metric)} is {worst.reason}" if not open_ else worst.reason
    total = count_words(len(findings), gate.level)
    if failing:
        return (
            f"{len(failing)} of {total} {'fails' if len(failing) == 1 else 'fail'}; the worst is "
            f"{place_words(*worst.place)} with {worst.reason}"
            + (f"; {len(open_)} more cannot be judged" if open_ else "")
        )
    if open_:
        named = [f"{place_words(*finding.place)} ({finding.reason})" for finding in open_]
        return f"{len(open_)} of {total} cannot be judged: {list_words(named)}"
    passing = f"all {total} pass" if len(findings) > 1 else f"the one {gate.level} passes"
    return f"{passing}; the closest is {place_words(*worst.place)} with {worst.reason}"


def _worst(findings: Sequence[_Finding]) -> _Finding:
    """Choose the place to show: failing before open before passing, then the least margin."""
    order: dict[VerdictWord, int] = {"FAIL": 0, "INSUFFICIENT EVIDENCE": 1, "PASS": 2}
    return min(findings, key=lambda f: (order[f.verdict], 0.0 if f.margin is None else f.margin))


def _verdict(gate: GateSpec, candidate: str, findings: Sequence[_Finding], reason: str) -> Verdict:
    worst = _worst(findings)
    figure = worst.figure
    return Verdict(
        gate=gate_words(gate),
        metric=gate.metric,
        gate_level=gate.level,
        minimum=gate.minimum,
        maximum=gate.maximum,
        required=gate.required,
        candidate=candidate,
        level=_scorecard_level(gate),
        geography=worst.place[0],
        segment=worst.place[1],
        value=None if figure is None else figure.value,
        low=None if figure is None else figure.low,
        high=None if figure is None else figure.high,
        n=None if figure is None else figure.n,
        n_effective=None if figure is None else figure.n_effective,
        limit=worst.limit,
        verdict=worst.verdict,
        reason=reason,
        places=len(findings),
        failing=sum(finding.verdict == "FAIL" for finding in findings),
        open=sum(finding.verdict == "INSUFFICIENT EVIDENCE" for finding in findings),
    )


def _margin(gate: GateSpec, value: float) -> tuple[float, float]:
    """Give how far inside its limits a value is, and the limit that is nearer or broken."""
    margins = []
    if gate.minimum is not None:
        margins.append((value - gate.minimum, gate.minimum))
    if gate.maximum is not None:
        margins.append((gate.maximum - value, gate.maximum))
    return min(margins)


def _side(gate: GateSpec, value: float, limit: float) -> str:
    if value < limit:
        return f"{'below the minimum' if limit == gate.minimum else 'within the maximum'} {limit:g}"
    if value > limit:
        return f"{'above the maximum' if limit == gate.maximum else 'above the minimum'} {limit:g}"
    return f"exactly the limit {limit:g}"


def _scorecard_level(gate: GateSpec) -> str:
    return SLICE_LEVEL if gate.level == "slice" else gate.level


def _project(gate: GateSpec, state: SliceState) -> Place:
    """Give the place, at the gate's level, that a slice belongs to."""
    return (
        state.geography if gate.level in {"geography", "slice"} else None,
        state.segment if gate.level in {"segment", "slice"} else None,
    )


def _by_place(
    figures: Iterable[Figure],
) -> dict[tuple[str, str, str], dict[Place, list[Figure]]]:
    indexed: dict[tuple[str, str, str], dict[Place, list[Figure]]] = {}
    for figure in figures:
        places = indexed.setdefault((figure.candidate, figure.metric, figure.level), {})
        places.setdefault(figure.place, []).append(figure)
    return indexed
