"""The scorecard's candidates, compared case by case on the cases that they have in common."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from evaluator.evaluation._cases import EvaluatedCases, dependence_columns, with_dependence
from evaluator.metrics import METRICS
from evaluator.scorecard import SLICE_COLUMNS, SLICE_LEVEL, Slice, slice_keys
from evaluator.spec import AuditSpec, CandidateSpec, Task

NOT_EVALUATED = "the compared candidates were not all evaluated there"
_OF_SOME = ("score", "limits")
"""What metrics may need that not every candidate gives."""
_NUMBERS = (
    "difference",
    "low",
    "high",
    "p_value",
    "p_adjusted",
    "low_adjusted",
    "high_adjusted",
    "p_equivalent",
    "p_not_worse",
)


class OthersCompared(NamedTuple):
    """What is known of candidates that are not compared once more, and bears on those that are."""

    slices: Mapping[str, Collection[str]]
    """By candidate, the keys of the slices that it was evaluated on and that have cases."""
    comparisons: Mapping[str, Sequence[float]]
    """By metric, the p-values of their comparisons with the baseline."""
    pairs: Mapping[str, Sequence[float]]
    """By metric, the p-values of all pairs that one of them is in."""


NO_OTHERS = OthersCompared({}, {}, {})


class ComparisonTables(NamedTuple):
    """Candidates against the baseline, all pairs, and ranks; what a reader must know besides."""

    comparisons: pd.DataFrame
    pairs: pd.DataFrame
    ranks: pd.DataFrame
    remarks: list[str]


def compare(
    spec: AuditSpec,
    predictions: Mapping[str, pd.DataFrame],
    cases: EvaluatedCases,
    others: OthersCompared = NO_OTHERS,
) -> ComparisonTables:
    """Compare an audit's candidates on the slices that all of them were evaluated on.

    A candidate that lacks more than half of the baseline's slices is left out, so that the others
    keep theirs; like what cannot be compared for want of scores, it is listed as "not compared".
    Where the audit was narrowed to some of its candidates, `others` are those that it had besides.
    """
    baseline = next(candidate for candidate in spec.candidates if candidate.baseline)
    slices = {
        name: set(slice_keys(frame[list(SLICE_COLUMNS)].drop_duplicates()))
        for name, frame in predictions.items()
    }
    known = slices.get(baseline.name, set())
    if not known:
        raise ValueError(f"the baseline {baseline.name} has no current slice with cases")
    shared = {c.name: len(slices.get(c.name, set()) & known) for c in spec.candidates}
    taking = [c for c in spec.candidates if 2 * shared[c.name] >= len(known)]
    remarks = [
        f"{c.name} is not compared: it was evaluated on {shared[c.name]} of the {len(known)} slices"
        f" of {baseline.name}"
        for c in spec.candidates
        if c not in taking
    ]
    if len(taking) < 2:  # noqa: PLR2004 - a comparison needs two
        raise ValueError("; ".join(remarks))
    also = [set(keys) for keys in others.slices.values()]
    also = [keys for keys in also if 2 * len(keys & known) >= len(known)]
    common = set.intersection(*(slices[c.name] for c in taking), *also)
    everywhere = set.union(*(slices[c.name] for c in taking), *also)
    if not common:
        raise ValueError("there is no slice on which all candidates were evaluated")
    if common != everywhere:
        remarks.append(
            f"the candidates are compared on the {len(common)} of {len(everywhere)} slices on which"
            " all of them were evaluated"
        )
    frame = _pair_predictions(spec.asks, taking, predictions, common, cases)
    for needs in _OF_SOME:
        without = [c.name for c in taking if spec.asks.lacking(c, needs) is not None]
        if without and any(METRICS[name].needs == needs for name in spec.metrics):
            what = "limits" if needs == "limits" else "scores"
            remarks.append(f"{', '.join(without)}: without {what}, not compared by what needs them")
    return _compare_frame(spec, taking, frame, everywhere - common, remarks, others=others)


def _pair_predictions(
    asks: Task,
    candidates: Sequence[CandidateSpec],
    predictions: Mapping[str, pd.DataFrame],
    common: set[str],
    cases: EvaluatedCases,
) -> pd.DataFrame:
    """Put the candidates' predictions beside each other; other cases or labels are refused."""
    from evaluator.metrics import paired_frame

    kept = {c.name: _of_slices(predictions[c.name], common) for c in candidates}
    frame = paired_frame(
        {c.name: kept[c.name][["id", "label", *asks.output_columns(c)]] for c in candidates}
    )
    # The evaluation set says which slice a case is of, to all candidates alike.
    for name in SLICE_COLUMNS:
        frame[name] = kept[candidates[0].name][name].to_numpy()
    return with_dependence(cases, frame, cases.positions_of(frame))


def _of_slices(predictions: pd.DataFrame, common: set[str]) -> pd.DataFrame:
    """Keep the cases of these slices."""
    columns = list(SLICE_COLUMNS)
    # Both in the order in which the slices come.
    number = predictions.groupby(columns, sort=False).ngroup().to_numpy()
    is_common = slice_keys(predictions[columns].drop_duplicates()).isin(list(common)).to_numpy()
    return predictions[is_common[number]]


def _compare_frame(
    spec: AuditSpec,
    candidates: Sequence[CandidateSpec],
    frame: pd.DataFrame,
    missing: set[str],
    remarks: list[str],
    *,
    others: OthersCompared,
) -> ComparisonTables:
    from evaluator.metrics import compare_candidates, compare_pairs, rank_candidates

    testable = spec.asks.comparable(spec.metrics)
    decided = [name for name in testable if METRICS[name].needs not in _OF_SOME]
    baseline = str(spec.baseline)
    names = [c.name for c in candidates]

    def found(method: Callable[..., pd.DataFrame], **settings: Any) -> list[pd.DataFrame]:
        """Compare by what rests on decisions, and those who give more by what rests on that."""
        # Something has to be compared for the scopes and their cases to be known.
        tables = [
            method(
                frame, **_settings(spec, names, decided or [spec.asks.any_comparison]), **settings
            )
        ]
        for needs in _OF_SOME:
            metrics = [name for name in testable if METRICS[name].needs == needs]
            givers = [c.name for c in candidates if spec.asks.lacking(c, needs) is None]
            is_compared = len(givers) > 1 and settings.get("baseline", givers[0]) in givers
            if metrics and is_compared:
                tables.append(method(frame, **_settings(spec, givers, metrics), **settings))
        for table in tables:
            _note_missing_cases(table, missing)
        return tables

    tables = found(compare_candidates, baseline=baseline, others=others.comparisons)
    scopes = _scopes(tables[0])
    pairs = found(compare_pairs, others=others.pairs)
    if not decided:
        tables, pairs = tables[1:], pairs[1:]
    tables += list(_not_compared(spec, names, scopes, tables))
    # Among some of the candidates there are none.
    ranks = [] if others.slices else [rank_candidates(table) for table in pairs]
    return ComparisonTables(
        _in_order(pd.concat(tables, ignore_index=True), spec, scopes),
        pd.concat([scopes.iloc[:0], *pairs], ignore_index=True),
        pd.concat(ranks, ignore_index=True) if ranks else pd.DataFrame(),
        remarks,
    )


def _settings(spec: AuditSpec, names: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    compare = spec.compare
    if compare is None:
        raise ValueError("the audit does not compare")
    margin = compare.margin
    if isinstance(margin, Mapping):
        margin = {name: value for name, value in margin.items() if name in metrics} or None
    settings: dict[str, Any] = {
        "task": spec.asks.name,
        "label": "label",
        "slices": list(SLICE_COLUMNS),
        "groups": spec.slice_values(),
        "metrics": list(metrics),
        "confidence": spec.confidence,
        "adjust": compare.adjust,
        "margin": margin,
        **dependence_columns(spec.data),
    }
    forms = [(c, f"{{}} of {c.name}") for c in spec.candidates if c.name in names]
    columns = {c.name: spec.asks.metric_columns(c, form) for c, form in forms}
    limits = {c.name: spec.asks.limit_columns(c, form) for c, form in forms}
    settings["predictions"] = {name: own.pop("prediction") for name, own in columns.items()}
    # Where decisions are compared, equal scores tell that two candidates are one and the same.
    scores = {name: own.pop("score") for name, own in columns.items()}
    settings["scores"] = {name: one for name, one in scores.items() if one is not None}
    settings["limits"] = {name: one for name, one in limits.items() if one is not None}
    # What is left is the same for all, but for where the label stands: it is the case's.
    return {**columns[names[0]], **spec.asks.metric_options, **settings}


def _note_missing_cases(table: pd.DataFrame, missing: set[str]) -> None:
    """Say of a scope without cases that these were left out, where they were."""
    parts = [Slice.of_key(key) for key in missing]
    scopes = {
        "geography": {geography for geography, _ in parts},
        "segment": {segment for _, segment in parts},
        SLICE_LEVEL: missing,
    }
    named = {
        "geography": table["geography"],
        "segment": table["segment"],
        SLICE_LEVEL: slice_keys(table),
    }
    for level, names in scopes.items():
        is_missing = (table["level"] == level) & (table["n"] == 0) & named[level].isin(list(names))
        table.loc[is_missing, "reason"] = NOT_EVALUATED


def _scopes(table: pd.DataFrame) -> pd.DataFrame:
    """Take one row a scope, of any candidate and metric."""
    scopes: pd.DataFrame = table.drop_duplicates(["level", *SLICE_COLUMNS])
    return scopes.drop(columns="class", errors="ignore")


def _not_compared(
    spec: AuditSpec, taking: Sequence[str], scopes: pd.DataFrame, tables: Sequence[pd.DataFrame]
) -> list[pd.DataFrame]:
    """List candidates and metrics that could not be compared, in every scope."""
    there = {
        pair for table in tables for pair in zip(table["candidate"], table["metric"], strict=True)
    }
    baseline = next(candidate for candidate in spec.candidates if candidate.baseline)
    rows = []
    for candidate in spec.candidates:
        name = candidate.name
        for metric in spec.asks.comparable(spec.metrics):
            if name == spec.baseline or (name, metric) in there:
                continue
            needs = METRICS[metric].needs
            reason = (
                spec.asks.lacking(candidate, needs) or spec.asks.lacking(baseline, needs)
                if name in taking
                else f"{name} was evaluated on too few slices to be compared"
            )
            rows += [
                scopes.assign(
                    candidate=name,
                    baseline=spec.baseline,
                    metric=metric,
                    **({} if one is None else {"class": one}),
                    **dict.fromkeys(_NUMBERS, float("nan")),
                    n=scopes["n"] if name in taking else 0,
                    n_effective=0.0,
                    clusters=pd.array([pd.NA] * len(scopes), dtype="Int64"),
                    **dict.fromkeys(("n_discordant", "better", "worse"), 0),
                    higher_is_better=METRICS[metric].higher_is_better,
                    conclusion="not compared",
                    status="undefined",
                    reason=reason,
                ).astype({"clusters": "Int64", "higher_is_better": "boolean"})
                for one in spec.asks.classes_of(metric)
            ]
    return rows


def _in_order(table: pd.DataFrame, spec: AuditSpec, scopes: pd.DataFrame) -> pd.DataFrame:
    """Sort by candidate, scope and metric as the audit declares them."""
    where = ["level", *SLICE_COLUMNS]
    order = pd.MultiIndex.from_frame(scopes[where].fillna(""))
    position = order.get_indexer(pd.MultiIndex.from_frame(table[where].fillna("")))
    by = pd.DataFrame(
        {
            "candidate": pd.Index([c.name for c in spec.candidates]).get_indexer(
                pd.Index(table["candidate"])
            ),
            "scope": position,
            "metric": pd.Index(spec.metrics).get_indexer(pd.Index(table["metric"])),
        }
    )
    ordered: pd.DataFrame = table.loc[by.sort_values(list(by.columns), kind="stable").index]
    return ordered.reset_index(drop=True)
