import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest

from evaluator.certification import UNSIGNED, Outcome
from evaluator.reporting import (
    CandidateSummary,
    DashboardContent,
    IntakeDay,
    Link,
    render_dashboard,
)
from evaluator.reporting._formatting import format_day
from evaluator_tests.reporting.shown import (
    ATTACK,
    attacked,
    clustered,
    section,
    with_scorecard,
)

TEMPLATES = files("evaluator.reporting").joinpath("templates")
LIBRARY = TEMPLATES.joinpath("plot.min.js").read_text("utf-8")
OWN = TEMPLATES.joinpath("dashboard.js").read_text("utf-8")
SCRIPT = f"{LIBRARY}\n{OWN}"
VOID = {"meta", "br", "line", "rect", "path", "circle"}


class Page(HTMLParser):
    """What a page consists of: its tags with their attributes, and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.scripts.append(data)
        elif "style" not in self.open:
            self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


@pytest.fixture(scope="module")
def page(content: DashboardContent) -> Page:
    return Page(render_dashboard(content))


def test_each_column_is_followed_over_the_days(content: DashboardContent) -> None:
    shares = [(0.0, None, False), (0.25, 0.0625, False), (0.0004, 0.5, True)]
    days = [
        dataclasses.replace(
            day,
            missing={"full": 0.0, "<b>age</b>": missing},
            drift={} if far is None else {"<b>age</b>": far},
            drifted=("<b>age</b>",) if has_drifted else (),
        )
        for day, (missing, far, has_drifted) in zip(content.intake_days, shares, strict=False)
    ]
    shown = dataclasses.replace(content, intake_days=days)

    words = section(shown, "intake")
    last = format_day(days[2].day)
    # Whose values are all there, and which is compared on no day, is left out.
    assert "full" not in words
    assert f"&lt;b&gt;age&lt;/b&gt; 25.0 % least 0 % 2 1 {last} 0.500 {last}" in words
    # One bar as high as the drawing, one too low to be seen, and the mark of the last day.
    page = render_dashboard(shown)
    assert 'class="missing" d="M1 12v-12h1V12zM2 12v-0h1V12z"' in page
    assert 'class="drifted" d="M2 12h1"' in page


def test_links_stand_by_candidate(content: DashboardContent) -> None:
    links = [
        Link(candidate=None, name="technical file", address="../documents/technical_file.html"),
        Link(candidate="random_forest", name="certificate", address="../a%22b/c.json"),
    ]
    words = section(dataclasses.replace(content, links=links), "evidence")
    assert "All candidates technical file random_forest certificate" in words
    assert "lie beside this page" not in section(content, "evidence")


def test_every_tag_is_closed_where_it_should_be(page: Page) -> None:
    assert page.open == []


def test_the_page_asks_for_nothing_and_runs_one_script_without_data(page: Page) -> None:
    names = {tag for tag, _ in page.tags}
    assert names.isdisjoint({"link", "img", "iframe", "object", "embed", "form", "base"})
    assert page.named("script") == [{}]
    assert "".join(page.scripts) == SCRIPT
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|fetch|https?:", OWN
    )
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") or name == "src" for name in attributes), tag
        assert (attributes.get("href") or "#").startswith("#"), tag
    policies = [a["content"] for a in page.named("meta") if "http-equiv" in a]
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    (policy,) = policies
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline';"
        " base-uri 'none'; form-action 'none'"
    )


def test_the_charts_library_is_strict_makes_no_code_and_has_its_licences() -> None:
    assert not re.search(
        r"</script|<!--|\b(eval|Function|fetch|import)\(|XMLHttp|WebSocket|document\.write", LIBRARY
    )
    licences, code = LIBRARY.split('*/\n"use strict";\n')
    assert code.startswith("var Plot=(()=>{")
    for owner in ("Observable, Inc.", "Mike Bostock", "Charles Karney", "Cynthia Brewer"):
        assert owner in licences
    assert "this permission notice appear in all copies" in licences


def test_the_style_asks_for_nothing(content: DashboardContent) -> None:
    html = render_dashboard(content)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_text_from_the_data_stays_text_in_every_field(content: DashboardContent) -> None:
    hostile = attacked(content)
    assert ATTACK in hostile.scorecard.slices["error"].dropna().iloc[0]
    assert ATTACK in hostile.scorecard.measurements["reason"].dropna().iloc[0]
    attacked_page = Page(render_dashboard(hostile))
    assert attacked_page.open == []
    assert "".join(attacked_page.scripts) == SCRIPT
    assert attacked_page.named("img") == []
    shown = attacked_page.words.count("<script>alert(1)</script>")
    assert shown > 100, "the attack should be visible as text wherever the data is shown"


def test_every_section_link_leads_somewhere(page: Page) -> None:
    targets = {attributes.get("id") for _, attributes in page.tags}
    for link in page.named("a"):
        assert (link["href"] or "").removeprefix("#") in targets


def test_every_table_says_what_it_is_and_every_heading_cell_has_a_scope(page: Page) -> None:
    assert len(page.named("caption")) == len(page.named("table")) > 5
    assert {cell.get("scope") for cell in page.named("th")} == {"col", "row", "rowgroup"}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids


def test_headings_do_not_skip_a_level(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_what_is_certified_and_what_is_missing_stands_at_the_top(
    content: DashboardContent,
) -> None:
    top = section(content, "outcome")
    assert "1 of 4 candidates is certified" in top
    assert "1 not certified" in top
    assert "2 undecided" in top
    assert "1 slice missing" in top
    assert "1 slice outdated" in top
    assert "2 days of data not used" in top


def test_undefined_missing_and_outdated_places_show_words_and_no_number(
    content: DashboardContent, page: Page
) -> None:
    words = section(content, "map")
    words = words[words.index("too few cases, or no value") :]
    words = words[words.index("logistic_regression") : words.index("schedule_only")]
    assert "missing why" in words
    assert "undefined no rows n 0" in words
    assert {text.strip().lower() for text in page.text}.isdisjoint({"nan", "none", "n nan", "inf"})


def test_what_is_not_current_is_listed_with_its_error(page: Page) -> None:
    assert "ValueError: Input X contains NaN in column 'departure_delay'" in page.words
    assert "made from model 91c2" in page.words
    assert page.words.count("1 of 15 slices is missing") >= 2


def test_days_that_are_not_used_say_why(page: Page) -> None:
    assert "the column 'arrival_delay' is missing from the file" in page.words
    assert "23 November 2013 \N{EN DASH} no file came" in page.words


def test_every_stored_output_and_digest_is_there(content: DashboardContent, page: Page) -> None:
    for record in content.evidence:
        for digest in record.files.values():
            assert digest in page.words
    for candidate in content.candidates:
        assert candidate.artifact_digest in page.words


def test_the_page_says_that_it_is_unsigned(page: Page) -> None:
    assert UNSIGNED in page.words
    assert "Signed with key" not in page.words


def test_the_page_says_with_which_key_the_certificates_are_signed(
    content: DashboardContent,
) -> None:
    key_id = f"6a8a3b8a{'0' * 56}"
    page = Page(render_dashboard(dataclasses.replace(content, signed_by=key_id)))
    assert "Signed with key 6a8a3b8a0000… : each candidate's certificate" in page.words
    assert "UNSIGNED" not in page.words
    # In full for whoever compares it.
    assert key_id in [code.get("title") for code in page.named("code")]


def test_the_page_says_what_its_intervals_take_for_granted(content: DashboardContent) -> None:
    assert "Cases are taken as independent, those of one day too." in section(content, "outcome")
    top = section(clustered(content), "outcome")
    assert "Cases are clustered by day: those of one day may depend on each other" in top
    assert "Cases are weighted by stands_for." in top
    assert "taken as independent, those" not in top
    beginning = dataclasses.replace(content, evaluation_set=None, outcomes=[])
    assert "independent" not in section(beginning, "outcome")


def test_clusters_and_design_effects_stand_where_cases_are_clustered(
    content: DashboardContent,
) -> None:
    depending = clustered(content)
    figures = section(depending, "figures")
    assert re.search(r"gradient_boosting [\d,]+ 26 clusters 0\.\d+ 0\.\d+ to 0\.\d+", figures)
    assert figures.count("design effect 4.8") == len(content.candidates)
    assert figures.count("design effect 1.0") == 6 * len(content.candidates)
    for name in ("comparison", "fairness"):
        assert " 26 clusters" in section(depending, name)
        assert "cluster" not in section(content, name)
    assert "design effect" not in section(content, "figures")
    assert "(1,234 more of weight 0 are left out)" in render_dashboard(depending)
    assert "weight 0" not in render_dashboard(content)


def test_the_same_content_gives_the_same_page(content: DashboardContent) -> None:
    assert render_dashboard(content) == render_dashboard(content)


def test_a_candidate_without_an_outcome_is_not_shown_as_certified(
    content: DashboardContent,
) -> None:
    html = render_dashboard(dataclasses.replace(content, outcomes=[]))
    words = Page(html).words
    assert "No candidate is certified" in words
    assert words.count("Not decided: no outcome was recorded.") == len(content.candidates)


def test_an_audit_at_its_very_beginning_has_a_page_that_says_what_is_not_there(
    content: DashboardContent,
) -> None:
    words = Page(
        render_dashboard(
            dataclasses.replace(
                with_scorecard(
                    content,
                    measurements=content.scorecard.measurements.iloc[:0],
                    slices=content.scorecard.slices.iloc[:0],
                ),
                title="",
                evaluation_set=None,
                candidates=[
                    CandidateSummary(
                        name="first", description="", artifact_digest=None, baseline=False
                    )
                ],
                outcomes=[
                    Outcome(candidate="first", outcome="undecided", reason="nothing was measured")
                ],
                verdicts=[],
                without_label=content.without_label.iloc[:0],
                intake_days=[],
                evidence=[],
            )
        )
    ).words
    for said in (
        "No candidate is certified",
        "There is none yet",
        "no slice recorded",
        "missing not measured",
        "The audit declares no gate",
        "No slice is recorded.",
        "No count by slice is recorded.",
        "No day has been taken in.",
        "0 stored outputs",
    ):
        assert said in words


def test_a_remark_begins_with_its_candidates_name_as_it_is(page: Page) -> None:
    assert "steady and nimble gave identical predictions on every slice." in page.text


def test_one_day_is_no_picture(content: DashboardContent) -> None:
    alone = dataclasses.replace(content, intake_days=content.intake_days[:1])

    assert '<figure class="days"' in render_dashboard(content)
    assert '<figure class="days"' not in render_dashboard(alone)


def test_a_day_is_drawn_no_higher_than_the_picture(content: DashboardContent) -> None:
    broken = IntakeDay(
        day=content.intake_days[0].day, rows=9_999, accepted=0, quarantined=9_999, broken="refused"
    )
    page = Page(
        render_dashboard(
            dataclasses.replace(content, intake_days=[broken, *content.intake_days[1:]])
        )
    )
    for bar in page.named("rect"):
        assert float(bar["y"] or "nan") >= -0.1
        assert float(bar["height"] or "nan") + float(bar["y"] or "nan") <= 100.1
