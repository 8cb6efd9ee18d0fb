"""A profile as plain text, for a person with a minute."""

import textwrap
from typing import Any, Final

from evaluator.intake._profile import ColumnDrift, ColumnStatistics, Profile, TooFew

WIDTH: Final = 100
MIN_SHARE: Final = 0.01
MAX_VIOLATIONS: Final = 12
MAX_SLICES: Final = 5
MAX_TOO_FEW: Final = 5
MAX_FILES: Final = 24


def render_report(profile: Profile) -> str:
    """Render a profile."""
    parts = [
        _verdict(profile),
        _violations(profile),
        _rules(profile),
        _schema(profile),
        _drift(profile),
        _statistics(profile),
        _beginning(profile),
        _reading(profile),
        _next_step(profile),
    ]
    return "\n\n".join("\n".join(_wrapped(part)) for part in parts if part) + "\n"


def _wrapped(lines: list[str]) -> list[str]:
    """Break long lines."""
    found = []
    for line in lines:
        if len(line) <= WIDTH:
            found.append(line)
            continue
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        found += textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
    return found


def _verdict(profile: Profile) -> list[str]:
    rows = profile.rows
    day = f" of {profile.day}" if profile.day else ""
    lines = [f"{printable(profile.file)}{day}: {profile.verdict.upper()}"]
    if profile.broken:
        lines.append(f"  Why: {printable(profile.broken)}")
    if rows.read_before_refusal is not None:
        if rows.read_before_refusal:
            lines.append(f"  {rows.read_before_refusal:,} rows were read; none is taken in.")
        return lines
    share = f" ({rows.refused_share:.2%} refused)" if rows.refused_share is not None else ""
    lines.append(
        f"  {rows.read:,} rows = {rows.typed:,} typed + {rows.quarantined:,} in quarantine{share}"
    )
    return lines


def _violations(profile: Profile) -> list[str]:
    findings = profile.findings
    if not findings:
        refused = profile.rows.read_before_refusal is not None
        return [] if refused else ["What is wrong", "  Nothing was found."]
    lines = ["What is wrong"]
    for finding in findings[:MAX_VIOLATIONS]:
        column = printable(finding.column or "row")
        examples = ", ".join(
            printable(profile.place_of(example.line))
            + (f" {_quoted(example.value)}" if example.value else "")
            for example in finding.examples
        )
        warn = " (warning)" if finding.severity == "warn" else ""
        what = f"{column}: {printable(finding.rule)}, {printable(finding.says)}{warn}"
        lines.append(f"  {finding.count:>9,}  {what}")
        lines.append(f"             {examples}")
    rest = findings[MAX_VIOLATIONS:]
    if rest:
        lines.append(f"  and {sum(f.count for f in rest):,} more by {len(rest)} other rules")
    return lines


def _rules(profile: Profile) -> list[str]:
    lines = [f"  {rule.severity}: {printable(rule.says)}" for rule in profile.dataset_rules]
    return ["Rules over the day", *lines] if lines else []


def _schema(profile: Profile) -> list[str]:
    lines = []
    for change in profile.schema_drift:
        lines.append(f"  {change.change} (against {change.against}): {printable(change.says)}")
        if change.suggestion:
            lines.append(f"      suggested: {printable(change.suggestion)}")
    return ["Columns", *lines] if lines else ["Columns", "  As declared."] if profile.header else []


def _drift(profile: Profile) -> list[str]:
    drift = profile.drift
    if not drift:
        return []
    many = f"{len(drift.drifted)} of {len(drift.columns)} columns"
    lines = [f"Drift against a reference of {drift.reference_rows:,} rows: {many}"]
    for column, measures in drift.columns.items():
        if measures.drifted:
            lines.append(f"  {printable(column)}: {_drifted(measures)}")
        elif measures.new:
            names = ", ".join(_quoted(name) for name in list(measures.new)[:3])
            lines.append(f"  {printable(column)}: {measures.new_count} new values: {names}")
    moved = drift.slices
    if drift.slices_compared or drift.slices_too_small:
        lines.append(
            f"  in {len(moved)} of {drift.slices_compared} slices; "
            f"{drift.slices_too_small} have too few rows to say"
        )
    for part in moved[:MAX_SLICES]:
        where = ", ".join(printable(value) for value in part.slice.values())
        columns = "; ".join(f"{printable(name)}: {_drifted(m)}" for name, m in part.columns.items())
        lines.append(f"    {where}: {columns}")
    if len(moved) > MAX_SLICES:
        lines.append(f"    and {len(moved) - MAX_SLICES} more")
    if drift.too_few:
        shown = [_place(few) for few in drift.too_few[:MAX_TOO_FEW]]
        rest = len(drift.too_few) - len(shown)
        more = [f"{rest} more"] if rest else []
        lines.append(f"  too few: {'; '.join([*shown, *more])}")
    return [*lines, *(f"  {printable(note)}" for note in drift.notes)]


def _place(few: TooFew) -> str:
    """Name a slice, columns, or columns in a slice."""
    columns = ", ".join(printable(column) for column in few.columns)
    where = " x ".join(printable(value) for value in few.slice.values())
    return f"{columns} in {where}" if columns and where else columns or where


def _drifted(measures: ColumnDrift) -> str:
    """Name what moved, and how far."""
    labels = {
        "stability_index": "stability index",
        "jensen_shannon": "Jensen-Shannon distance",
        "wasserstein": "Wasserstein distance in spreads",
    }
    parts = []
    distances = [
        f"{labels[name]} {getattr(measures, name):.2f}"
        for name in measures.drifted
        if name in labels
    ]
    if distances:
        parts = [_moved(measures), *distances] if measures.moved else distances
    if "missing_share" in measures.drifted:
        before, after = measures.missing_before, measures.missing_share
        parts.append(f"missing {before:.1%} to {after:.1%} ({_direction(before, after)})")
    if measures.new:
        names = ", ".join(_quoted(name) for name in list(measures.new)[:3])
        parts.append(f"{measures.new_count} new: {names}")
    return ", ".join(parts)


def _moved(measures: ColumnDrift) -> str:
    """Say what was before and what is after."""
    before, after = measures.before, measures.after
    if measures.moved == "share":
        value = measures.value if measures.value in ("true", "false") else _quoted(measures.value)
        shown = f"share of {value} {before:.1%} to {after:.1%}"
    else:
        shown = f"{measures.moved} {_number(before)} to {_number(after)}"
    return f"{shown} ({_direction(before, after)})"


def _direction(before: float | None, after: float | None) -> str:
    if before is None or after is None or before == after:
        return "unchanged"
    return "up" if after > before else "down"


def _statistics(profile: Profile) -> list[str]:
    """Describe each column on lines of its own: names and values are as long as they are."""
    if not profile.rows.typed:
        return []
    lines = [
        f"Statistics of the {profile.rows.typed:,} typed rows; missing values of the whole file"
    ]
    for name, statistics in profile.statistics.items():
        parts = (_summary(name, statistics, profile), _ordered(statistics), _frequent(statistics))
        lines.append(f"  {printable(name)}: {'; '.join(filter(None, parts))}")
    return lines


def _summary(name: str, statistics: ColumnStatistics, profile: Profile) -> str:
    missing = profile.missing.get(name, statistics.missing)
    read = profile.rows.read
    share = f" ({missing / read:.1%})" if missing and read else ""
    parts = [
        statistics.type,
        f"{missing:,} missing{share}",
        f"{statistics.distinct:,} distinct",
    ]
    if statistics.shortest is not None:
        lengths = (statistics.shortest, statistics.longest)
        shown = lengths[0] if lengths[0] == lengths[1] else f"{lengths[0]} to {lengths[1]}"
        parts.append(f"{shown} characters")
    return ", ".join(parts)


def _ordered(statistics: ColumnStatistics) -> str:
    """Say where values lie that have an order."""
    names: tuple[str, ...] = ("min", "q1", "median", "q3", "max", "mean", "deviation")
    if statistics.q1 is None:
        names = () if statistics.mean is None else ("mean",)
    given = ((name, getattr(statistics, name)) for name in names)
    return ", ".join(f"{name} {_number(value)}" for name, value in given if value is not None)


def _frequent(statistics: ColumnStatistics) -> str:
    # Of values that are hardly ever there, the first ones are so by chance.
    some = [one for one in statistics.most_frequent if one.count > statistics.count * MIN_SHARE]
    listed = ", ".join(f"{_number(one.value)} ({one.count:,})" for one in some)
    return f"most frequent: {listed}" if listed else ""


def _beginning(profile: Profile) -> list[str]:
    """Show how a file begins of which nothing could be taken in."""
    lines = [f"  {printable(line)}" for line in profile.first_lines]
    return ["How the file begins", *lines] if lines else []


def _next_step(profile: Profile) -> list[str]:
    """Say what a person can do about rows in quarantine."""
    if not profile.rows.quarantined or profile.audit is None:
        return []
    day = f" {profile.day}" if profile.day else ""
    command = f"evaluator replay {profile.audit}{day}"
    return [
        "What to do next",
        f"  `{command} --quarantine rows.csv` writes the refused rows;",
        f"  mend the column `text`; `{command} --mended rows.csv` feeds them back.",
    ]


def _reading(profile: Profile) -> list[str]:
    layout = profile.layout
    parts = []
    for key in ("format", "packing", "encoding", "delimiter", "quote", "header", "sheet"):
        given = getattr(layout, key)
        if given is not None:
            how = " (detected)" if key in layout.detected else ""
            parts.append(f"{key} {given if isinstance(given, bool) else _quoted(given)}{how}")
    lines = ["  " + ", ".join(parts)] if parts else []
    if profile.parts:
        names = ", ".join(_quoted(part.file) for part in profile.parts[:MAX_FILES])
        more = len(profile.parts) - MAX_FILES
        rest = f" and {more} more" if more > 0 else ""
        lines.insert(0, f"  {len(profile.parts)} files, in this order: {names}{rest}")
    lines += [f"  {printable(note)}" for note in profile.notes]
    return ["How it was read", *lines] if lines else []


def _quoted(text: Any) -> str:
    shown = printable(str(text))
    return f"'{shown[:40]}…'" if len(shown) > 41 else f"'{shown}'"  # noqa: PLR2004 - 40 and an ellipsis


def _number(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return printable(str(value))


def printable(text: Any) -> str:
    """Make text from a file safe for a terminal: no control characters, no line breaks."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
        for c in str(text)
    )
