"""Rules over a whole day, held against its profile."""

from datetime import date
from typing import Any

from evaluator.spec.data import DataSpec


def dataset_findings(
    profile: dict[str, Any], data: DataSpec, day: date | None
) -> list[dict[str, Any]]:
    """Hold a day against the rules that are about all its rows.

    Parameters
    ----------
    profile
        With `rows` and `statistics`.
    data
        What is declared.
    day
        The file's day; without it freshness cannot be judged and is not.

    Returns
    -------
    list of dict
        One for each broken rule: `rule`, `column`, `severity`, `says`.
    """
    rules = data.dataset_rules
    rows = profile["rows"]["read"]
    found: list[dict[str, Any]] = []

    def add(rule: str, says: str, severity: str, column: str | None = None) -> None:
        found.append({"rule": rule, "column": column, "severity": severity, "says": says})

    if rules.minimum_rows is not None and rows < rules.minimum_rows:
        says = f"the file has {rows:,} rows, fewer than {rules.minimum_rows:,}"
        add("minimum_rows", says, rules.severity)
    if rules.maximum_rows is not None and rows > rules.maximum_rows:
        says = f"the file has {rows:,} rows, more than {rules.maximum_rows:,}"
        add("maximum_rows", says, rules.severity)
    freshness = rules.freshness
    if freshness is not None and day is not None:
        newest = profile["statistics"].get(freshness.column, {}).get("max")
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
        limit = column.maximum_missing_share
        figures = profile["statistics"].get(name)
        if limit is None or not figures or not (figures["count"] + figures["missing"]):
            continue
        share = figures["missing"] / (figures["count"] + figures["missing"])
        if share > limit:
            says = f"{name} is missing in {share:.1%} of the rows (at most {limit:.1%})"
            add("maximum_missing_share", says, column.severity, name)
    return found
