"""Model card and technical file."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any, Literal, get_args

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from evaluator.metrics import METRICS
from evaluator.reporting import (
    CandidateSummary,
    DashboardContent,
    DocumentsContent,
    model_card,
    technical_file,
)
from evaluator.reporting._documents._obligations import SECTIONS, FindingName, load_obligations
from evaluator.reporting._documents._page import Document
from evaluator.scorecard import Scorecard
from evaluator.spec import AuditSpec
from evaluator_tests.reporting.shown import clustered, with_scorecard

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=y> [a](http://evil.example) ![b](http://c.d) "
    "**bold** _slanted_ `code` | cell ~~gone~~ &amp; $x$ www.evil.example a@b.example"
)
EVERYTHING = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def _spec(content: DashboardContent, description: str) -> AuditSpec:
    def declared(values: Any) -> dict[str, Any]:
        return {"type": "category", "required": True, "allowed": list(dict.fromkeys(values))}

    columns = {
        "flight": {"type": "string", "required": True},
        "region": declared(content.scorecard.slices["geography"]),
        "kind": declared(content.scorecard.slices["segment"]),
        "distance": {"type": "integer", "minimum": 0, "maximum": 5000},
        "late": {"type": "boolean"},
    }
    candidates = [
        {
            "name": candidate.name,
            "path": f"models/{candidate.name}.skops",
            "features": ["distance", "kind"],
            "baseline": candidate.baseline,
        }
        for candidate in content.candidates
    ]
    return AuditSpec.model_validate(
        {
            "description": description,
            "owners": ["team:flights", "ada@example.org"],
            "data": {
                "files": "flights-{date}.csv",
                "first_day": "2013-11-01",
                "id": "flight",
                "columns": columns,
            },
            "label": {"column": "late", "positive": True},
            "geography": "region",
            "segment": "kind",
            "candidates": candidates,
            "metrics": list(content.headline_metrics),
        }
    )


@pytest.fixture(scope="module")
def documents_content(content: DashboardContent) -> DocumentsContent:
    return DocumentsContent(
        audit=content.audit,
        spec=_spec(content, content.title),
        created_at=content.created_at,
        evaluation_set=content.evaluation_set,
        candidates=content.candidates,
        outcomes=content.outcomes,
        verdicts=content.verdicts,
        scorecard=content.scorecard,
        fairness_gaps=content.fairness_gaps,
        without_label=content.without_label,
        intake_days=content.intake_days,
        certificates={"gradient_boosting": "ab" * 32},
        evidence=content.evidence,
        code_version=content.code_version,
        packages={"numpy": "2.4.0"},
        run_id=content.run_id,
    )


@pytest.fixture(scope="module")
def card(documents_content: DocumentsContent) -> Document:
    return model_card(documents_content, "logistic_regression")


@pytest.fixture(scope="module")
def file(documents_content: DocumentsContent) -> Document:
    return technical_file(documents_content)


def _without_findings(content: DocumentsContent) -> DocumentsContent:
    none = pd.DataFrame()
    return with_scorecard(
        replace(content, certificates={}), comparisons=none, fairness=none, weak_slices=none
    )


def _section(document: Document, title: str) -> str:
    """Give the Markdown of one section."""
    return document.markdown.split(f"\n## {title}\n")[1].split("\n## ")[0]


def _inline_tokens(markdown: str) -> Iterator[Token]:
    for token in EVERYTHING.parse(markdown):
        yield from token.children or ()


class _Reader(HTMLParser):
    """Notes a page's elements, ids, internal links and text."""

    void = frozenset({"meta", "br", "img", "input", "link"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        given = dict(attrs)
        self.ids += [value] if (value := given.get("id")) else []
        self.targets += [given["href"] or ""] if "href" in given else []
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_findings_that_evidence_may_need_are_what_documents_are_made_of() -> None:
    assert set(get_args(FindingName)) <= set(Scorecard.__dataclass_fields__)


def test_a_document_has_exactly_the_sections_that_evidence_may_refer_to(
    card: Document, file: Document
) -> None:
    for kind, document in (("model_card", card), ("technical_file", file)):
        titles = [
            line.removeprefix("## ").replace("\\", "")
            for line in document.markdown.splitlines()
            if line.startswith("## ")
        ]
        assert titles == list(SECTIONS[kind].values())
        assert set(SECTIONS[kind]) <= set(_Reader(document.html).ids)


def test_the_technical_file_holds_every_point_of_the_map_and_says_what_it_is(
    file: Document,
) -> None:
    obligations = load_obligations()
    text = _Reader(file.html).text
    for framework in obligations.frameworks:
        assert framework.source in text
        for point in framework.points():
            assert point.subject in text
            assert point.not_covered.strip().rstrip(".") in text
    assert obligations.statement in text
    assert obligations.statement.split(".")[0] in file.markdown


def test_evidence_that_an_audit_does_not_have_is_not_claimed(
    documents_content: DocumentsContent, file: Document
) -> None:
    lacking = technical_file(_without_findings(documents_content)).markdown
    places = [
        place
        for framework in load_obligations().frameworks
        for point in framework.points()
        for place in point.evidence
    ]
    assert "nothing in this audit" not in file.markdown
    needing = sum(place.finding is not None for place in places)
    assert needing
    assert lacking.count("nothing in this audit") == needing


def test_what_this_platform_cannot_know_stands_in_the_card_as_not_known(
    documents_content: DocumentsContent,
) -> None:
    spec = _spec_without_description(documents_content)
    bare = model_card(replace(documents_content, spec=spec), "gradient_boosting")
    assert "Not known to this platform" in _section(bare, "Training data")
    assert "**In the audit's words:** not declared" in _section(bare, "Intended use")


def _spec_without_description(content: DocumentsContent) -> AuditSpec:
    return content.spec.model_copy(update={"description": ""})


def test_findings_that_are_not_there_are_said_to_be_absent_and_never_fine(
    documents_content: DocumentsContent,
) -> None:
    bare = model_card(_without_findings(documents_content), "gradient_boosting")
    assert "No comparison of this candidate" in _section(bare, "Quantitative analyses")
    assert "No fairness finding" in _section(bare, "Ethical considerations")
    assert "No result of a search" in _section(bare, "Caveats and recommendations")
    assert "none was issued" in _section(bare, "Model details")


def test_a_candidate_without_any_figure_has_no_table_of_figures(
    documents_content: DocumentsContent,
) -> None:
    measurements = documents_content.scorecard.measurements
    without = with_scorecard(
        documents_content,
        measurements=measurements[measurements["candidate"] != "gradient_boosting"],
    )
    analyses = _section(model_card(without, "gradient_boosting"), "Quantitative analyses")
    assert "Nothing was measured" in analyses
    assert "|" not in analyses


def test_the_card_gives_each_overall_figure_with_its_interval(
    documents_content: DocumentsContent,
) -> None:
    analyses = _section(model_card(documents_content, "gradient_boosting"), "Quantitative analyses")
    measurements = documents_content.scorecard.measurements
    own = measurements[
        (measurements["candidate"] == "gradient_boosting") & (measurements["level"] == "overall")
    ]
    assert len(own) == len(documents_content.spec.metrics)
    for row in own.to_dict("records"):
        assert f"| {row['value']:.3f} | {row['low']:.3f} to {row['high']:.3f} |" in analyses


def test_the_card_names_the_slices_that_are_missing_and_why(card: Document) -> None:
    assert "1 of 15 slices is missing" in _section(card, "Quantitative analyses")
    caveats = _section(card, "Caveats and recommendations")
    assert "Pacific x regional" in caveats
    assert "Input X contains NaN" in caveats


def test_the_technical_file_says_whose_figures_are_without_some_slices(file: Document) -> None:
    monitoring = _section(file, r"3\. Monitoring, functioning and control")
    assert "logistic_regression: 1 of 15 slices is missing" in monitoring
    assert "random_forest: 1 of 15 slices is outdated" in monitoring
    assert "gradient_boosting: " not in monitoring


def test_the_card_names_every_gate_that_does_not_pass(documents_content: DocumentsContent) -> None:
    for candidate in documents_content.candidates:
        failing = [
            verdict
            for verdict in documents_content.verdicts
            if verdict.candidate == candidate.name and verdict.verdict != "PASS"
        ]
        text = _Reader(model_card(documents_content, candidate.name).html).text
        for verdict in failing:
            assert f"{verdict.verdict}{'' if verdict.required else ' (not required)'}" in text
            assert verdict.gate in text


def test_undefined_figures_stand_in_the_caveats_with_their_reason(
    documents_content: DocumentsContent, card: Document
) -> None:
    measurements = documents_content.scorecard.measurements
    own = measurements[measurements["candidate"] == "logistic_regression"]
    reasons = set(own.loc[own["status"] != "ok", "reason"])
    assert reasons
    text = _Reader(card.html).text
    for reason in reasons:
        assert reason[1:] in text


def test_the_card_shows_the_worst_fairness_gaps_and_the_confirmed_weak_slices(
    documents_content: DocumentsContent,
) -> None:
    for candidate in documents_content.candidates:
        text = _Reader(model_card(documents_content, candidate.name).html).text
        for gap in documents_content.fairness_gaps:
            assert gap.candidate != candidate.name or (gap.verdict or "") in text
        weak = documents_content.scorecard.weak_slices
        own = weak[(weak["candidate"] == candidate.name) & (weak["status"] == "confirmed")]
        for words in own.loc[own["explained_by"].isna(), "slice"]:
            assert words in text


def test_a_candidate_that_the_audit_does_not_have_has_no_card(
    documents_content: DocumentsContent,
) -> None:
    with pytest.raises(KeyError):
        model_card(documents_content, "nobody")


def test_many_slices_are_cut_and_the_document_says_so(
    documents_content: DocumentsContent,
) -> None:
    measurements = documents_content.scorecard.measurements
    row = measurements[
        (measurements["candidate"] == "gradient_boosting")
        & (measurements["level"] == "geography x segment")
    ].iloc[[0]]
    many = pd.concat([row] * 4000).assign(geography=[f"place {n}" for n in range(4000)])
    card = model_card(
        with_scorecard(documents_content, measurements=pd.concat([measurements, many])),
        "gradient_boosting",
    )
    assert "the first 60 of 4," in card.markdown
    assert len(card.html) < 200_000


def test_a_page_asks_nobody_for_anything_and_its_links_lead_somewhere(
    card: Document, file: Document
) -> None:
    sources = {framework.source for framework in load_obligations().frameworks}
    for document in (card, file):
        page = _Reader(document.html)
        assert not page.open
        assert not {"script", "img", "link", "iframe", "object"} & set(page.names)
        assert "default-src 'none'" in document.html
        assert "url(" not in document.html
        assert len(page.ids) == len(set(page.ids))
        outside = {target for target in page.targets if not target.startswith("#")}
        assert outside <= sources
        inside = {target[1:] for target in page.targets if target.startswith("#")}
        assert inside <= set(page.ids)


def test_the_same_evidence_gives_the_same_bytes(
    documents_content: DocumentsContent, file: Document
) -> None:
    assert technical_file(documents_content) == file


def test_words_from_data_stay_words_in_both_spellings(
    documents_content: DocumentsContent,
) -> None:
    hostile = replace(
        documents_content,
        spec=documents_content.spec.model_copy(update={"description": HOSTILE}),
        candidates=[
            CandidateSummary(
                name="gradient_boosting", description=HOSTILE, artifact_digest=None, baseline=False
            )
        ],
    )
    hostile = with_scorecard(
        hostile,
        remarks=[HOSTILE],
        slices=documents_content.scorecard.slices.assign(state="missing", error=HOSTILE),
    )
    sources = {framework.source for framework in load_obligations().frameworks}
    for document in (model_card(hostile, "gradient_boosting"), technical_file(hostile)):
        page = _Reader(document.html)
        assert not {"script", "img", "del"} & set(page.names)
        assert HOSTILE in page.text
        tokens = list(_inline_tokens(document.markdown))
        assert not [t for t in tokens if t.type in ("html_inline", "image", "s_open", "em_open")]
        links = {str(t.attrs["href"]) for t in tokens if t.type == "link_open"}
        assert links <= sources
        assert not [t for t in EVERYTHING.parse(document.markdown) if t.type == "html_block"]


def test_every_metric_of_the_audit_is_explained(card: Document) -> None:
    metrics: list[Literal["accuracy", "roc_auc"]] = ["accuracy", "roc_auc"]
    text = _Reader(card.html).text
    for metric in metrics:
        assert METRICS[metric].description in text


def test_a_model_card_shows_clusters_weights_and_design_effects_where_there_are_some(
    documents_content: DocumentsContent, card: Document
) -> None:
    document = model_card(clustered(documents_content), "logistic_regression")
    analyses = _section(document, "Quantitative analyses")
    assert "| Metric | Value | Interval | Cases | Clusters | Design effect | Remark |" in analyses
    assert re.search(r"\| accuracy \|.*\| 26 \| 4\.8 \|", analyses)
    data = _section(document, "Evaluation data")
    assert "Labelled rows of weight 0, left out" in data
    assert "1,234" in data
    assert "Cases are clustered by day: those of one day may depend on each other" in data
    assert "Cases are weighted by stands_for." in data
    assert "Design effect" not in card.markdown
    assert "weight 0" not in card.markdown
    assert "Cases are taken as independent, those of one day too." in card.markdown
