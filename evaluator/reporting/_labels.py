"""What became of labels that came in files of their own, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from evaluator.certification import format_count
from evaluator.scorecard import LabelFacts


def label_notes(facts: LabelFacts, examples: Mapping[str, Sequence[str]]) -> list[str]:
    """Say what became of labels that came in files of their own.

    Parameters
    ----------
    facts
        What is known of them.
    examples
        A few ids of a finding, by the name that it has among the facts; may be left out.

    Returns
    -------
    list[str]
        Sentences: how many cases have a label, how many are too young, and what is odd.
    """
    return [f"{one}." for one in _notes(facts, examples)]


def _notes(facts: LabelFacts, examples: Mapping[str, Sequence[str]]) -> list[str]:
    def of(finding: str) -> str:
        shown = ", ".join(map(repr, examples.get(finding, ())))
        return f", such as {shown}," if shown else ""

    aged = f" that are at least {facts.mature_after} days old" if facts.mature_after else ""
    share = facts.labelled / facts.mature if facts.mature else 0.0
    of_all = format_count(facts.mature, "case")
    notes = [f"{facts.labelled:,} of {of_all}{aged} have a label ({share:.1%})"]
    if facts.too_young:
        notes.append(
            f"{format_count(facts.too_young, 'case')} younger than {facts.mature_after} days on"
            f" {facts.newest_day}, the newest accepted day, are left out until they are older"
        )
    if facts.unknown:
        notes.append(
            f"Labels of {format_count(facts.unknown, 'id')}{of('unknown')} belong to no case"
        )
    if facts.repeated:
        notes.append(
            f"{format_count(facts.repeated, 'id')}{of('repeated')} have the same label in several"
            " files, which counts once"
        )
    if facts.conflicting:
        counts = (
            "that of the latest file counts (`labels.conflicts: latest`)"
            if facts.latest
            else "none of them counts, and their cases are without a label"
        )
        notes.append(
            f"{format_count(facts.conflicting, 'id')}{of('conflicting')} have labels that"
            f" contradict each other: {counts}"
        )
    return notes


def age_rows(by_age: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Arrange how many cases of which age have a label; nothing where labels are beside cases."""
    if by_age is None or by_age["from_days"].isna().any():
        return []
    counts = by_age.fillna(-1).astype(int)
    return [
        {
            "age": f"{begin} and more" if end < 0 else f"{begin} to {end}",
            "cases": cases,
            "labelled": labelled,
        }
        for begin, end, cases, labelled in counts.to_numpy().tolist()
    ]
