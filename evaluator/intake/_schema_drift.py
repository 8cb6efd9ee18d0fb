"""A file's columns against the declared ones and those of the last accepted day."""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from evaluator.intake._infer import type_of_text
from evaluator.spec import DataSpec

#: From this likeness on, a column that went and one that came may be the same one, renamed.
MIN_SIMILARITY: Final = 0.6


def schema_drift(
    header: Sequence[str],
    data: DataSpec,
    last_accepted: Mapping[str, Any] | None,
    profile: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Compare a file's columns."""
    if not header:
        return []
    found = _changes(header, data.file_columns, "declared")
    found += _type_changes(data, profile)
    if last_accepted and last_accepted.get("header"):
        against = "last accepted day"
        found += _changes(header, last_accepted["header"], against)
        found += _retyped_since(data, last_accepted, against)
    return found


def _changes(header: Sequence[str], before: Sequence[str], against: str) -> list[dict[str, Any]]:
    added = [name for name in dict.fromkeys(header) if name not in before]
    removed = [name for name in before if name not in header]
    found = []
    for old, new in _renamings(removed, added):
        removed.remove(old)
        added.remove(new)
        says = f"{old!r} seems to be called {new!r} now"
        suggestion = f"columns: rename {old!r} to {new!r}"
        found.append(_change("renamed", against, new, says, suggestion, old=old))
    for name in removed:
        suggestion = f"columns.{name}: remove it, or add `optional: true`"
        found.append(_change("removed", against, name, f"{name!r} is gone", suggestion))
    for name in added:
        label = repr(name) if name else "a column without a name"
        suggestion = f"columns: add `{name}: {{type: string}}`" if name else ""
        found.append(_change("added", against, name, f"{label} is new", suggestion))
    common = [name for name in dict.fromkeys(header) if name in before]
    if common != [name for name in before if name in header]:
        says = f"the columns stand in another order: {', '.join(common)}"
        found.append(_change("reordered", against, None, says, ""))
    return found


def _renamings(removed: Sequence[str], added: Sequence[str]) -> list[tuple[str, str]]:
    """Pair columns that went with ones that came, the most alike first."""
    pairs = sorted(
        ((similarity(old, new), old, new) for old in removed for new in added if new),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    chosen: list[tuple[str, str]] = []
    for alike, old, new in pairs:
        taken = any(old == first or new == second for first, second in chosen)
        if alike >= MIN_SIMILARITY and not taken:
            chosen.append((old, new))
    return chosen


def similarity(first: str, second: str) -> float:
    """Say how alike two names are, from 0 to 1; case and separators do not count."""
    one, other = ("".join(c for c in name.casefold() if c.isalnum()) for name in (first, second))
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _type_changes(data: DataSpec, profile: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Find columns of which most values are not of their type: these were retyped, not mistyped."""
    rows = profile["rows"]["read"]
    found = []
    for finding in profile["findings"]:
        if finding["rule"] == "type" and rows and finding["count"] > rows / 2:
            name = finding["column"]
            example = finding["examples"][0]["value"]
            says = (
                f"{finding['count']:,} of {rows:,} values of {name!r} are not of type "
                f"{data.columns[name].type}, for example {example!r}"
            )
            suggestion = f"columns.{name}.type: {type_of_text(example)}"
            found.append(_change("retyped", "declared", name, says, suggestion))
    return found


def _retyped_since(
    data: DataSpec, last_accepted: Mapping[str, Any], against: str
) -> list[dict[str, Any]]:
    before = last_accepted.get("types", {})
    return [
        _change(
            "retyped",
            against,
            name,
            f"{name!r} is declared as {column.type}, and was {before[name]}",
            "",
        )
        for name, column in data.columns.items()
        if name in before and before[name] != column.type
    ]


def _change(
    change: str, against: str, column: str | None, says: str, suggestion: str, **more: Any
) -> dict[str, Any]:
    return {
        "change": change,
        "against": against,
        "column": column,
        "says": says,
        "suggestion": suggestion,
        **more,
    }
