"""A file's columns against the declared ones and those of the last accepted day."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final

from evaluator.intake._profile import Change, ColumnChange, Finding, Profile
from evaluator.intake._sketch import type_of_text
from evaluator.spec import DataSpec, can_name_a_column, yaml_line

#: From this likeness on, a column that went and one that came may be the same one, renamed.
MIN_SIMILARITY: Final = 0.6


def schema_drift(
    header: Sequence[str],
    data: DataSpec,
    last_accepted: Profile | None,
    findings: Sequence[Finding],
    rows: int,
) -> list[ColumnChange]:
    """Compare a file's columns; `findings` are those in as many rows."""
    header = [name for name in header if name not in data.ignore_columns]
    if not header:
        return []
    found = _changes(header, data.file_columns, "declared", data.id_columns)
    found += _type_changes(data, findings, rows)
    if last_accepted is not None and last_accepted.header:
        against = "last accepted day"
        before = [name for name in last_accepted.header if name not in data.ignore_columns]
        found += _changes(header, before, against, data.id_columns)
        found += _retyped_since(data, last_accepted, against)
    return found


def _changes(
    header: Sequence[str], before: Sequence[str], against: str, ids: Sequence[str]
) -> list[ColumnChange]:
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
        if name in ids:
            # Without an id there are no cases, so that it can neither be absent nor optional.
            suggestion = "id: name the column that identifies a row now"
        found.append(_change("removed", against, name, f"{name!r} is gone", suggestion))
    for name in added:
        label = repr(name) if name else "a column without a name"
        # What stands there several times, or has no proper name, cannot be declared.
        is_usable = can_name_a_column(name) and header.count(name) == 1
        suggestion = (
            f"columns: add `{yaml_line(name, {'type': 'string'})}`, or `ignore_columns`"
            if is_usable
            else ""
        )
        found.append(_change("added", against, name, f"{label} is new", suggestion))
    common = [name for name in dict.fromkeys(header) if name in before]
    if common != [name for name in before if name in header]:
        says = f"the columns stand in another order: {', '.join(common)}"
        found.append(_change("reordered", against, None, says))
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


def _type_changes(data: DataSpec, findings: Sequence[Finding], rows: int) -> list[ColumnChange]:
    """Find columns of which most values are not of their type: these were retyped, not mistyped."""
    found = []
    for finding in findings:
        name = finding.column
        if finding.rule == "type" and name is not None and 0 < rows / 2 < finding.count:
            example = finding.examples[0].value or ""
            says = (
                f"{finding.count:,} of {rows:,} values of {name!r} are not of type "
                f"{data.columns[name].type}, for example {example!r}"
            )
            suggestion = f"columns.{name}.type: {type_of_text(example)}"
            found.append(_change("retyped", "declared", name, says, suggestion))
    return found


def _retyped_since(data: DataSpec, last_accepted: Profile, against: str) -> list[ColumnChange]:
    before = last_accepted.types
    return [
        _change(
            "retyped",
            against,
            name,
            f"{name!r} is declared as {column.type}, and was {before[name]}",
        )
        for name, column in data.columns.items()
        if name in before and before[name] != column.type
    ]


def _change(
    change: Change, against: str, column: str | None, says: str, suggestion: str = "", **more: str
) -> ColumnChange:
    return ColumnChange(
        change=change, against=against, column=column, says=says, suggestion=suggestion, **more
    )
