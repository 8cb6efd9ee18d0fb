"""A candidate's model card, made of an audit's evidence.

Source: M. Mitchell et al., *Model Cards for Model Reporting*, FAT* '19 (2019) 220-229; its nine
sections, in their order.
"""

from typing import TYPE_CHECKING

import pandas as pd

from evaluator.certification.figures import (
    Figure,
    place_words,
    read_figures,
)
from evaluator.certification.words import metric_words
from evaluator.findings.names import SLICE_LEVEL
from evaluator.reporting.caveats import caveats
from evaluator.reporting.content import CandidateSummary
from evaluator.reporting.document import (
    Block,
    Code,
    Document,
    Facts,
    Heading,
    Inline,
    Page,
    Section,
    Strong,
    Table,
    Words,
    spelled,
)
from evaluator.reporting.document_content import DocumentsContent
from evaluator.reporting.document_parts import (
    NOT_KNOWN,
    NOTHING,
    capped,
    evaluation_data,
    figure_words,
    interval_words,
    metrics_table,
    missing_words,
    rows_of,
    sentence,
    value_words,
    verdict_table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN_METRICS = 3
"""How many of the audit's metrics are shown for each place; overall, all are."""


def model_card(content: DocumentsContent, candidate: str) -> Document:
    """Make a candidate's model card.

    Parameters
    ----------
    content
        The audit's evidence.
    candidate
        Its name.

    Returns
    -------
    Document
        What the evidence says, under the nine headings of Mitchell et al. What this platform
        cannot know stands there as not known.

    Raises
    ------
    KeyError
        Where the content has no such candidate.
    """
    summary = {known.name: known for known in content.candidates}[candidate]
    outcome = content.outcome_of(candidate)
    page = Page(
        kind="model_card",
        eyebrow=f"Model card, audit {content.audit}",
        title=f"{candidate}: {outcome.outcome}",
        created_at=content.created_at,
        sections=[
            Section("details", _details(content, summary)),
            Section("intended-use", _intended_use(content)),
            Section("factors", _factors(content)),
            Section("metrics", _metrics(content, candidate)),
            Section("evaluation-data", evaluation_data(content)),
            Section("training-data", [Words(f"{NOT_KNOWN} A candidate comes as an artifact.")]),
            Section("analyses", _analyses(content, summary)),
            Section("ethics", _ethics(content, candidate)),
            Section("caveats", caveats(content, candidate)),
        ],
        closing=(
            "Made of an audit's evidence; what stands here as not known, its maker has to add.",
            f"Made by evaluator {content.code_version} in run {content.run_id}.",
        ),
    )
    return spelled(page)


def _details(content: DocumentsContent, summary: CandidateSummary) -> list[Block]:
    declared = next((c for c in content.spec.candidates if c.name == summary.name), None)
    outcome = content.outcome_of(summary.name)
    certificate = content.certificates.get(summary.name)
    rows: list[tuple[str, Inline]] = [
        ("Name", Code(summary.name)),
        ("Description", summary.description or "not declared"),
        ("Outcome", Strong(f"{outcome.outcome}: {outcome.reason}")),
        (
            "Artifact's digest",
            Code(summary.artifact_digest) if summary.artifact_digest else "it could not be read",
        ),
        ("Certificate (SHA-256)", Code(certificate) if certificate else "none was issued"),
        ("Role", "baseline of the comparison" if summary.baseline else "candidate"),
    ]
    if declared is not None:
        features: Sequence[str] = getattr(declared, "features", ())
        rows += [
            ("Kind of artifact", Code(declared.kind)),
            ("What it is given", ", ".join(features) or "nothing: its outputs were recorded"),
            (
                "Decision",
                f"positive from a score of {declared.threshold:g} on"
                if declared.has_scores
                else "recorded with its outputs; it gives no scores",
            ),
        ]
    rows += [
        ("Maker, date, method of training, license", NOT_KNOWN),
        ("Questions to", ", ".join(content.spec.owners)),
    ]
    return [Facts(rows)]


def _intended_use(content: DocumentsContent) -> list[Block]:
    described = content.spec.description
    return [
        Facts(
            [
                ("In the audit's words", described or "not declared"),
                ("Intended users", "not declared"),
                ("Uses that are out of scope", "not declared"),
            ]
        ),
        Words("The figures below speak of the evaluation set, and of no other use."),
    ]


def _factors(content: DocumentsContent) -> list[Block]:
    spec = content.spec
    rows: list[Sequence[Inline]] = []
    values = spec.slice_values()
    for dimension, column in (("geography", spec.geography), ("segment", spec.segment)):
        if column is not None:
            rows.append((dimension, column, ", ".join(values[dimension])))
    rows += [("further slices", " x ".join(names), "") for names in spec.more_slices]
    if len(content.scorecard.fairness):
        attributes = pd.unique(content.scorecard.fairness["attribute"])
        rows += [("groups held against each other", str(name), "") for name in attributes]
    if not rows:
        return [Words("The audit declares no column by which cases are told apart.")]
    return [
        Words("What the figures are told apart by. Nothing is known of other factors."),
        Table("Declared factors", ("Factor", "Column", "Values"), rows),
    ]


def _metrics(content: DocumentsContent, candidate: str) -> list[Block]:
    spec = content.spec
    facts: list[tuple[str, Inline]] = [("Confidence of intervals", f"{100 * spec.confidence:g} %")]
    if spec.label is not None:
        facts.append(("What is true", f"{spec.label.column} is {spec.label.positive}"))
    verdicts = [v for v in content.verdicts if v.candidate == candidate]
    return [
        Facts(facts),
        metrics_table(spec.metrics),
        verdict_table(verdicts, with_candidate=False),
    ]


def _analyses(content: DocumentsContent, summary: CandidateSummary) -> list[Block]:
    own = rows_of(content.scorecard.measurements, summary.name)
    figures = read_figures(own, metrics=content.spec.metrics)
    overall = [
        (
            metric_words(f.metric),
            value_words(f.value),
            interval_words(f.low, f.high),
            NOTHING if f.n is None else f"{f.n:,}",
            "" if f.status == "ok" else f"{f.status.replace('_', ' ')}: {f.reason}",
        )
        for f in figures
        if f.level == "overall"
    ]
    if not overall:
        return [Words(Strong("Nothing was measured of this candidate."))]
    blocks: list[Block] = []
    if missing := missing_words(content, summary.name):
        blocks.append(Words(Strong(missing)))
    blocks += [
        Table("Overall", ("Metric", "Value", "Interval", "Cases", "Remark"), overall, (1, 2, 3))
    ]
    shown = content.spec.metrics[:SHOWN_METRICS]
    for level, words in (
        ("geography", "By geography"),
        ("segment", "By segment"),
        (SLICE_LEVEL, "By slice: geography x segment"),
    ):
        places: dict[str, dict[str, Figure]] = {}
        for f in figures:
            if f.level == level:
                places.setdefault(place_words(f.geography, f.segment), {})[f.metric] = f
        if places:
            rows, left = capped(
                [
                    (place, *(figure_words(by.get(m)) for m in shown))
                    for place, by in places.items()
                ],
                "place",
            )
            header = ("Place", *(metric_words(metric) for metric in shown))
            blocks.append(Table(f"{words}{left}", header, rows, tuple(range(1, len(shown) + 1))))
    return [*blocks, Heading("Against the baseline"), *_comparison(content, summary)]


def _comparison(content: DocumentsContent, summary: CandidateSummary) -> list[Block]:
    if summary.baseline:
        return [Words("This candidate is the baseline.")]
    own = rows_of(content.scorecard.comparisons, summary.name)
    if own.empty:
        return [Words("No comparison of this candidate is among the evidence.")]
    overall = own[own["level"] == "overall"]
    baseline = str(own["baseline"].iloc[0])
    table = Table(
        f"Overall differences from {baseline}, on the same cases",
        ("Metric", "Difference", "Interval", "Cases better", "Cases worse", "Conclusion"),
        [
            (
                metric_words(str(row["metric"])),
                value_words(row["difference"]),
                interval_words(row["low"], row["high"]),
                f"{row['better']:,}",
                f"{row['worse']:,}",
                _concluded(row["conclusion"], row["reason"]),
            )
            for row in overall.to_dict("records")
        ],
        (1, 2, 3, 4),
    )
    decided = own["conclusion"].str.startswith(("better", "worse"))
    places = own[(own["level"] == SLICE_LEVEL) & decided]
    if places.empty:
        return [table, Words("In no single slice is a difference shown, after adjustment.")]
    rows, left = capped(
        [
            (
                place_words(row["geography"], row["segment"]),
                metric_words(str(row["metric"])),
                value_words(row["difference"]),
                str(row["conclusion"]),
            )
            for row in places.to_dict("records")
        ],
        "difference",
    )
    header = ("Slice", "Metric", "Difference", "Conclusion")
    return [table, Table(f"Slices where a difference is shown{left}", header, rows, (2,))]


def _concluded(conclusion: str, reason: str | None) -> str:
    return conclusion if pd.isna(reason) or not reason else f"{conclusion}: {reason}"


def _ethics(content: DocumentsContent, candidate: str) -> list[Block]:
    from evaluator.metrics.fairness_summary import fairness_summary

    question = Words(
        "Which gap is unjust, and which harm an error does, are questions for people. The figures"
        " take the labels as the truth: a bias in the labels shows nowhere."
    )
    own = rows_of(content.scorecard.fairness, candidate)
    if own.empty:
        return [
            Words(Strong("No fairness finding of this candidate is among the evidence.")),
            question,
        ]
    worst = fairness_summary(own.drop(columns="candidate"))
    rows, left = capped(
        [
            (
                sentence(str(row["measure"]).replace("_", " ")).rstrip("."),
                f"{row['comparison']}, up to {row['limit']:g}"
                if row["comparison"] == "difference"
                else f"{row['comparison']}, from {row['limit']:g}",
                str(row["attribute"]),
                str(row["group"])
                if pd.isna(row["reference"])
                else f"{row['group']} against {row['reference']}",
                value_words(row["value"]),
                interval_words(row["low"], row["high"]),
                Strong(str(row["verdict"])),
                f"{row['failed']} failed, {row['open']} open, {row['passed']} passed",
            )
            for row in worst.to_dict("records")
        ],
        "gap",
    )
    header = ("Measure", "As", "Attribute", "Groups", "Gap", "Interval", "Verdict", "All groups")
    caption = f"The worst gap of each measure and attribute{left}"
    return [Table(caption, header, rows, (4, 5)), question]
