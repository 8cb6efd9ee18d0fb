"""Whether the columns that an audit names are there, and can be what they are named for."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evaluator.spec.base import problem, suggestion
from evaluator.spec.data import ColumnSpec
from evaluator.spec.findings import DAY, CompareSpec, FairnessSpec, WeakSlicesSpec

if TYPE_CHECKING:
    from evaluator.spec.audit import AuditSpec

MOST_SLICE_COLUMNS = 4
"""How many columns may be crossed; beyond that slices hold hardly a case each."""


def check_declared(key: str, column: str, columns: Mapping[str, ColumnSpec]) -> None:
    """Refuse a column that is not declared, and say which one could have been meant."""
    if column not in columns:
        raise problem(
            key,
            f"the column {column!r} is not declared",
            suggestion(
                column,
                columns,
                f"declare it under `data.columns`, or use one of {', '.join(columns)}",
            ),
        )


def check_more_slices(spec: "AuditSpec") -> None:
    """Refuse lists of further columns that cannot be crossed."""
    for index, names in enumerate(spec.more_slices):
        key = f"more_slices.{index}"
        if not 1 <= len(names) <= MOST_SLICE_COLUMNS:
            raise problem(
                key,
                f"it names {len(names)} columns",
                f"name one to {MOST_SLICE_COLUMNS} columns in each list",
            )
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise problem(key, f"the column {repeated[0]!r} stands there twice", "keep one of them")
        for name in names:
            _check_groups(key, name, spec)


def check_findings(spec: "AuditSpec") -> None:
    """Refuse what `compare`, `fairness` and `weak_slices` could not be computed with."""
    if spec.compare is not None and "compare" in spec.model_fields_set:
        _check_compare(spec.compare, spec)
    for key, found in (("fairness", spec.fairness), ("weak_slices", spec.weak_slices)):
        if found is not None and not spec.candidates:
            raise problem(
                key, "there are no candidates to look at", f"declare `candidates`, or no `{key}`"
            )
    if spec.fairness is not None:
        _check_fairness(spec.fairness, spec)
    if spec.weak_slices is not None:
        _check_weak_slices(spec.weak_slices, spec)


def _check_compare(compare: CompareSpec, spec: "AuditSpec") -> None:
    if not spec.compares:
        raise problem(
            "compare",
            "there are no two candidates of which one is the baseline",
            "write `baseline: true` on the candidate that the others are compared with",
        )
    margins = compare.margin if isinstance(compare.margin, dict) else {}
    for name in margins:
        if name not in spec.metrics:
            raise problem(
                "compare.margin",
                f"{name!r} is not among the audit's metrics",
                suggestion(name, spec.metrics, f"use one of {', '.join(spec.metrics)}"),
            )
    _check_cluster("compare.cluster", compare.cluster, spec)


def _check_fairness(fairness: FairnessSpec, spec: "AuditSpec") -> None:
    for name in fairness.attributes:
        _check_groups("fairness.attributes", name, spec)
    for name in fairness.control:
        _check_groups("fairness.control", name, spec)
        if name in fairness.attributes:
            raise problem(
                "fairness.control",
                f"the column {name!r} is an attribute too",
                "take it out: within one of its groups there is nothing to compare",
            )
    if isinstance(fairness.reference, str):
        return
    if set(fairness.reference) != set(fairness.attributes):
        raise problem(
            "fairness.reference",
            f"it names {', '.join(fairness.reference) or 'no column'}, and the attributes are"
            f" {', '.join(fairness.attributes)}",
            "give one value of every attribute",
        )
    for name, value in fairness.reference.items():
        allowed = spec.data.columns[name].allowed
        if allowed is not None and value not in allowed:
            raise problem(
                "fairness.reference",
                f"{value!r} is not an allowed value of {name!r}",
                f"use one of {', '.join(map(str, allowed))}",
            )


def _check_weak_slices(weak_slices: WeakSlicesSpec, spec: "AuditSpec") -> None:
    for name in weak_slices.features:
        _check_is_no_label_or_id("weak_slices.features", name, spec)
        column = spec.data.columns[name]
        if column.kind in ("date", "timestamp"):
            hour = " or " + f"`hour({name})`" if column.kind == "timestamp" else ""
            raise problem(
                "weak_slices.features",
                f"the column {name!r} is a {column.type}, and none of its values comes again",
                "derive a number and name that, such as a column of type integer with"
                f" `derive` as `weekday({name})`{hour}",
            )
    _check_cluster("weak_slices.cluster", weak_slices.cluster, spec)


def _check_cluster(key: str, name: str | None, spec: "AuditSpec") -> None:
    if name is None or (name == DAY and name not in spec.data.columns):
        return
    _check_is_no_label_or_id(key, name, spec)
    if spec.data.columns[name].type in ("float", "decimal", "timestamp"):
        raise problem(
            key,
            f"the column {name!r} is a {spec.data.columns[name].type}, which hardly any two cases"
            " have in common",
            f"name what cases share, such as a customer, or `{DAY}`",
        )


def _check_groups(key: str, name: str, spec: "AuditSpec") -> None:
    """Refuse a column that cuts the cases into no groups, or into as many as there are cases."""
    _check_is_no_label_or_id(key, name, spec)
    column = spec.data.columns[name]
    if column.type in ("float", "decimal", "timestamp"):
        raise problem(
            key,
            f"the column {name!r} is a {column.type}, which has nearly as many values as cases",
            "derive a band and name that, such as a column of type boolean with"
            f' `derive: "{_band(name, column)}"`',
        )


def _check_is_no_label_or_id(key: str, name: str, spec: "AuditSpec") -> None:
    check_declared(key, name, spec.data.columns)
    if spec.label is not None and name == spec.label.column:
        raise problem(
            key,
            f"the column {name!r} is the label",
            "take it out: within one of its groups there is nothing to tell apart",
        )
    if name == spec.data.id:
        raise problem(
            key, f"the column {name!r} is the id", "take it out: each of its groups is one case"
        )


def _band(name: str, column: ColumnSpec) -> str:
    return f"hour({name}) < 12" if column.type == "timestamp" else f"{name} >= 100"
