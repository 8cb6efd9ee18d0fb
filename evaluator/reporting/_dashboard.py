"""The dashboard: one HTML page that needs nothing else, not even a network."""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from evaluator.certification import (
    UNSIGNED,
    format_count,
    format_list,
    format_metric,
    format_number,
    format_training,
)
from evaluator.metrics import METRICS
from evaluator.reporting._answer import (
    MAX_CARDS,
    MAX_ROOMY,
    answers,
    gate_matrix,
    not_looked_at,
    qualified,
    taken_for_granted,
    tallies,
)
from evaluator.reporting._classes import (
    MOST_CLASSES,
    MOST_IN_MATRIX,
    MOST_WITH_INTERVALS,
    class_groups,
    classes_finding,
    confusion_finding,
    confusions,
)
from evaluator.reporting._comparison import (
    baseline_of,
    comparison_finding,
    comparison_groups,
    rank_table,
)
from evaluator.reporting._content import DashboardContent, Link
from evaluator.reporting._curves import SIDE, candidate_curves, curves_finding
from evaluator.reporting._every_slice import every_slice
from evaluator.reporting._fairness import describe_measures, fairness_finding, fairness_groups
from evaluator.reporting._formatting import (
    NO_VALUE,
    first_words,
    format_day,
    format_design_effect,
    format_excess_errors,
    format_interval,
    format_p_value,
    format_signed,
    format_status,
    sentence,
    template_environment,
)
from evaluator.reporting._history import candidate_histories, history_finding
from evaluator.reporting._labels import age_rows
from evaluator.reporting._overview import (
    STRIP,
    column_days,
    headline_finding,
    headline_rows,
    intake_totals,
    metric_note,
    standout_finding,
    standout_groups,
    verdict_finding,
    verdict_groups,
    without_label_table,
)
from evaluator.reporting._plots import BAR_STEP, WIDTH, day_bars
from evaluator.reporting._residuals import candidate_residuals, residuals_finding
from evaluator.reporting._slices import (
    additional_slice_tables,
    candidate_gaps,
    heat_maps,
    is_divided,
    is_few,
    map_finding,
    more_finding,
    sorting_candidate,
)
from evaluator.reporting._weak_slices import weak_finding, weak_groups, worsened_groups
from evaluator.scorecard import (
    FoundRow,
    OperatingPoint,
    PredictedBin,
    ScoreBin,
    format_scope,
    read_slices,
)

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

MAX_REMARKS = 3
"""How many remarks stand open."""

MAX_NOT_CURRENT = 200
"""How many slices without current evidence are listed; all of them are counted."""

_SHORT_DIGEST = 12


class Shown(NamedTuple):
    """What a section shows."""

    finding: str
    """What was found, for the line that unfolds it; empty where it stands open."""
    parts: Mapping[str, Any]
    """What its template shows beside `content`."""


class Section(NamedTuple):
    """A part of the page; its template is `sections/<id>.html.jinja`."""

    id: str
    title: str
    build: Callable[[DashboardContent], Shown | None]
    """Arranges what is shown; None where the page has no such part."""


class _RenderedSection(NamedTuple):
    id: str
    title: str
    finding: str
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
        One HTML document: styles inside, one script that its policy knows by digest, no request to
        anywhere. All text that comes from the content is escaped.
    """
    from markupsafe import Markup

    environment = _environment()
    sections = []
    for section in SECTIONS:
        shown = section.build(content)
        if shown is not None:
            template = environment.get_template(f"sections/{section.id}.html.jinja")
            # Escaped by its own template.
            html = Markup(template.render(content=content, **shown.parts))  # noqa: S704
            sections.append(_RenderedSection(section.id, section.title, shown.finding, html))
    script = _script()
    digest = b64encode(sha256(script.encode()).digest()).decode()
    page = environment.get_template("dashboard.html.jinja")
    return page.render(
        content=content,
        sections=sections,
        unsigned=UNSIGNED,
        # Nothing of the content is in it.
        script=Markup(script),  # noqa: S704
        script_digest=f"sha256-{digest}",
    )


def _outcome(content: DashboardContent) -> Shown:
    found = answers(content)
    parts = {
        "answers": found,
        "most_cards": MAX_CARDS,
        "most_roomy": MAX_ROOMY,
        "most_remarks": MAX_REMARKS,
        "counts": Counter(outcome.outcome for outcome in content.outcomes),
        "qualified": qualified(content),
        "tallies": list(tallies(content)),
        "matrix": gate_matrix(content, found),
        "granted": taken_for_granted(content),
        "absent": not_looked_at(content),
    }
    return Shown("", parts)


def _figures(content: DashboardContent) -> Shown:
    rows = headline_rows(content)
    return Shown(headline_finding(rows, content.headline_metrics), {"headline": rows})


def _verdicts(content: DashboardContent) -> Shown | None:
    # An audit without a gate has to say so; of a check nobody asked for one.
    if not content.verdicts and content.file is not None:
        return None
    return Shown(verdict_finding(content.verdicts), {"verdicts": verdict_groups(content)})


def _classes(content: DashboardContent) -> Shown | None:
    groups = class_groups(content)
    if not groups:
        return None
    parts = {
        "groups": groups,
        "count": max(len(group.rows) for group in groups),
        "most_in_order": MOST_IN_MATRIX,
        "most_classes": MOST_CLASSES,
    }
    return Shown(classes_finding(groups), parts)


def _confusion(content: DashboardContent) -> Shown | None:
    shown = confusions(content)
    if not shown:
        return None
    parts = {
        "confusions": shown,
        # All candidates are asked about the same classes.
        "count": max(len(one.rows) for one in shown),
        "most_in_matrix": MOST_IN_MATRIX,
        "most_with_intervals": MOST_WITH_INTERVALS,
        "most_classes": MOST_CLASSES,
        "weighted": _is_weighted(content),
    }
    return Shown(confusion_finding(shown), parts)


def _residuals(content: DashboardContent) -> Shown | None:
    shown = candidate_residuals(content)
    if not shown:
        return None
    parts = {
        "residuals": shown,
        "left": _not_drawn(content, len(shown), PredictedBin),
        "weighted": _is_weighted(content),
    }
    return Shown(residuals_finding(shown), parts)


def _curves(content: DashboardContent) -> Shown | None:
    shown = candidate_curves(content)
    if not shown:
        return None
    parts = {
        "curves": shown,
        "left": _not_drawn(content, len(shown), OperatingPoint, ScoreBin),
        "weighted": _is_weighted(content),
    }
    return Shown(curves_finding(shown, of_answers=content.scores_of_answers), parts)


def _not_drawn(content: DashboardContent, drawn: int, *kinds: type[FoundRow]) -> int:
    """Count the other candidates of whom there is something to be drawn."""
    found = {one.candidate for kind in kinds for one in content.scorecard.rows(kind)}
    return len(found.intersection(_names(content))) - drawn


def _is_weighted(content: DashboardContent) -> bool:
    measured = content.evaluation_set
    return measured is not None and measured.weight is not None


def _comparison(content: DashboardContent) -> Shown | None:
    scorecard, names, metrics = content.scorecard, _names(content), content.headline_metrics
    groups = comparison_groups(scorecard, names, metrics)
    if not groups:
        return None
    baseline = baseline_of(scorecard)
    parts = {
        "baseline": baseline,
        "comparisons": groups,
        "ranks": rank_table(scorecard, names, metrics),
    }
    return Shown(f"with {baseline} over all cases: {comparison_finding(groups)}", parts)


def _flips(content: DashboardContent) -> Shown | None:
    if not content.flips:
        return None
    baseline = baseline_of(content.scorecard)
    counted = [
        f"{one.candidate} {one.newly_right:,} newly right and {one.newly_wrong:,} newly wrong"
        for one in content.flips
    ]
    return Shown(
        f"against {baseline}: {format_list(counted)}",
        {"baseline": baseline, "divided": is_divided(content.scorecard)},
    )


def _fairness(content: DashboardContent) -> Shown | None:
    groups = fairness_groups(content.fairness_gaps, _names(content))
    if not groups:
        return None
    parts = {"fairness": groups, "measures": describe_measures(content.fairness_gaps)}
    return Shown(fairness_finding(content.fairness_gaps), parts)


def _weak_slices(content: DashboardContent) -> Shown | None:
    scorecard, names = content.scorecard, _names(content)
    weak = weak_groups(scorecard, names)
    worsened = worsened_groups(scorecard, names)
    if not weak and not worsened:
        return None
    return Shown(weak_finding(weak, worsened), {"weak": weak, "worsened": worsened})


def _standouts(content: DashboardContent) -> Shown | None:
    if not is_divided(content.scorecard):
        return None
    groups = standout_groups(content)
    return Shown(standout_finding(groups), {"standouts": groups})


def _map(content: DashboardContent) -> Shown | None:
    if not is_divided(content.scorecard):
        return None
    shown = _mapped(content)
    metric = shown["heat_metric"]
    return Shown(
        "nothing was measured" if metric is None else map_finding(shown["heat"], metric),
        shown,
    )


def _mapped(content: DashboardContent) -> dict[str, Any]:
    metric = content.headline_metrics[0] if content.headline_metrics else None
    info = METRICS.get(metric or "")
    return {
        "heat_metric": metric,
        "heat_has_sides": info is not None and info.higher_is_better is not None,
        "heat": [] if metric is None else heat_maps(content, metric),
    }


def _every_slice(content: DashboardContent) -> Shown | None:
    if not is_divided(content.scorecard):
        return None
    every = every_slice(content)
    return Shown(f"{format_count(len(every.rows), 'row')} of figures", {"every": every})


def _examples(content: DashboardContent) -> Shown | None:
    if not content.example_columns:
        return None
    cases = sum(len(one.cases) for one in content.examples)
    words = f"{format_count(cases, 'case')} of {format_count(len(content.examples), 'slice')}"
    return Shown(words if cases else "no slice is worse than overall", {})


def _more(content: DashboardContent) -> Shown | None:
    metric = content.headline_metrics[0] if content.headline_metrics else None
    tables = [] if metric is None else additional_slice_tables(content, metric)
    if metric is None or not tables:
        return None
    first = sorting_candidate(content)
    parts = {
        **_mapped(content),
        "more": tables,
        "more_sorted_by": first,
        "gaps": candidate_gaps(content),
    }
    return Shown(more_finding(tables, metric, first), parts)


def _gaps(content: DashboardContent) -> Shown | None:
    if content.file is not None:
        # A check fails as a whole, or has all its slices.
        return None
    states = read_slices(content.scorecard.slices)
    not_current = [state for state in states if not state.is_current]
    parts = {
        "slice_count": len(states),
        "most_not_current": MAX_NOT_CURRENT,
        "not_current": not_current,
    }
    all_of_them = format_count(len(states), "slice")
    if not_current:
        return Shown(f"{len(not_current):,} of {all_of_them} not current", parts)
    return Shown(f"nothing: all {all_of_them} current" if states else "no slice recorded", parts)


def _labels(content: DashboardContent) -> Shown | None:
    if content.file is not None and not is_divided(content.scorecard):
        # Its data are told with one count.
        return None
    segments, rows = without_label_table(content.without_label)
    ages = age_rows(content.labelled_by_age)
    found = [cell for _, cells in rows for cell in cells if cell is not None]
    finding = f"{sum(cell[0] for cell in found):,} of {sum(cell[1] for cell in found):,} valid rows"
    return Shown(
        f"{finding} without one" if found else "no count by slice is recorded",
        {"label_segments": segments, "label_rows": rows, "label_ages": ages},
    )


def _history(content: DashboardContent) -> Shown | None:
    histories = candidate_histories(content)
    if not histories:
        return None
    sets = format_count(len(content.history) + 1, "evaluation set")
    return Shown(f"{sets}; {history_finding(histories)}", {"histories": histories})


def _intake(content: DashboardContent) -> Shown:
    days = content.intake_days
    totals = intake_totals(days)
    parts = {
        "totals": totals,
        "bars": day_bars(days),
        "bar_step": BAR_STEP,
        "columns": column_days(days),
        "strip": STRIP,
    }
    if content.file is not None:
        found = (content.file.rows, content.file.accepted, content.file.quarantined)
        return Shown("{:,} rows, {:,} accepted, {:,} refused".format(*found), parts)
    used = f"{totals.used:,} of {format_count(len(days), 'day')} used"
    return Shown(
        f"{used}, {totals.accepted:,} rows accepted, {totals.quarantined:,} in quarantine", parts
    )


def _evidence(content: DashboardContent) -> Shown | None:
    # Nothing of a check is stored.
    if content.file is not None:
        return None
    links: dict[str, list[Link]] = {}
    for link in content.links:
        links.setdefault(link.candidate or "", []).append(link)
    found = format_count(len(content.evidence), "stored output")
    return Shown(f"{found}, by digest", {"links": links})


def _names(content: DashboardContent) -> list[str]:
    return [candidate.name for candidate in content.candidates]


SECTIONS = (
    Section("outcome", "Outcome", _outcome),
    Section("figures", "Figures", _figures),
    Section("verdicts", "Verdicts", _verdicts),
    Section("classes", "Classes", _classes),
    Section("confusion", "Confusion", _confusion),
    Section("residuals", "Residuals", _residuals),
    Section("curves", "Scores", _curves),
    Section("comparison", "Comparison", _comparison),
    Section("flips", "Flips", _flips),
    Section("fairness", "Fairness", _fairness),
    Section("weak", "Weak slices", _weak_slices),
    Section("standouts", "Standouts", _standouts),
    Section("map", "All slices", _map),
    Section("slices", "Every figure", _every_slice),
    Section("examples", "Examples", _examples),
    Section("more", "More slices", _more),
    Section("gaps", "What is missing", _gaps),
    Section("labels", "Labels", _labels),
    Section("history", "History", _history),
    Section("intake", "Data", _intake),
    Section("evidence", "Evidence", _evidence),
)
"""The parts of the page, in its order."""


@cache
def _script() -> str:
    """Give the page's script: Observable Plot, as `make charts` builds it, and our own."""
    templates = files("evaluator.reporting").joinpath("templates")
    names = ("plot.min.js", "dashboard.js")
    return "\n".join(templates.joinpath(name).read_text("utf-8") for name in names)


@cache
def _environment() -> "Environment":
    environment = template_environment()
    environment.filters.update(
        count=format_count,
        day=format_day,
        design_effect=format_design_effect,
        excess_errors=format_excess_errors,
        first_words=first_words,
        metric=format_metric,
        metric_note=metric_note,
        number=format_number,
        percent=_percent,
        sentence=sentence,
        share=_share,
        short=_short,
        p_value=format_p_value,
        signed=format_signed,
        status=format_status,
        training=format_training,
        thousands=_thousands,
        whole=_whole,
    )
    environment.globals.update(
        interval=format_interval,
        is_few=is_few,
        plot_width=WIDTH,
        scope=format_scope,
        side=SIDE,
    )
    return environment


def _percent(share: float) -> str:
    """Write a share, such as 95 % of 0.95, with a space that never breaks."""
    return f"{100 * share:g}\N{NO-BREAK SPACE}%"


def _share(share: float) -> str:
    """Write a share of rows to a tenth of a per cent; what is less is not nothing."""
    least = 0.001
    shown = f"{100 * max(share, least):.1f}" if share else "0"
    return f"{'< ' if 0 < share < least else ''}{shown}\N{NO-BREAK SPACE}%"


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
