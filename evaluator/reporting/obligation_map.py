"""The map of obligations as a document shows it, held against what an audit really has."""

from collections.abc import Iterable

from evaluator.certification.words import count_words
from evaluator.reporting.document import Block, Facts, Heading, Link, Table, Words
from evaluator.reporting.document_content import DocumentsContent
from evaluator.reporting.document_parts import sentence
from evaluator.reporting.obligations import Framework, Place


def obligation_map(content: DocumentsContent, framework: Framework) -> list[Block]:
    """Show where the points of a law or a framework find their evidence in an audit.

    Parameters
    ----------
    content
        The audit's evidence. What it does not have is not claimed.
    framework
        The law or framework.
    """
    points = list(framework.points())
    found = sum(any(_is_there(content, place) for place in point.evidence) for point in points)
    blocks: list[Block] = [
        Facts([("Text", framework.citation), ("Source", Link(framework.source))]),
        Words(
            f"Of {count_words(len(points), 'point')} {found:,} find evidence in this audit, none of"
            " them all that it asks for."
        ),
    ]
    for group in framework.groups:
        blocks += [
            Heading(f"{group.number}: {group.title}"),
            Table(
                f"{group.number}, point by point",
                ("Point", "About", "Evidence", "Not covered"),
                [
                    (
                        point.number,
                        point.subject,
                        _places(content, point.evidence),
                        sentence(point.not_covered),
                    )
                    for point in group.points
                ],
            ),
        ]
    return blocks


def _places(content: DocumentsContent, places: Iterable[Place]) -> str:
    told = [
        f"{place.words}: {place.gives}."
        if _is_there(content, place)
        else f"{place.words}: nothing in this audit (it would give {place.gives})."
        for place in places
    ]
    return " ".join(sentence(words) for words in told) or "None."


def _is_there(content: DocumentsContent, place: Place) -> bool:
    findings = {
        "comparisons": content.scorecard.comparisons,
        "fairness": content.scorecard.fairness,
        "weak_slices": content.scorecard.weak_slices,
    }
    return place.finding is None or len(findings[place.finding]) > 0
