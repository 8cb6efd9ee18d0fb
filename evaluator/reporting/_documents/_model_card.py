"""A candidate's model card, made of an audit's evidence.

Source: M. Mitchell et al., *Model Cards for Model Reporting*, FAT* '19 (2019) 220-229; its nine
sections, in their order.
"""

from itertools import chain

from evaluator.certification import (
    DecidedGap,
    format_count,
    format_list,
    format_metric,
    format_training,
    worst_gaps,
)
from evaluator.reporting._classes import worst_classes
from evaluator.reporting._content import CandidateSummary, DocumentsContent
from evaluator.reporting._documents._page import (
    Block,
    Document,
    Facts,
    Heading,
    Inline,
    InlineCode,
    Items,
    Page,
    Paragraph,
    Section,
    Strong,
    Table,
    render,
)
from evaluator.reporting._documents._parts import (
    NOT_KNOWN,
    evaluation_data,
    format_missing,
    limit_rows,
    metrics_table,
    remarks_of,
    to_sentence,
    verdict_table,
)
from evaluator.reporting._formatting import (
    NO_VALUE,
    format_design_effect,
    format_measurement,
    format_status,
    format_two_sided,
    format_value,
)
from evaluator.scorecard import (
    SLICE_LEVEL,
    Comparison,
    Gap,
    Measurement,
    WeakSlice,
    format_scope,
    read_measurements,
    read_slices,
)

SHOWN_METRICS = 3
"""How many of the audit's metrics are shown for each scope; overall, all are."""


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
        title=f"{candidate}: {outcome.in_words}",
        created_at=content.created_at,
        sections=[
            Section("details", _details(content, summary)),
            Section("intended-use", _intended_use(content)),
            Section("factors", _factors(content)),
            Section("metrics", _metrics(content, candidate)),
            Section("evaluation-data", evaluation_data(content)),
            Section("training-data", _training_data(content, candidate)),
            Section("analyses", _analyses(content, summary)),
            Section("ethics", _ethics(content, candidate)),
            Section("caveats", _caveats(content, candidate)),
        ],
        closing=(
            "Made of an audit's evidence; what stands here as not known, its maker has to add.",
            f"Made by evaluator {content.code_version} in run {content.run_id}.",
        ),
    )
    return render(page)


def _details(content: DocumentsContent, summary: CandidateSummary) -> list[Block]:
    declared = next((c for c in content.spec.candidates if c.name == summary.name), None)
    outcome = content.outcome_of(summary.name)
    certificate = content.certificates.get(summary.name)
    rows: list[tuple[str, Inline]] = [
        ("Name", InlineCode(summary.name)),
        ("Description", summary.description or "not declared"),
        ("Reason of the outcome", Strong(to_sentence(outcome.reason))),
        *(
            (("What qualifies it", to_sentence("; ".join(outcome.qualified_by.lines()))),)
            if outcome.qualified_by.lines()
            else ()
        ),
        (
            "Artifact's digest",
            InlineCode(summary.artifact_digest)
            if summary.artifact_digest
            else "it could not be read",
        ),
        ("Certificate (SHA-256)", InlineCode(certificate) if certificate else "none was issued"),
        ("Role", "baseline of the comparison" if summary.baseline else "candidate"),
    ]
    if declared is not None:
        features: tuple[str, ...] = getattr(declared, "features", ())
        rows += [
            ("Kind of artifact", InlineCode(declared.kind)),
            ("What it is given", ", ".join(features) or "nothing: its outputs were recorded"),
            ("Decision", content.spec.asks.decision(declared)),
        ]
    rows += [
        ("Maker, date, method of training, license", NOT_KNOWN),
        ("Questions to", ", ".join(content.spec.owners)),
    ]
    return [Facts(rows)]


def _training_data(content: DocumentsContent, candidate: str) -> list[Block]:
    """Say what the audit says that it was trained on, and whether it saw the cases there."""
    facts = content.scorecard.training.get(candidate)
    seen = Paragraph(f"It {format_training(facts)}.")
    if facts is None:
        return [Paragraph(f"{NOT_KNOWN} A candidate comes as an artifact."), seen]
    rows: list[tuple[str, Inline]] = [
        (f"File {name} (SHA-256)", InlineCode(digest)) for name, digest in facts.files.items()
    ]
    if facts.rows:
        rows.append(("Rows", f"{facts.rows:,}, of which {facts.unread:,} could not be read whole"))
    if facts.by_content is not None:
        rows.append(("Columns that cases were compared by", ", ".join(facts.columns)))
    if facts.last_day is not None:
        rows.append(("Last day", facts.last_day))
    if facts.digests:
        rows.append(("Files that are known by their digest alone", f"{facts.digests:,}"))
    return [
        Paragraph("As the audit declares it; nobody can tell from the artifact."),
        *([Facts(rows)] if rows else []),
        seen,
    ]


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
        Paragraph("The figures below speak of the evaluation set, and of no other use."),
    ]


def _factors(content: DocumentsContent) -> list[Block]:
    spec = content.spec
    rows: list[tuple[Inline, ...]] = []
    values = spec.slice_values()
    for dimension, column in spec.slice_columns.items():
        rows.append((dimension, column, ", ".join(values[dimension])))
    rows += [("further slices", " x ".join(names), "") for names in spec.additional_slices]
    attributes = dict.fromkeys(gap.attribute for gap in content.scorecard.rows(Gap))
    rows += [("groups held against each other", name, "") for name in attributes]
    if not rows:
        return [Paragraph("The audit declares no column by which cases are told apart.")]
    return [
        Paragraph("What the figures are told apart by. Nothing is known of other factors."),
        Table("Declared factors", ("Factor", "Column", "Values"), rows),
    ]


def _metrics(content: DocumentsContent, candidate: str) -> list[Block]:
    spec = content.spec
    facts: list[tuple[str, Inline]] = [("Confidence of intervals", f"{100 * spec.confidence:g} %")]
    if spec.label is not None:
        facts.append(("What is true", spec.asks.truth))
    verdicts = [v for v in content.verdicts if v.candidate == candidate]
    return [
        Facts(facts),
        metrics_table(spec.metrics),
        verdict_table(verdicts, with_candidate=False),
    ]


def _analyses(content: DocumentsContent, summary: CandidateSummary) -> list[Block]:
    own = content.scorecard.of(summary.name)
    measurements = read_measurements(own.measurements, metrics=content.spec.metrics)
    overall = [f for f in measurements if f.level == "overall"]
    if not overall:
        return [Paragraph(Strong("Nothing was measured of this candidate."))]
    blocks: list[Block] = []
    if missing := format_missing(content, summary.name):
        blocks.append(Paragraph(Strong(missing)))
    blocks.append(_overall(overall))
    if worst := worst_classes(content, summary.name):
        blocks.append(Paragraph(f"The classes of the lowest recall: {worst}."))
    shown = content.spec.headline_metrics[:SHOWN_METRICS]
    for level, words in (
        ("geography", "By geography"),
        ("segment", "By segment"),
        (SLICE_LEVEL, "By slice: geography x segment"),
    ):
        scopes: dict[str, dict[str, Measurement]] = {}
        for f in measurements:
            if f.level == level and f.metric in shown:
                scopes.setdefault(format_scope(f.geography, f.segment), {})[f.metric] = f
        if scopes:
            rows, left = limit_rows(
                [
                    (scope, *(format_measurement(by_metric.get(m)) for m in shown))
                    for scope, by_metric in scopes.items()
                ],
                "place",
            )
            header = ("Place", *(format_metric(metric) for metric in shown))
            blocks.append(Table(f"{words}{left}", header, rows, tuple(range(1, len(shown) + 1))))
    return [*blocks, Heading("Against the baseline"), *_comparison(content, summary)]


def _overall(measurements: list[Measurement]) -> Table:
    """Show the overall figures; clusters and design effects where there are some."""
    depending = any(f.design_effect is not None for f in measurements)
    header = ["Metric", "Value", "Interval", "Cases", "Remark"]
    rows = [
        [
            format_metric(f.metric, f.class_),
            format_value(f.value),
            format_two_sided(f.low, f.high),
            NO_VALUE if f.n is None else f"{f.n:,}",
            "" if f.status == "ok" else f"{format_status(f.status)}: {f.reason}",
        ]
        for f in measurements
    ]
    if depending:
        header[-1:-1] = ["Clusters", "Design effect"]
        for row, f in zip(rows, measurements, strict=True):
            clusters = NO_VALUE if f.clusters is None else f"{f.clusters:,}"
            row[-1:-1] = [clusters, format_design_effect(f.design_effect)]
    return Table("Overall", header, rows, tuple(range(1, len(header) - 1)))


def _comparison(content: DocumentsContent, summary: CandidateSummary) -> list[Block]:
    if summary.baseline:
        return [Paragraph("This candidate is the baseline.")]
    own = content.scorecard.rows(Comparison, summary.name)
    if not own:
        return [Paragraph("No comparison of this candidate is among the evidence.")]
    table = Table(
        f"Overall differences from {own[0].baseline}, on the same cases",
        ("Metric", "Difference", "Interval", "Cases better", "Cases worse", "Conclusion"),
        [
            (
                format_metric(one.metric, one.class_),
                format_value(one.difference),
                format_two_sided(one.low, one.high),
                f"{one.better:,}",
                f"{one.worse:,}",
                f"{one.conclusion}: {one.reason}" if one.reason else one.conclusion,
            )
            for one in own
            if one.is_overall
        ],
        (1, 2, 3, 4),
    )
    found = [
        one
        for one in own
        if one.level == SLICE_LEVEL and one.conclusion.startswith(("better", "worse"))
    ]
    if not found:
        return [table, Paragraph("In no single slice is a difference shown, after adjustment.")]
    rows, left = limit_rows(
        [
            (
                format_scope(one.geography, one.segment),
                format_metric(one.metric, one.class_),
                format_value(one.difference),
                one.conclusion,
            )
            for one in found
        ],
        "difference",
    )
    header = ("Slice", "Metric", "Difference", "Conclusion")
    return [table, Table(f"Slices where a difference is shown{left}", header, rows, (2,))]


def _ethics(content: DocumentsContent, candidate: str) -> list[Block]:
    question = Paragraph(
        "Which gap is unjust, and which harm an error does, are questions for people. The figures"
        " take the labels as the truth: a bias in the labels shows nowhere."
    )
    own = [gap for gap in content.fairness_gaps if gap.candidate == candidate]
    if not own:
        return [
            Paragraph(Strong("No fairness finding of this candidate is among the evidence.")),
            question,
        ]
    rows, left = limit_rows(
        [
            (
                to_sentence(format_metric(gap.measure, gap.class_)).rstrip("."),
                _format_limit(gap),
                gap.attribute,
                gap.group if gap.reference is None else f"{gap.group} against {gap.reference}",
                format_value(gap.value),
                format_two_sided(gap.low, gap.high),
                NO_VALUE if gap.verdict is None else Strong(gap.verdict),
                NO_VALUE
                if gap.verdict is None
                else f"{gap.failed} failed, {gap.open} open, {gap.passed} passed",
            )
            for gap in worst_gaps(own)
        ],
        "gap",
    )
    header = ("Measure", "As", "Attribute", "Groups", "Gap", "Interval", "Verdict", "All groups")
    caption = f"The worst gap of each measure and attribute{left}"
    return [Table(caption, header, rows, (4, 5)), question]


def _format_limit(gap: DecidedGap) -> str:
    """Say how a gap is measured, its limit, and whether no gate asks for it."""
    if gap.limit is None:
        return f"{gap.comparison}, without a limit"
    bound = "from" if gap.is_ratio else "up to"
    return f"{gap.comparison}, {bound} {gap.limit:g}{'' if gap.gates else ' (no gate)'}"


def _caveats(content: DocumentsContent, candidate: str) -> list[Block]:
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
        Items(remarks_of(content)) if content.scorecard.remarks else Paragraph("There are none."),
    ]


def _verdicts(content: DocumentsContent, candidate: str) -> Block:
    own = [v for v in content.verdicts if v.candidate == candidate and v.verdict != "PASS"]
    if not any(v.candidate == candidate for v in content.verdicts):
        return Paragraph("No gate is for this candidate, so that nothing was judged.")
    if not own:
        return Paragraph("Every gate passes.")
    return Items(
        [
            f"{v.verdict}{'' if v.required else ' (not required)'}: {v.gate}."
            f" {to_sentence(v.reason)}"
            for v in sorted(own, key=lambda v: (v.verdict != "FAIL", not v.required))
        ]
    )


def _missing(content: DocumentsContent, candidate: str) -> Block:
    own = [s for s in read_slices(content.scorecard.slices) if s.candidate == candidate]
    gone = [s for s in own if not s.is_current]
    if not own:
        return Paragraph("No slice of this candidate is recorded.")
    if not gone:
        return Paragraph(f"Nothing: {format_count(len(own), 'slice')} of this version are there.")
    rows, left = limit_rows(
        [(format_scope(s.geography, s.segment), s.state, s.error or "not known") for s in gone],
        "slice",
    )
    return Table(
        f"{len(gone):,} of {format_count(len(own), 'slice')} without a result of this version"
        f"{left}",
        ("Slice", "State", "Why"),
        rows,
    )


def _unknown(content: DocumentsContent, candidate: str) -> Block:
    own = content.scorecard.of(candidate).measurements
    alike: dict[tuple[str, str], dict[str, list[str]]] = {}
    for f in read_measurements(own, metrics=content.spec.metrics):
        if f.status != "ok":
            scopes = alike.setdefault((f.status, f.reason), {})
            metric = format_metric(f.metric, f.class_)
            scopes.setdefault(format_scope(f.geography, f.segment), []).append(metric)
    if not alike:
        return Paragraph("Every figure of every place is defined.")
    rows: list[tuple[Inline, ...]] = []
    for (status, reason), scopes in alike.items():
        metrics = dict.fromkeys(chain.from_iterable(scopes.values()))
        rows.append(
            (
                format_status(status),
                to_sentence(reason),
                ", ".join(metrics),
                f"{format_count(len(scopes), 'place')}: {format_list(list(scopes))}",
            )
        )
    shown, left = limit_rows(rows, "reason")
    caption = f"Figures that are undefined or rest on too few cases{left}"
    return Table(caption, ("State", "Why", "Metrics", "Where"), shown)


def _weak(content: DocumentsContent, candidate: str) -> list[Block]:
    own = content.scorecard.rows(WeakSlice, candidate)
    if not own:
        return [Paragraph("No result of a search for weak slices is among the evidence.")]
    confirmed = sum(one.is_confirmed for one in own)
    tested = sum(one.p_value is not None for one in own)
    if not confirmed:
        return [
            Paragraph(
                f"Of {format_count(tested, 'slice')} that were tested none was confirmed as worse"
                " than the other cases. That is no proof that there is none."
            )
        ]
    leading = [one for one in own if one.is_leading]
    rows, left = limit_rows(
        [
            (
                one.slice,
                f"{one.n_all:,}",
                format_value(one.loss),
                format_value(one.rest_loss),
                format_two_sided(one.low, one.high),
                "" if one.harm_low is None else f"{one.harm_low:,.0f}",
            )
            for one in leading
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
        Paragraph(
            f"{format_count(tested, 'slice')} tested, {confirmed:,} confirmed,"
            f" {confirmed - len(leading):,} of them explained by another one. Harm is counted"
            " in errors, or in losses, of all the slice's cases."
        ),
    ]
