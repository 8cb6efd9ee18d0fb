"""What a reader must know before relying on a candidate: what failed, is open, missing or weak."""

import pandas as pd

from evaluator.certification.figures import place_words, read_figures, read_slices
from evaluator.certification.words import count_words, list_words, metric_words
from evaluator.reporting.document import Block, Heading, Inline, Items, Table, Words
from evaluator.reporting.document_content import DocumentsContent
from evaluator.reporting.document_parts import (
    capped,
    interval_words,
    remarks_of,
    rows_of,
    sentence,
    value_words,
)


def caveats(content: DocumentsContent, candidate: str) -> list[Block]:
    """Tell what limits a candidate's figures.

    Parameters
    ----------
    content
        The audit's evidence.
    candidate
        Its name.
    """
    return [
        Heading("What failed, and what is not decided"),
        _verdicts(content, candidate),
        Heading("What is missing"),
        _missing(content, candidate),
        Heading("What cannot be known from these cases"),
        _unknown(content, candidate),
        Heading("Where it is weak"),
        *_weak(content, candidate),
        Heading("Remarks"),
        Items(remarks_of(content)) if content.scorecard.remarks else Words("There are none."),
    ]


def _verdicts(content: DocumentsContent, candidate: str) -> Block:
    own = [v for v in content.verdicts if v.candidate == candidate and v.verdict != "PASS"]
    if not any(v.candidate == candidate for v in content.verdicts):
        return Words("No gate is for this candidate, so that nothing was judged.")
    if not own:
        return Words("Every gate passes.")
    return Items(
        [
            f"{v.verdict}{'' if v.required else ' (not required)'}: {v.gate}. {sentence(v.reason)}"
            for v in sorted(own, key=lambda v: (v.verdict != "FAIL", not v.required))
        ]
    )


def _missing(content: DocumentsContent, candidate: str) -> Block:
    own = [s for s in read_slices(content.scorecard.slices) if s.candidate == candidate]
    gone = [s for s in own if not s.is_current]
    if not own:
        return Words("No slice of this candidate is recorded.")
    if not gone:
        return Words(f"Nothing: {count_words(len(own), 'slice')} of this version are there.")
    rows, left = capped(
        [(place_words(s.geography, s.segment), s.state, s.error or "not known") for s in gone],
        "slice",
    )
    return Table(
        f"{len(gone):,} of {count_words(len(own), 'slice')} without a result of this version{left}",
        ("Slice", "State", "Why"),
        rows,
    )


def _unknown(content: DocumentsContent, candidate: str) -> Block:
    own = rows_of(content.scorecard.measurements, candidate)
    alike: dict[tuple[str, str], dict[str, list[str]]] = {}
    for f in read_figures(own, metrics=content.spec.metrics):
        if f.status != "ok":
            places = alike.setdefault((f.status, f.reason), {})
            places.setdefault(place_words(f.geography, f.segment), []).append(f.metric)
    if not alike:
        return Words("Every figure of every place is defined.")
    rows: list[tuple[Inline, ...]] = []
    for (status, reason), places in alike.items():
        metrics = dict.fromkeys(metric for found in places.values() for metric in found)
        rows.append(
            (
                status.replace("_", " "),
                sentence(reason),
                ", ".join(metric_words(metric) for metric in metrics),
                f"{count_words(len(places), 'place')}: {list_words(list(places))}",
            )
        )
    shown, left = capped(rows, "reason")
    caption = f"Figures that are undefined or rest on too few cases{left}"
    return Table(caption, ("State", "Why", "Metrics", "Where"), shown)


def _weak(content: DocumentsContent, candidate: str) -> list[Block]:
    own = rows_of(content.scorecard.weak_slices, candidate)
    if own.empty:
        return [Words("No result of a search for weak slices is among the evidence.")]
    confirmed = own[own["status"] == "confirmed"]
    tested = int(own["p_value"].notna().sum())
    if confirmed.empty:
        return [
            Words(
                f"Of {count_words(tested, 'slice')} that were tested none was confirmed as worse"
                " than the other cases. That is no proof that there is none."
            )
        ]
    leading = confirmed[confirmed["explained_by"].isna()]
    rows, left = capped(
        [
            (
                str(row["slice"]),
                f"{row['n_all']:,}",
                value_words(row["loss"]),
                value_words(row["rest_loss"]),
                interval_words(row["low"], row["high"]),
                "" if pd.isna(row["harm_low"]) else f"{row['harm_low']:,.0f}",
            )
            for row in leading.to_dict("records")
        ],
        "slice",
    )
    return [
        Table(
            "Slices that nobody declared, found on one half of the cases and confirmed on the"
            f" other{left}",
            ("Slice", "Cases", "Loss", "Loss elsewhere", "Excess", "Harm at the least"),
            rows,
            (1, 2, 3, 4, 5),
        ),
        Words(
            f"{count_words(tested, 'slice')} tested, {len(confirmed):,} confirmed,"
            f" {len(confirmed) - len(leading):,} of them explained by another one. Harm is counted"
            " in errors, or in losses, of all the slice's cases."
        ),
    ]
