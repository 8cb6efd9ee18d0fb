"""An audit's technical file: what its evidence gives to the nine points of Annex IV, and the map.

Source of the structure: Regulation (EU) 2024/1689, Annex IV.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from evaluator.certification import format_count, format_metric
from evaluator.reporting._content import DocumentsContent
from evaluator.reporting._documents._obligations import (
    EvidenceReference,
    Framework,
    load_obligations,
)
from evaluator.reporting._documents._page import (
    Block,
    Document,
    Facts,
    Heading,
    Inline,
    InlineCode,
    Items,
    Link,
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
from evaluator.reporting._formatting import format_measurement
from evaluator.scorecard import read_measurements
from evaluator.spec import ColumnSpec

SHOWN_METRICS = 4
"""How many of the audit's metrics are shown for all candidates side by side."""


def technical_file(content: DocumentsContent) -> Document:
    """Make an audit's technical file.

    Parameters
    ----------
    content
        The audit's evidence.

    Returns
    -------
    Document
        The nine points of Annex IV with what is known here of each, the evidence, and the maps of
        the EU AI Act and of the NIST AI RMF.
    """
    obligations = load_obligations()
    statement = Paragraph(Strong(obligations.statement))
    page = Page(
        kind="technical_file",
        eyebrow=f"Technical file, audit {content.audit}",
        title=content.spec.description or content.audit,
        created_at=content.created_at,
        sections=[
            Section("general", [statement, *_general(content)]),
            Section("elements", _elements(content)),
            Section("monitoring", _monitoring(content)),
            Section("performance-metrics", _performance_metrics(content)),
            Section("risk-management", _risk_management(content)),
            Section("changes", _changes(content)),
            Section("standards", [Paragraph(NOT_KNOWN)]),
            Section(
                "declaration",
                [Paragraph(f"{NOT_KNOWN} A certificate of this platform is no such declaration.")],
            ),
            Section("post-market", _post_market(content)),
            Section("evidence", _evidence(content)),
            Section(
                "eu-ai-act",
                [statement, *_obligation_map(content, obligations.framework("eu_ai_act"))],
            ),
            Section(
                "nist-ai-rmf",
                [statement, *_obligation_map(content, obligations.framework("nist_ai_rmf"))],
            ),
        ],
        closing=(
            obligations.statement,
            f"Made by evaluator {content.code_version} in run {content.run_id}.",
        ),
    )
    return render(page)


def _left_open(*points: str) -> list[Block]:
    """List what the provider has to add."""
    return [Heading("Not known to this platform"), Items(points)]


def _general(content: DocumentsContent) -> list[Block]:
    kinds = {candidate.name: candidate.kind for candidate in content.spec.candidates}
    return [
        Facts(
            [
                ("Audit", InlineCode(content.audit)),
                ("Purpose, in the audit's words", content.spec.description or "not declared"),
                ("Owners of the audit", ", ".join(content.spec.owners)),
            ]
        ),
        Table(
            "The systems that were judged, each known by its artifact's digest",
            ("Candidate", "Description", "Kind", "Artifact's digest", "Outcome"),
            [
                (
                    c.name,
                    c.description or "not declared",
                    kinds.get(c.name, "not known"),
                    InlineCode(c.artifact_digest) if c.artifact_digest else "it could not be read",
                    Strong(content.outcome_of(c.name).in_words),
                )
                for c in content.candidates
            ],
        ),
        *_left_open(
            "the provider's name, and how this version relates to earlier ones (a)",
            "interaction with other hardware, software and AI systems (b)",
            "versions of the system's own software and firmware (c)",
            "the forms in which it is placed on the market or put into service (d)",
            "the hardware that it is meant to run on (e), and pictures of products (f)",
            "the user interface (g) and the instructions for use (h)",
        ),
    ]


def _elements(content: DocumentsContent) -> list[Block]:
    rows, left = limit_rows(
        [
            (str(geography), str(segment), f"{cases:,}", f"{without:,}")
            for geography, segment, cases, without in content.without_label[
                ["geography", "segment", "rows", "without_label"]
            ].itertuples(index=False, name=None)
        ],
        "slice",
    )
    slices: list[Block] = []
    if rows:
        header = ("Geography", "Segment", "Valid rows", "Without a label")
        slices.append(Table(f"Rows by slice{left}", header, rows, (2, 3)))
    return [
        Heading("Testing data, point (g)"),
        *evaluation_data(content),
        *slices,
        Heading("Testing procedure, point (g)"),
        Paragraph(
            "Every candidate predicts the same cases. Each metric is measured overall, by"
            " geography, by segment and by slice, with an interval of"
            f" {100 * content.spec.confidence:g} % confidence. Gates are judged from these"
            " figures, and what cannot be known is never a PASS."
        ),
        Heading("Test reports, point (g)"),
        _test_reports(content),
        *_left_open(
            "methods and steps of the development, and third parties' parts in it (a)",
            "design, logic, key choices and trade-offs (b)",
            "architecture, and the computing resources for development and training (c)",
            "training data: provenance, scope, labelling and cleaning (d)",
            "the measures of human oversight that are needed (e)",
            "pre-determined changes (f)",
            "cybersecurity measures (h)",
        ),
    ]


def _test_reports(content: DocumentsContent) -> Block:
    if not content.certificates:
        return Paragraph(
            "No certificate is named here. The certificate and the dashboard of this audit hold"
            " the results."
        )
    return Table(
        "Certificates, each dated and known by its file's SHA-256; whether one is signed, and by"
        " whom, is shown when it is verified",
        ("Candidate", "Certificate"),
        [(candidate, InlineCode(digest)) for candidate, digest in content.certificates.items()],
    )


def _monitoring(content: DocumentsContent) -> list[Block]:
    metrics = content.spec.headline_metrics[:SHOWN_METRICS]
    overall = {
        (f.candidate, f.metric): f
        for f in read_measurements(
            content.scorecard.measurements, metrics=metrics, levels=["overall"]
        )
    }
    missing = {c.name: format_missing(content, c.name) for c in content.candidates}
    return [
        Heading("Capabilities and limitations"),
        Table(
            "Expected level of accuracy, overall",
            ("Candidate", *(format_metric(metric) for metric in metrics)),
            [
                (c.name, *(format_measurement(overall.get((c.name, metric))) for metric in metrics))
                for c in content.candidates
            ],
            tuple(range(1, len(metrics) + 1)),
        ),
        *(Paragraph(Strong(f"{name}: {words}")) for name, words in missing.items() if words),
        Paragraph(
            "The degrees of accuracy for each group, and where a candidate is weak, stand in its"
            " model card."
        ),
        Heading("Specifications of the input data"),
        _columns(content.spec.data.columns),
        *_left_open(
            "unintended outcomes, and sources of risk to health, safety and fundamental rights",
            "the measures of human oversight, and how output is interpreted",
        ),
    ]


def _columns(columns: dict[str, ColumnSpec]) -> Table:
    rows, left = limit_rows(
        [
            (
                name,
                column.type,
                "yes" if column.required else "no",
                ", ".join(_allowed(column)) or _limits(column),
                column.derive or "the file",
            )
            for name, column in columns.items()
        ],
        "column",
    )
    header = ("Column", "Type", "Required", "Allowed", "Comes from")
    return Table(f"Declared columns{left}", header, rows)


def _allowed(column: ColumnSpec) -> Iterator[str]:
    """Write allowed values, with what they are called."""
    for value in column.allowed or ():
        called = column.shown(value)
        yield f"{value}" if called == value else f"{value} ({called})"


def _limits(column: ColumnSpec) -> str:
    return " ".join(
        f"{words} {limit}"
        for words, limit in (("from", column.minimum), ("to", column.maximum))
        if limit is not None
    )


def _performance_metrics(content: DocumentsContent) -> list[Block]:
    return [
        metrics_table(content.spec.metrics),
        *_left_open("why these metrics fit this system and its purpose"),
    ]


def _risk_management(content: DocumentsContent) -> list[Block]:
    return [
        Paragraph(
            "What the audit's gates say. They are a part of the testing that Article 9 asks for."
        ),
        Items(
            [
                f"{c.name}: {outcome.in_words}. {to_sentence(outcome.reason)}"
                for c in content.candidates
                for outcome in [content.outcome_of(c.name)]
            ]
        ),
        verdict_table(content.verdicts, with_candidate=True),
        *_left_open("the risk management system itself: risks, their gravity, and measures"),
    ]


def _changes(content: DocumentsContent) -> list[Block]:
    blocks: list[Block] = [
        Paragraph(
            "Each result belongs to one artifact and one evaluation set, by digest. When either"
            " changes, the results are computed anew, and the older ones stay stored."
        )
    ]
    if content.scorecard.remarks:
        blocks += [Heading("Remarks on the candidates"), Items(remarks_of(content))]
    return [*blocks, *_left_open("what was changed in the system, when and why")]


def _post_market(content: DocumentsContent) -> list[Block]:
    automation = content.spec.automation
    refreshed = {
        "daily": "with each accepted day",
        "weekly": "each Monday",
        "on_demand": "when a person asks for it",
    }
    days = content.intake_days
    rows: list[tuple[str, Inline]] = [
        ("New days go into the evaluation set", refreshed[automation.refresh]),
        (
            "Scheduled evaluation of all slices (cron, UTC)",
            InlineCode(automation.nightly) if automation.nightly else "none",
        ),
        ("Days that were taken in", f"{len(days):,}"),
        ("Days that are not used", f"{sum(day.broken is not None for day in days):,}"),
        ("Owners of the audit", ", ".join(content.spec.owners)),
    ]
    return [
        Facts(rows),
        Paragraph("This is a schedule of evaluations on labelled data, and no plan of monitoring."),
        *_left_open("the post-market monitoring plan, and what happens in operation"),
    ]


def _evidence(content: DocumentsContent) -> list[Block]:
    counts = Counter(record.asset for record in content.evidence)
    files = Counter[str]()
    for record in content.evidence:
        files[record.asset] += len(record.files)
    if not counts:
        stored: Block = Paragraph(Strong("No stored output is named."))
    else:
        stored = Table(
            "Stored outputs that this file rests on; the certificate lists each by its digests",
            ("Asset", "Versions", "Files"),
            [(asset, f"{count:,}", f"{files[asset]:,}") for asset, count in sorted(counts.items())],
            (1, 2),
        )
    return [
        Facts(
            [
                ("Code", f"evaluator {content.code_version}"),
                ("Run", InlineCode(content.run_id)),
                *((name, version) for name, version in content.packages.items()),
            ]
        ),
        stored,
    ]


def _obligation_map(content: DocumentsContent, framework: Framework) -> list[Block]:
    points = list(framework.points())
    found = sum(
        any(_is_there(content, reference) for reference in point.evidence) for point in points
    )
    blocks: list[Block] = [
        Facts([("Text", framework.citation), ("Source", Link(framework.source))]),
        Paragraph(
            f"Of {format_count(len(points), 'point')} {found:,} find evidence in this audit, none"
            " of them all that it asks for."
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
                        _references(content, point.evidence),
                        to_sentence(point.not_covered),
                    )
                    for point in group.points
                ],
            ),
        ]
    return blocks


def _references(content: DocumentsContent, references: Iterable[EvidenceReference]) -> str:
    sentences = [
        f"{reference.describe()}: {reference.gives}."
        if _is_there(content, reference)
        else f"{reference.describe()}: nothing in this audit (it would give {reference.gives})."
        for reference in references
    ]
    return " ".join(to_sentence(words) for words in sentences) or "None."


def _is_there(content: DocumentsContent, reference: EvidenceReference) -> bool:
    findings = {
        "comparisons": content.scorecard.comparisons,
        "fairness": content.scorecard.fairness,
        "weak_slices": content.scorecard.weak_slices,
    }
    return reference.finding is None or len(findings[reference.finding]) > 0
