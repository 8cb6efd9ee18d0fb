"""The dashboard: one HTML page that needs nothing else, not even a network."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from evaluator.certification import (
    UNSIGNED,
    format_count,
    format_metric,
    format_number,
    format_training,
)
from evaluator.metrics import METRICS
from evaluator.reporting._answer import (
    MAX_CARDS,
    answers,
    gate_matrix,
    not_looked_at,
    taken_for_granted,
)
from evaluator.reporting._comparison import baseline_of, comparison_groups, rank_table
from evaluator.reporting._content import DashboardContent
from evaluator.reporting._fairness import describe_measures, fairness_groups
from evaluator.reporting._formatting import (
    NO_VALUE,
    first_words,
    format_design_effect,
    format_excess_errors,
    format_interval,
    format_p_value,
    format_signed,
    format_status,
    sentence,
    template_environment,
)
from evaluator.reporting._labels import age_rows
from evaluator.reporting._overview import (
    headline_rows,
    intake_totals,
    metric_note,
    standout_groups,
    verdict_groups,
    without_label_table,
)
from evaluator.reporting._plots import BAR_STEP, WIDTH, day_bars
from evaluator.reporting._slices import (
    additional_slice_tables,
    candidate_gaps,
    heat_maps,
    is_divided,
    sorting_candidate,
)
from evaluator.reporting._weak_slices import weak_groups, worsened_groups
from evaluator.scorecard import format_scope, read_slices
from evaluator.spec import date_of

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

MAX_NOT_CURRENT = 200
"""How many slices without current evidence are listed; all of them are counted."""

_SHORT_DIGEST = 12


class Section(NamedTuple):
    """A part of the page; its template is `sections/<id>.html.jinja`."""

    id: str
    title: str | None
    """How the page's own navigation calls it; None where it is not listed."""
    build: Callable[[DashboardContent], Mapping[str, Any] | None]
    """Arranges what its template shows beside `content`; None where the page has no such part."""


class _RenderedSection(NamedTuple):
    id: str
    title: str | None
    html: "Markup"


def render_dashboard(content: DashboardContent) -> str:
    """Render an audit's dashboard.

    Parameters
    ----------
    content
        Everything that the page shows.

    Returns
    -------
    str
        One HTML document: styles inside, no script, no request to anywhere. All text that comes
        from the content is escaped.
    """
    from markupsafe import Markup

    environment = _environment()
    sections = []
    for section in SECTIONS:
        shown = section.build(content)
        if shown is not None:
            template = environment.get_template(f"sections/{section.id}.html.jinja")
            # Escaped by its own template.
            html = Markup(template.render(content=content, **shown))  # noqa: S704
            sections.append(_RenderedSection(section.id, section.title, html))
    page = environment.get_template("dashboard.html.jinja")
    return page.render(content=content, sections=sections, unsigned=UNSIGNED)


def _outcome(content: DashboardContent) -> dict[str, Any]:
    return {
        "answers": answers(content),
        "most_cards": MAX_CARDS,
        "counts": Counter(outcome.outcome for outcome in content.outcomes),
        "qualified": _qualified(content),
        "tallies": list(_tallies(content)),
        "matrix": gate_matrix(content),
        "granted": taken_for_granted(content),
        "absent": not_looked_at(content),
    }


def _qualified(content: DashboardContent) -> int:
    """Count who is certified with reservations."""
    return sum(
        outcome.outcome == "certified" and bool(outcome.qualified_by.short)
        for outcome in content.outcomes
    )


def _tallies(content: DashboardContent) -> Iterator[tuple[str, str]]:
    """Count outcomes, and what keeps slices and days from counting, each with its mark."""
    counts, qualified = Counter(one.outcome for one in content.outcomes), _qualified(content)
    states = read_slices(content.scorecard.slices)
    missing = sum(state.state == "missing" for state in states)
    outdated = sum(not state.is_current for state in states) - missing
    unused = len(intake_totals(content.intake_days).unused)
    for kind, count, words in (
        ("good", counts["certified"] - qualified, f"{counts['certified'] - qualified} certified"),
        ("but", qualified, f"{qualified} certified with reservations"),
        ("bad", counts["not certified"], f"{counts['not certified']} not certified"),
        ("open", counts["undecided"], f"{counts['undecided']} undecided"),
        ("bad", missing, f"{format_count(missing, 'slice')} missing"),
        ("open", outdated, f"{format_count(outdated, 'slice')} outdated"),
        ("open", not states, "no slice recorded"),
        (
            "good",
            states and not missing + outdated,
            f"all {format_count(len(states), 'slice')} current",
        ),
        ("bad", unused, f"{format_count(unused, 'day')} of data not used"),
    ):
        if count:
            yield kind, words


def _verdicts(content: DashboardContent) -> dict[str, Any] | None:
    # An audit without a gate has to say so; of a check nobody asked for one.
    wanted = content.verdicts or content.file is None
    return {"verdicts": verdict_groups(content)} if wanted else None


def _comparison(content: DashboardContent) -> dict[str, Any] | None:
    scorecard, names, metrics = content.scorecard, _names(content), content.headline_metrics
    groups = comparison_groups(scorecard, names, metrics)
    return (
        None
        if not groups
        else {
            "baseline": baseline_of(scorecard),
            "comparisons": groups,
            "ranks": rank_table(scorecard, names, metrics),
        }
    )


def _fairness(content: DashboardContent) -> dict[str, Any] | None:
    groups = fairness_groups(content.fairness_gaps, _names(content))
    return (
        None
        if not groups
        else {
            "fairness": groups,
            "measures": describe_measures(content.fairness_gaps),
        }
    )


def _weak_slices(content: DashboardContent) -> dict[str, Any] | None:
    scorecard, names = content.scorecard, _names(content)
    weak = weak_groups(scorecard, names)
    worsened = worsened_groups(scorecard, names)
    return {"weak": weak, "worsened": worsened} if weak or worsened else None


def _standouts(content: DashboardContent) -> dict[str, Any] | None:
    return {"standouts": standout_groups(content)} if is_divided(content.scorecard) else None


def _slice_map(content: DashboardContent) -> dict[str, Any] | None:
    return _map(content) if is_divided(content.scorecard) else None


def _map(content: DashboardContent) -> dict[str, Any]:
    metric = content.headline_metrics[0] if content.headline_metrics else None
    info = METRICS.get(metric or "")
    return {
        "heat_metric": metric,
        "heat_has_sides": info is not None and info.higher_is_better is not None,
        "heat": [] if metric is None else heat_maps(content, metric),
    }


def _more(content: DashboardContent) -> dict[str, Any] | None:
    shown = _map(content)
    metric = shown["heat_metric"]
    tables = [] if metric is None else additional_slice_tables(content, metric)
    return (
        None
        if not tables
        else {
            **shown,
            "more": tables,
            "more_sorted_by": sorting_candidate(content),
            "gaps": candidate_gaps(content),
        }
    )


def _gaps(content: DashboardContent) -> dict[str, Any] | None:
    if content.file is not None:
        # A check fails as a whole, or has all its slices.
        return None
    states = read_slices(content.scorecard.slices)
    return {
        "slice_count": len(states),
        "most_not_current": MAX_NOT_CURRENT,
        "not_current": [state for state in states if not state.is_current],
    }


def _labels(content: DashboardContent) -> dict[str, Any] | None:
    if content.file is not None and not is_divided(content.scorecard):
        # Its data are told with one count.
        return None
    segments, rows = without_label_table(content.without_label)
    ages = age_rows(content.labelled_by_age)
    return {"label_segments": segments, "label_rows": rows, "label_ages": ages}


def _intake(content: DashboardContent) -> dict[str, Any]:
    days = content.intake_days
    return {"totals": intake_totals(days), "bars": day_bars(days), "bar_step": BAR_STEP}


def _evidence(content: DashboardContent) -> dict[str, Any] | None:
    # Nothing of a check is stored.
    return {} if content.file is None else None


def _names(content: DashboardContent) -> list[str]:
    return [candidate.name for candidate in content.candidates]


SECTIONS = (
    Section("outcome", None, _outcome),
    Section("figures", "Figures", lambda content: {"headline": headline_rows(content)}),
    Section("verdicts", "Verdicts", _verdicts),
    Section("comparison", "Comparison", _comparison),
    Section("fairness", "Fairness", _fairness),
    Section("weak", "Weak slices", _weak_slices),
    Section("standouts", "Slices that stand out", _standouts),
    Section("map", "All slices", _slice_map),
    Section("more", "More slices", _more),
    Section("gaps", "What is missing", _gaps),
    Section("labels", None, _labels),
    Section("intake", "Data", _intake),
    Section("evidence", "Evidence", _evidence),
)
"""The parts of the page, in its order."""


@cache
def _environment() -> "Environment":
    environment = template_environment()
    environment.filters.update(
        count=format_count,
        day=_day,
        design_effect=format_design_effect,
        excess_errors=format_excess_errors,
        first_words=first_words,
        metric=format_metric,
        metric_note=metric_note,
        moment=_format_time,
        number=format_number,
        percent=_percent,
        sentence=sentence,
        short=_short,
        p_value=format_p_value,
        signed=format_signed,
        status=format_status,
        training=format_training,
        thousands=_thousands,
        whole=_whole,
    )
    environment.globals.update(interval=format_interval, plot_width=WIDTH, scope=format_scope)
    return environment


def _day(day: date | str) -> str:
    """Write a date, or the name of a partition, which may be one."""
    if isinstance(day, str):
        try:
            known = date_of(day)
        except ValueError:
            known = None
        return day if known is None else _day(known)
    return f"{day.day} {day:%B %Y}"


def _format_time(moment: datetime) -> str:
    return f"{_day(moment)}, {moment:%H:%M} {moment.tzname() or ''}".rstrip()


def _percent(share: float) -> str:
    """Write a share, such as 95 % of 0.95, with a space that never breaks."""
    return f"{100 * share:g}\N{NO-BREAK SPACE}%"


def _short(digest: str | None) -> str:
    """Shorten a digest to what tells it from its neighbours."""
    if digest is None:
        return "unknown"
    return digest.removeprefix("sha256:")[:_SHORT_DIGEST]


def _thousands(count: int | None) -> str:
    return NO_VALUE if count is None else f"{count:,}"


def _whole(count: float | None) -> str:
    """Write how many cases something rests on; weights make it a fraction."""
    return _thousands(None if count is None else round(count))
