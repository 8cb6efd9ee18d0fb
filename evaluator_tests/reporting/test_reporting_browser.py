"""The page in a real browser: its size, its tools, and what data cannot make it do."""

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from evaluator.intake import escape_formula
from evaluator.reporting import DashboardContent, render_dashboard
from evaluator_tests.browser import Page, shown
from evaluator_tests.reporting.made_findings import class_tables, with_more
from evaluator_tests.reporting.shown import (
    ATTACK,
    attacked,
    judged,
    many_candidates,
    many_slices,
    with_scorecard,
)

pytestmark = pytest.mark.slow

SCREEN = (1280, 800)
PHONE = (390, 844)
NOTHING_UNFOLDED = 8
"""Screens."""
SHEETS = 12
BYTES = 2_000_000


@contextmanager
def _opened(content: DashboardContent, folder: Path, hash_: str = "") -> Iterator[Page]:
    file = folder / "page.html"
    file.write_text(render_dashboard(content), encoding="utf-8")
    with shown(file, folder / "profile") as page:
        page.resize(*SCREEN)
        if hash_:
            page.open("about:blank")
            page.open(file.as_uri() + hash_)
        yield page


@pytest.fixture(scope="module")
def page(content: DashboardContent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with _opened(content, tmp_path_factory.mktemp("page")) as opened:
        yield opened


def _draw(page: Page) -> None:
    """Unfold everything, and wait until each chart is drawn as wide as it can be."""
    page.run("for (const one of document.querySelectorAll('details')) one.open = true")
    page.wait(
        "Array.from(document.querySelectorAll('[data-chart]')).every((one) =>"
        " Math.abs(one.querySelector('.chart svg')?.width.baseVal.value"
        " - one.querySelector('.chart')?.clientWidth) < 2)"
    )


def _seen(page: Page, selector: str) -> list[bool]:
    found: list[bool] = page.run(
        f"Array.from(document.querySelectorAll('{selector}'), (one) => one.checkVisibility())"
    )
    return found


def _without(content: DashboardContent, *tables: str) -> DashboardContent:
    scorecard = content.scorecard
    return with_scorecard(content, **{name: getattr(scorecard, name).iloc[:0] for name in tables})


def _failed(content: DashboardContent) -> DashboardContent:
    slices = content.scorecard.slices.assign(state="missing", error="it crashed " * 300)
    return judged(with_scorecard(content, slices=slices), *content.verdicts)


CONTENTS: dict[str, Callable[[DashboardContent], DashboardContent]] = {
    "as it is": lambda content: content,
    "without gates": judged,
    "without a baseline": lambda content: _without(content, "comparisons", "ranks"),
    "without fairness": lambda content: _without(content, "fairness"),
    "one candidate": lambda content: many_candidates(content, 1),
    "ten candidates": lambda content: many_candidates(content, 10),
    "thirty candidates": lambda content: many_candidates(content, 30),
    "failed slices": _failed,
    "500 slices": lambda content: many_slices(content, 500),
    "all that a page may have": with_more,
    "90 classes": lambda content: with_scorecard(
        with_more(content), **class_tables(["schedule_only", "random_forest"], 90)
    ),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_the_page_stays_within_its_screens_sheets_and_width(
    content: DashboardContent, tmp_path: Path, name: str
) -> None:
    with _opened(CONTENTS[name](content), tmp_path) as page:
        height = page.run("document.documentElement.scrollHeight")
        assert height / SCREEN[1] <= NOTHING_UNFOLDED
        assert page.print() <= SHEETS
        page.resize(*PHONE)
        assert page.run("document.documentElement.scrollWidth") <= PHONE[0]
        _draw(page)
        assert page.run("document.documentElement.scrollWidth") <= PHONE[0]
        assert page.faults == []
        assert page.requests == [(tmp_path / "page.html").as_uri()]


@pytest.mark.parametrize("count", [4, 10, 30])
def test_the_first_screen_holds_the_answer_for_every_candidate(
    content: DashboardContent, tmp_path: Path, count: int
) -> None:
    with _opened(many_candidates(content, count), tmp_path) as page:
        bottoms = page.run(
            "Array.from(document.querySelectorAll('.card, .overview tbody tr'),"
            " (one) => one.getBoundingClientRect().bottom)"
        )
        assert len(bottoms) == count
        assert max(bottoms) <= SCREEN[1]


def test_the_page_of_20_slices_and_4_candidates_is_a_small_file(
    content: DashboardContent,
) -> None:
    assert len(render_dashboard(with_more(many_slices(content, 30))).encode()) <= BYTES


def _column(page: Page, table: str, column: int) -> list[str]:
    found: list[str] = page.run(
        f"Array.from(document.querySelectorAll('[aria-labelledby={table}-caption] tbody tr'))"
        ".filter((row) => !row.querySelector('[colspan]') && !row.hidden"
        f" && !row.parentElement.hidden).map((row) => row.cells[{column}].textContent.trim())"
    )
    return found


def _head(table: str, column: int) -> str:
    return f"[aria-labelledby={table}-caption] th:nth-child({column + 1}) button"


def _tools(table: str, what: str) -> str:
    return f".tools:has(+ [aria-labelledby={table}-caption]) {what}"


def _fill(page: Page, selector: str, value: str) -> None:
    page.run(
        f"((field) => {{ field.value = '{value}'; field.dispatchEvent(new Event("
        f"field.localName === 'select' ? 'change' : 'input')); }})"
        f"(document.querySelector('{selector}'))"
    )


def test_a_click_on_a_heading_sorts_upwards_then_downwards_then_not(page: Page) -> None:
    page.run("location.hash = '#figures'")
    page.wait("document.querySelector('#figures details').open")
    before = _column(page, "figures", 2)
    seen = []
    for _ in range(3):
        page.click(_head("figures", 2))
        seen.append(_column(page, "figures", 2))
    numbers = [[float(text[:5]) for text in texts] for texts in seen]
    assert numbers[0] == sorted(numbers[0])
    assert numbers[1] == sorted(numbers[1], reverse=True)
    assert seen[2] == before != seen[0]


def test_what_is_no_number_comes_last_either_way(content: DashboardContent, tmp_path: Path) -> None:
    measured = content.scorecard.measurements
    is_one = (measured["candidate"] == "random_forest") & (measured["level"] == "overall")
    missing = with_scorecard(content, measurements=measured[~is_one])
    for sort in ("2", "-2"):
        with _opened(missing, tmp_path, f"#figures&figures.sort={sort}") as page:
            assert _column(page, "figures", 0)[-1].startswith("random_forest")


def test_choosing_and_finding_leave_the_rows_that_fit_and_count_them(page: Page) -> None:
    page.run("location.hash = '#verdicts'")
    _fill(page, _tools("verdicts", "select[aria-label=Verdict]"), "FAIL")
    failed = _column(page, "verdicts", 1)
    assert failed
    assert {text.split()[0] for text in failed} == {"FAIL"}
    _fill(page, _tools("verdicts", "input"), "schedule_only")
    own = _column(page, "verdicts", 1)
    assert 0 < len(own) <= len(failed)
    said = page.run(f"document.querySelector('{_tools('verdicts', 'output')}').textContent")
    assert re.fullmatch(rf"{len(own)} of 12 rows", said)
    _fill(page, _tools("verdicts", "input"), "nobody is called so")
    assert _column(page, "verdicts", 1) == []
    _fill(page, _tools("verdicts", "input"), "")
    _fill(page, _tools("verdicts", "select[aria-label=Verdict]"), "")
    assert len(_column(page, "verdicts", 1)) == 12


@pytest.mark.parametrize("table", ["fairness", "weak"])
def test_a_candidate_is_chosen_by_its_name_alone(page: Page, table: str) -> None:
    selector = _tools(table, "select[aria-label=Candidate]")
    names = page.run(f"Array.from(document.querySelector('{selector}').options, (o) => o.value)")
    assert sorted(names) == sorted(
        ["", "gradient_boosting", "logistic_regression", "random_forest", "schedule_only"]
    )


def test_of_many_classes_the_worst_are_shown_and_any_is_found(
    content: DashboardContent, tmp_path: Path
) -> None:
    names = ["schedule_only", "random_forest"]
    many = with_scorecard(content, **class_tables(names, 90, 400))
    with _opened(many, tmp_path) as page:
        _draw(page)
        for table in ("classes", "confusion"):
            said = f"document.querySelector('{_tools(table, 'output')}').textContent"
            worst = _column(page, table, 0)
            assert (len(worst), worst[0], worst[20]) == (40, "class 0", "class 0")
            assert page.run(said) == "40 of 180 rows"
            _fill(page, _tools(table, "input"), "class 89")
            # It has no case, and is the last one.
            assert _column(page, table, 0) == ["class 89"] * 2
            assert "class 89" not in worst
            _fill(page, _tools(table, "input"), "")
            assert _column(page, table, 0) == worst
            page.click(_tools(table, "button:nth-of-type(3)"))
            assert len(_column(page, table, 0)) == 180
            assert page.run("location.hash").endswith(f"{table}.all=yes")
            page.click(_tools(table, "button:nth-of-type(3)"))
            assert _column(page, table, 0) == worst
        # Of another order those are shown that are the first there.
        page.click(_head("classes", 3))
        precisions = [float(text[:5]) for text in _column(page, "classes", 3)][:20]
        assert precisions == sorted(precisions)
        assert page.faults == []
        # Of few rows none is left out.
        button = _tools("figures", "button:nth-of-type(3)")
        assert page.run(f"document.querySelector('{button}').hidden")


def test_the_address_holds_what_was_chosen_and_gives_it_back(
    content: DashboardContent, tmp_path: Path
) -> None:
    with _opened(content, tmp_path) as page:
        page.click("a[href='#verdicts']")
        page.wait("document.querySelector('#verdicts details').open")
        page.click(_head("verdicts", 2))
        _fill(page, _tools("verdicts", "input"), "recall & more")
        _fill(page, _tools("verdicts", "input"), "recall")
        page.click("a[href='#fairness']")
        page.wait("document.querySelector('#fairness details').open")
        page.wait("location.hash.includes('sort')")
        left, hash_ = _column(page, "verdicts", 0), page.run("location.hash")
    assert hash_ == "#fairness&verdicts.sort=2&verdicts.find=recall"
    with _opened(content, tmp_path, hash_) as page:
        assert _column(page, "verdicts", 0) == left
        assert page.run("document.querySelector('#verdicts details').open")
        assert page.run("document.querySelector('#fairness details').open")
        assert not page.run("document.querySelector('#figures details').open")


def test_a_table_is_saved_as_csv_as_it_is_shown_and_no_cell_is_a_formula(
    content: DashboardContent, tmp_path: Path
) -> None:
    formula = '=HYPERLINK("x"),+1'
    verdicts = [replace(one, says=formula, reason='it is "so"') for one in content.verdicts]
    with _opened(
        replace(content, verdicts=verdicts), tmp_path, "#verdicts&verdicts.sort=2"
    ) as page:
        _fill(page, _tools("verdicts", "input"), "random_forest")
        shown_values = _column(page, "verdicts", 2)
        page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        page.click(_tools("verdicts", "button:nth-of-type(2)"))
        saved = tmp_path / "verdicts.csv"
        page.wait_for(saved)
        page.run(
            "addEventListener('copy', (event) =>"
            " { window.copied = event.clipboardData.getData('text/plain'); })"
        )
        page.click(_tools("verdicts", "button:nth-of-type(1)"))
        copied = page.run("window.copied")
    with saved.open(encoding="utf-8-sig", newline="") as stream:
        head, *rows = csv.reader(stream)
    assert head[:4] == ["Candidate", "Gate", "Verdict", "Value"]
    assert len(rows) == len(shown_values) == 3
    assert {row[0] for row in rows} == {"random_forest"}
    assert all(row[1].startswith(escape_formula(formula)) for row in rows)
    assert all(row[-1].startswith('It is "so".') for row in rows)
    assert all(re.match(r"0\.\d+; 0\.\d+ to 0\.\d+$", row[3]) for row in rows)
    values = [float(row[3].split(";")[0]) for row in rows]
    assert values == sorted(values)
    assert [line.split("\t") for line in copied.split("\n")] == [head, *rows]


def test_the_map_and_the_forest_are_of_the_metric_and_the_candidate_of_ones_choice(
    content: DashboardContent, tmp_path: Path
) -> None:
    hash_ = "#map&map.metric=log+loss&map.candidate=schedule_only"
    measured = content.scorecard.measurements
    own = measured[
        (measured["candidate"] == "schedule_only")
        & (measured["metric"] == "log_loss")
        & (measured["level"] == "geography x segment")
        & measured["value"].notna()
    ]
    worst = own[own["n"] >= content.minimum_support].nlargest(1, "value").iloc[0]
    with _opened(content, tmp_path, hash_) as page:
        assert page.run("document.querySelector('#map details').open")
        titles = page.run(
            "Array.from(document.querySelectorAll('#map .chosen caption'),"
            " (one) => one.textContent)"
        )
        assert titles == ["log loss of schedule_only, by geography and segment"]
        # Of a loss the largest is the worst one.
        shaded = page.run(
            "Array.from(document.querySelectorAll('#map .chosen td.s-m3 .value'),"
            " (one) => one.textContent)"
        )
        assert f"{worst['value']:.3f}" in shaded
        page.wait("document.querySelector('#map .chosen .chart') !== null")
        forest = page.run(
            "Array.from(document.querySelectorAll('#map .chosen .chart circle'), (one) =>"
            " [Number(one.getAttribute('cy')), Number(one.getAttribute('cx')),"
            " getComputedStyle(one).fill !== getComputedStyle(one).stroke])"
        )
        assert len(forest) == len(own)
        downwards = [(is_hollow, value) for _, value, is_hollow in sorted(forest)]
        assert downwards == sorted(downwards)
        is_few = own["n"] < content.minimum_support
        assert sum(is_hollow for is_hollow, _ in downwards) == is_few.sum()
        last = "#map .chosen .chart [aria-label=dot] circle:last-of-type"
        page.hover(last)
        page.wait("document.querySelector('#map .chosen [aria-label=tip] text') !== null")
        tip = page.run("document.querySelector('#map .chosen [aria-label=tip]').textContent")
        place = f"{worst['geography']} x {worst['segment']}"
        low, high = worst["low"], worst["high"]
        said = f"log loss: {worst['value']:.3f}; {low:.3f} to {high:.3f}"
        assert tip.split("\u200b")[1:] == [place, said, f"n {worst['n']:,}"]
        _fill(page, "#map .chosen select:nth-of-type(2)", "random_forest")
        page.wait("location.hash.includes('random_forest')")
        assert "log loss of random_forest" in page.run(
            "document.querySelector('#map .chosen caption').textContent"
        )
        assert page.faults == []


def test_a_link_of_the_navigation_unfolds_its_section_and_one_button_all(page: Page) -> None:
    page.run("for (const one of document.querySelectorAll('.fold')) one.open = false")
    page.click("a[href='#evidence']")
    page.wait("document.querySelector('#evidence details').open")
    top, bar = page.run(
        "[document.querySelector('#evidence summary').getBoundingClientRect().top,"
        " document.querySelector('.bar').getBoundingClientRect().bottom]"
    )
    assert bar <= top < SCREEN[1]
    page.click(".bar button")
    assert page.run("Array.from(document.querySelectorAll('.fold')).every((one) => one.open)")
    page.click(".bar button")
    assert not page.run("Array.from(document.querySelectorAll('.fold')).some((one) => one.open)")


def test_the_keyboard_skips_to_the_answer_unfolds_and_sorts(
    content: DashboardContent, tmp_path: Path
) -> None:
    with _opened(content, tmp_path) as page:
        page.press("Tab")
        assert page.run("document.activeElement.className") == "skip"
        page.press("Enter")
        page.wait("location.hash === '#outcome'")
        page.run("document.querySelector('#figures summary').focus()")
        page.press("Enter")
        assert page.run("document.querySelector('#figures details').open")
        page.run(f"document.querySelector('{_head('figures', 2)}').focus()")
        page.press("Enter")
        assert page.run("document.querySelector('.headline [aria-sort]').ariaSort") == "ascending"


def test_all_rows_of_a_map_are_of_one_height(content: DashboardContent, tmp_path: Path) -> None:
    long = with_scorecard(
        content,
        measurements=content.scorecard.measurements.assign(reason="since nobody was there " * 9),
    )
    with _opened(long, tmp_path, "#map") as page:
        heights = page.run(
            "Array.from(document.querySelectorAll('.heat tbody tr'),"
            " (row) => Math.round(row.getBoundingClientRect().height))"
        )
        assert len(heights) > 10
        assert max(heights) - min(heights) <= 1


def test_charts_are_drawn_where_a_section_unfolds_and_paper_has_the_pictures(
    content: DashboardContent, tmp_path: Path
) -> None:
    with _opened(with_more(content), tmp_path) as page:
        assert page.run("document.querySelector('.chart')") is None
        _draw(page)
        kinds = page.run(
            "Array.from(document.querySelectorAll('[data-chart]'), (o) => o.dataset.chart)"
        )
        drawn = {"roc", "recall", "calibration", "scores", "actual", "residuals"}
        assert set(kinds) == {*drawn, "history", "days"}
        assert _seen(page, ".chart") == [True] * len(kinds)
        assert _seen(page, ".still") == [False] * len(kinds)
        labels = page.run(
            "Array.from(document.querySelectorAll('.chart'), (one) =>"
            " one.role === 'img' && one.ariaLabel.length > 10)"
        )
        assert all(labels)
        page.call("Emulation.setEmulatedMedia", media="print")
        assert _seen(page, ".chart") == [False] * len(kinds)
        assert _seen(page, ".still") == [True] * len(kinds)
        assert page.faults == []


def test_a_tip_says_what_its_row_of_the_table_says(
    content: DashboardContent, tmp_path: Path
) -> None:
    expected = {
        "roc": "Threshold: as it decides|False positive rate: 0.200|True positive rate: 0.600"
        "|Precision: 0.750|True positives: 30|False positives: 10",
        "calibration": "Score: 0.050 to 0.100|Mean score: 0.080|Positive: 10|Negative: 90"
        "|Share positive: 0.100; 0.050 to 0.180|Status: ok",
        "actual": "Predicted: 0.000 to 9.000|Cases: 1,250|Mean predicted: 5.000"
        "|Mean actual: 5.000; 3.000 to 7.000|5 %: -8.000|25 %: -3.000|Median: 0.500"
        "|75 %: 3.500|95 %: 9.000|Status: ok",
    }
    with _opened(with_more(content), tmp_path) as page:
        # The order that a reader sorts a table in is not the chart's.
        page.run("for (const one of document.querySelectorAll('#curves .sort')) one.click()")
        _draw(page)
        for chart, lines in expected.items():
            page.hover(f"[data-chart={chart}] [aria-label=dot] circle")
            page.wait(
                f"document.querySelector('[data-chart={chart}] [aria-label=tip] text') !== null"
            )
            tip = page.run(
                f"document.querySelector('[data-chart={chart}] [aria-label=tip]').textContent"
            )
            assert tip.split("\u200b")[1:] == lines.split("|")
        assert page.faults == []


def test_a_chart_takes_the_colours_of_a_dark_page_and_grows_on_demand(
    content: DashboardContent, tmp_path: Path
) -> None:
    line = "getComputedStyle(document.querySelector('[data-chart=roc] circle')).fill"
    width = "document.querySelector('[data-chart=roc] .chart svg').width.baseVal.value"
    with _opened(with_more(content), tmp_path) as page:
        _draw(page)
        before, narrow = page.run(line), page.run(width)
        dark = [{"name": "prefers-color-scheme", "value": "dark"}]
        page.call("Emulation.setEmulatedMedia", features=dark)
        assert page.run(line) != before
        page.click("[data-chart=roc] button")
        page.wait(f"{width} > 2 * {narrow}")
        page.click("[data-chart=roc] button")
        page.wait(f"{width} === {narrow}")


def test_nothing_in_the_data_runs_whatever_is_done_with_it(
    content: DashboardContent, tmp_path: Path
) -> None:
    with _opened(attacked(with_more(content)), tmp_path) as page:
        page.run("window.alert = () => { window.isHit = true; }")
        page.run(
            "for (const one of document.querySelectorAll('.chosen select')) {"
            " one.selectedIndex = 1; one.dispatchEvent(new Event('change')); }"
        )
        _draw(page)
        page.wait("document.querySelector('.chosen .chart') !== null")
        page.hover(".chosen .chart circle")
        page.wait("document.querySelector('.chosen [aria-label=tip] text') !== null")
        tip = page.run("document.querySelector('.chosen [aria-label=tip]').textContent")
        assert ATTACK[:20] in tip
        # Not all of them: Chromium lets no page change its address without end.
        page.run(
            "for (const one of document.querySelectorAll('th:nth-child(2) .sort')) one.click()"
        )
        page.run(
            "for (const one of document.querySelectorAll('.tools input')) {"
            " one.value = '<img src=x onerror=alert(1)>';"
            " one.dispatchEvent(new Event('input')); }"
        )
        page.run("for (const one of document.querySelectorAll('.tools button')) one.click()")
        assert not page.run("window.isHit ?? false")
        assert page.run("document.querySelectorAll('main script, img').length") == 0
        assert page.faults == []
        assert all(address.startswith(("file:", "blob:")) for address in page.requests)


def test_what_is_too_much_for_an_address_leaves_the_page_as_it_is(
    content: DashboardContent, tmp_path: Path
) -> None:
    hostile = "#nowhere&figures.sort=99&verdicts.2=%3Cb%3E&verdicts.find=%&x.y=z&=&a=b=c"
    with _opened(content, tmp_path, hostile) as page:
        assert page.run("document.querySelectorAll('.tools').length") > 10
        assert page.faults == []
        assert len(_column(page, "figures", 0)) == len(content.candidates)


def test_without_a_script_everything_is_there_and_unfolds(
    content: DashboardContent, tmp_path: Path
) -> None:
    many = with_scorecard(content, **class_tables(["schedule_only"], 90))
    with _opened(many, tmp_path) as page:
        page.call("Emulation.setScriptExecutionDisabled", value=True)
        page.open("about:blank")
        page.open((tmp_path / "page.html").as_uri())
        assert page.run("document.querySelector('.tools') === null")
        page.click("#evidence summary")
        assert page.run("document.querySelector('#evidence details').open")
        assert page.run("document.querySelectorAll('main table').length") > 10
        page.click("#classes summary")
        assert _seen(page, "#classes tbody tr") == [True] * 91
        page.click("#intake summary")
        assert page.run("document.querySelector('.chart') === null")
        assert _seen(page, "#intake .still") == [True]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [SCREEN, PHONE], ids=["screen", "phone"])
def test_axe_finds_no_fault_of_accessibility_in_a_page_that_is_unfolded(
    content: DashboardContent, tmp_path: Path, scheme: str, size: tuple[int, int]
) -> None:
    with _opened(with_more(content), tmp_path) as page:
        page.resize(*size)
        page.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        page.run("location.hash = '#map&map.metric=F1'")
        page.wait("document.querySelector('.chosen .chart') !== null")
        _draw(page)
        assert _faults(page, "document") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault_in_the_sections_of_many_classes(
    content: DashboardContent, tmp_path: Path, scheme: str
) -> None:
    many = with_scorecard(content, **class_tables(["schedule_only", "random_forest"], 90))
    with _opened(many, tmp_path) as page:
        page.resize(*PHONE)
        page.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        _draw(page)
        assert _faults(page, "document.querySelectorAll('#classes, #confusion')") == []


def _faults(page: Page, where: str) -> list[list[str]]:
    """Say what axe finds there."""
    axe = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    page.run(f"{axe}; 0")
    found: list[list[str]] = page.run(
        f"axe.run({where}).then(({{ violations }}) => violations.map("
        "({ id, nodes }) => [id, nodes.length, nodes[0].html]))"
    )
    return found
