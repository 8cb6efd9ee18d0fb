"""What model card and technical file show alike, as blocks of a document."""

from collections.abc import Iterable, Sequence

from evaluator.certification import Verdict, format_count, format_metric
from evaluator.metrics import METRICS
from evaluator.reporting._content import DocumentsContent
from evaluator.reporting._documents._page import (
    Block,
    Facts,
    Inline,
    InlineCode,
    Paragraph,
    Strong,
    Table,
)
from evaluator.reporting._formatting import NO_VALUE, format_two_sided, format_value
from evaluator.reporting._overview import intake_totals
from evaluator.reporting._slices import candidate_gaps

MAX_ROWS = 60
"""How many rows of a table are shown; the scorecard holds all of them."""

NOT_KNOWN = "Not known to this platform."
"""What stands where the maker or the provider has to say it."""


def to_sentence(words: str) -> str:
    """Make a sentence of words that come without their full stop."""
    closed = words if words.endswith((".", "!", "?")) else f"{words}."
    return f"{closed[:1].upper()}{closed[1:]}"


def format_missing(content: DocumentsContent, candidate: str) -> str:
    """Say that a candidate's measurements are without some slices; empty where they are whole."""
    gap = candidate_gaps(content)[candidate]
    return gap and (
        f"{to_sentence(gap)} What is without a result of this version is in"
        " no figure here, also not in those overall."
    )


def remarks_of(content: DocumentsContent) -> list[str]:
    """Give the remarks, which may begin with a candidate's name, as they were written."""
    return [f"{remark.rstrip('.')}." for remark in content.scorecard.remarks]


def limit_rows(rows: Sequence[Sequence[Inline]], thing: str) -> tuple[list[Sequence[Inline]], str]:
    """Keep as many rows as a document bears, and say in its caption where the others are."""
    if len(rows) <= MAX_ROWS:
        return list(rows), ""
    left = f"; the first {MAX_ROWS} of {format_count(len(rows), thing)}, the scorecard holds all"
    return list(rows[:MAX_ROWS]), left


def metrics_table(metrics: Iterable[str]) -> Table:
    """Say what each metric measures and which way is better."""
    better = {True: "higher", False: "lower", None: NO_VALUE}
    known = [(name, METRICS.get(name)) for name in metrics]
    return Table(
        "The metrics",
        ("Metric", "What it measures", "Better"),
        [
            (
                format_metric(name),
                info.description if info else "",
                better[info.higher_is_better] if info else NO_VALUE,
            )
            for name, info in known
        ],
    )


def verdict_table(verdicts: Sequence[Verdict], *, with_candidate: bool) -> Block:
    """Show verdicts, each with what decided it."""
    if not verdicts:
        return Paragraph("The audit declares no gate, so that nothing can be certified.")
    header = ("Gate", "Required", "Verdict", "Value", "Interval", "Decided on", "Reason")
    rows: list[tuple[Inline, ...]] = [
        (
            verdict.gate,
            "yes" if verdict.required else "no",
            Strong(verdict.verdict),
            format_value(verdict.value),
            format_two_sided(verdict.low, verdict.high),
            verdict.decided_on,
            to_sentence(verdict.reason),
        )
        for verdict in verdicts
    ]
    if not with_candidate:
        return Table("Gates and verdicts, with the worst place of each", header, rows, (3, 4))
    return Table(
        "Gates and verdicts of all candidates, with the worst place of each",
        ("Candidate", *header),
        [(verdict.candidate, *row) for verdict, row in zip(verdicts, rows, strict=True)],
        (4, 5),
    )


def evaluation_data(content: DocumentsContent) -> list[Block]:
    """Say what everything was measured on, and what was left out of it."""
    totals = intake_totals(content.intake_days)
    counted: list[tuple[str, Inline]] = [
        (
            "Rows accepted and refused",
            (
                f"{totals.accepted:,} accepted, {totals.quarantined:,} in quarantine,"
                f" on {format_count(totals.used, 'day')}"
            ),
        ),
        ("Days that are not used", format_count(len(totals.unused), "day")),
    ]
    measured = content.evaluation_set
    if measured is None:
        return [Paragraph(Strong("There is no evaluation set.")), Facts(counted)]
    blocks: list[Block] = [
        Paragraph(
            "A frozen, labelled snapshot of the audit's daily files. Every candidate is measured"
            " on the same cases. The files' bytes, the refused rows and the reasons are kept."
        ),
        Facts(
            [
                ("Digest", InlineCode(measured.digest)),
                *(
                    [
                        ("Window", f"{measured.first_day} to {measured.last_day}"),
                        ("Days in it", f"{measured.days:,}"),
                    ]
                    if measured.first_day
                    else [("Window", "A snapshot, of no day")]
                ),
                ("Cases", f"{measured.rows:,}"),
                ("Valid rows left out for want of a label", f"{measured.rows_without_label:,}"),
                *(
                    [("Labelled rows of weight 0, left out", f"{measured.rows_of_weight_zero:,}")]
                    if measured.weight is not None
                    else []
                ),
                *(
                    [
                        (
                            "Labelled rows that a candidate saw in training, left out",
                            f"{measured.rows_seen_in_training:,}",
                        )
                    ]
                    if measured.rows_seen_in_training
                    else []
                ),
                *(
                    ("What intervals take for granted", to_sentence(words))
                    for words in measured.assumptions
                ),
                *counted,
            ]
        ),
    ]
    blocks += [Paragraph(note) for note in content.label_notes]
    if totals.unused:
        rows, left = limit_rows(
            [(f"{day.day}", to_sentence(day.broken or "")) for day in totals.unused], "day"
        )
        blocks.append(Table(f"Days that are not used{left}", ("Day", "Why"), rows))
    return blocks
