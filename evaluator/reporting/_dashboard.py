"""The dashboard: one HTML page that needs nothing else, not even a network."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from evaluator.certification import UNSIGNED, format_count, format_metric, format_number
from evaluator.metrics import METRICS
from evaluator.reporting._comparison import baseline_of, comparison_groups, rank_table
from evaluator.reporting._content import DashboardContent
from evaluator.reporting._fairness import describe_measures, fairness_groups
from evaluator.reporting._formatting import (
    NO_VALUE,
    format_excess_errors,
    format_interval,
    format_p_value,
    format_signed,
    format_status,
    template_environment,
)
from evaluator.reporting._overview import (
    candidate_cards,
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
    sorting_candidate,
)
from evaluator.reporting._weak_slices import weak_groups, worsened_groups
from evaluator.scorecard import format_scope, read_slices

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_NOT_CURRENT = 200
"""How many slices without current evidence are listed; all of them are counted."""

_SHORT_DIGEST = 12


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
    states = read_slices(content.scorecard.slices)
    heat_metric = content.headline_metrics[0] if content.headline_metrics else None
    heat_info = METRICS.get(heat_metric or "")
    segments, label_rows = without_label_table(content.without_label)
    return (
        _environment()
        .get_template("dashboard.html.jinja")
        .render(
            content=content,
            cards=candidate_cards(content),
            outcome_counts=Counter(outcome.outcome for outcome in content.outcomes),
            with_waivers=sum(bool(outcome.waived) for outcome in content.outcomes),
            headline=headline_rows(content),
            verdicts=verdict_groups(content),
            **_findings(content, [candidate.name for candidate in content.candidates]),
            standouts=standout_groups(content),
            heat_metric=heat_metric,
            heat_has_sides=heat_info is not None and heat_info.higher_is_better is not None,
            heat=[] if heat_metric is None else heat_maps(content, heat_metric),
            more=[] if heat_metric is None else additional_slice_tables(content, heat_metric),
            more_sorted_by=sorting_candidate(content),
            gaps=candidate_gaps(content),
            slice_count=len(states),
            most_not_current=MAX_NOT_CURRENT,
            not_current=[state for state in states if not state.is_current],
            state_counts=Counter(state.state for state in states),
            label_segments=segments,
            label_rows=label_rows,
            totals=intake_totals(content.intake_days),
            bars=day_bars(content.intake_days),
            bar_step=BAR_STEP,
            unsigned=UNSIGNED,
        )
    )


def _findings(content: DashboardContent, candidates: Sequence[str]) -> dict[str, Any]:
    """Arrange comparison, fairness and weak slices; what is empty has no section."""
    scorecard, metrics = content.scorecard, content.headline_metrics
    return {
        "baseline": baseline_of(scorecard.comparisons),
        "comparisons": comparison_groups(scorecard.comparisons, candidates, metrics),
        "ranks": rank_table(scorecard.ranks, candidates, metrics),
        "fairness": fairness_groups(scorecard.fairness, candidates),
        "measures": describe_measures(scorecard.fairness),
        "weak": weak_groups(scorecard.weak_slices, scorecard.weak_searches, candidates),
        "worsened": worsened_groups(scorecard.worsened, candidates),
    }


@cache
def _environment() -> "Environment":
    environment = template_environment()
    environment.filters.update(
        count=format_count,
        day=_day,
        excess_errors=format_excess_errors,
        metric=format_metric,
        metric_note=metric_note,
        moment=_format_time,
        number=format_number,
        percent=_percent,
        sentence=_sentence,
        short=_short,
        p_value=format_p_value,
        signed=format_signed,
        status=format_status,
        thousands=_thousands,
        whole=_whole,
    )
    environment.globals.update(interval=format_interval, plot_width=WIDTH, scope=format_scope)
    return environment


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _format_time(moment: datetime) -> str:
    return f"{_day(moment)}, {moment:%H:%M} {moment.tzname() or ''}".rstrip()


def _percent(share: float) -> str:
    """Write a share, such as 95 % of 0.95, with a space that never breaks."""
    return f"{100 * share:g}\N{NO-BREAK SPACE}%"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


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
