"""What was counted of a day's file: made once, stored as JSON, and read back whole."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict

from evaluator.evidence import canonical_json
from evaluator.spec import FileFormat, Severity

PROFILE_VERSION: Final = 1
MAX_EXAMPLES: Final = 3

Value = bool | int | float | str | None
Change = Literal["renamed", "removed", "added", "reordered", "retyped"]


class ProfilePart(BaseModel):
    """A part of a profile; what was never set is not stored either, unlike a None that was."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RowCounts(ProfilePart):
    """What became of the rows."""

    read: int
    typed: int
    quarantined: int
    refused_share: float | None
    #: The share that may be refused.
    limit: float
    #: None where the file was not refused as a whole.
    read_before_refusal: int | None


class Layout(ProfilePart):
    """How a file is laid out: what is known of it, by its format."""

    format: FileFormat | None = None
    packing: str | None = None
    encoding: str | None = None
    byte_order_mark: bool | None = None
    delimiter: str | None = None
    #: Empty: nothing encloses a field.
    quote: str | None = None
    header: bool | None = None
    escape: str | None = None
    #: Whether blanks before a field are no part of it.
    blanks: bool | None = None
    #: Of a workbook: the one that was read.
    sheet: str | None = None
    #: Which of the others were not declared.
    detected: tuple[str, ...] = ()
    #: Columns made from typed values, which are spelled the plain way.
    plain: tuple[str, ...] = ()


class FilePart(ProfilePart):
    """One of the files that make up a day."""

    file: str
    #: Its own first line, as lines are counted through all files, from 1.
    first_line: int
    layout: Layout
    header: tuple[str, ...]


class Structure(ProfilePart):
    """Counts of a text file's lines."""

    line_ends: dict[str, int] = {}
    blank_lines: int = 0
    #: Lines that are no rows, as the audit declares: how many, and the first of them.
    left_out: int = 0
    left_out_lines: tuple[int, ...] = ()
    ends_with_line_end: bool = True


class Example(ProfilePart):
    """A row that breaks a rule."""

    #: Its physical line, from 1; of several files counted through all of them.
    line: int
    value: str | None


class BrokenRule(ProfilePart):
    """A rule that a day, or some row of it, breaks."""

    #: None for a rule over several columns or the whole day.
    column: str | None
    rule: str
    severity: Severity
    says: str


class Finding(BrokenRule):
    """What one rule over rows found in the whole file."""

    count: int = 0
    #: The first ones.
    examples: tuple[Example, ...] = ()

    def counted(self, count: int, examples: Iterable[Example]) -> "Finding":
        """Count more of them."""
        first = (*self.examples, *examples)[:MAX_EXAMPLES]
        return self.model_copy(update={"count": self.count + count, "examples": first})


class ColumnChange(ProfilePart):
    """A column that is not what it was, or was declared to be."""

    change: Change
    against: str
    #: None where the change is of all columns.
    column: str | None
    says: str
    #: What could be written into the YAML; empty where nothing could.
    suggestion: str
    #: The former name, of a column that was renamed.
    old: str | None = None


class ValueCount(ProfilePart):
    """How often a value stands in a column."""

    value: Value
    count: int


class ColumnStatistics(ProfilePart):
    """What the typed rows hold in one column; a statistic that its type has not is not set."""

    type: str
    count: int
    missing: int
    distinct: int
    #: Empty where no value is there twice.
    most_frequent: tuple[ValueCount, ...]
    min: Value = None
    max: Value = None
    #: Of numbers and times.
    q1: Value = None
    median: Value = None
    q3: Value = None
    #: Of numbers; the mean also of booleans.
    mean: float | None = None
    deviation: float | None = None
    #: Of texts, in characters.
    shortest: int | None = None
    longest: int | None = None


class ColumnDrift(ProfilePart):
    """How far a column is from the reference; distances and change less what chance gives."""

    stability_index: float | None
    #: From 0 to 1.
    jensen_shannon: float | None
    missing_share: float | None
    missing_change: float | None
    #: The measures that are above their limits, and beyond what chance reaches.
    drifted: tuple[str, ...]
    #: Of numbers, in spreads of the reference.
    wasserstein: float | None = None
    #: Of categories: the first values that the reference has not, by their rows.
    new: dict[str, int] = {}
    new_count: int = 0
    vanished: tuple[str, ...] = ()
    #: Corrected for the number of columns, where the audit asks for it.
    p_value: float | None = None
    #: What shows how a column that drifted moved, in the reference and on the day: of numbers the
    #: median, or the mean where it is the median that stayed; of others the share of `value`.
    moved: Literal["median", "mean", "share"] | None = None
    value: str | None = None
    before: float | None = None
    after: float | None = None
    #: The missing share of the reference, where it is the missing share that drifted.
    missing_before: float | None = None


class SliceDrift(ProfilePart):
    """A slice that drifted."""

    #: From the column to its value.
    slice: dict[str, str]
    rows: int
    #: Those that drifted.
    columns: dict[str, ColumnDrift]


class TooFew(ProfilePart):
    """Where there is too little to say whether it drifted."""

    #: From the column to its value; empty for the whole day.
    slice: dict[str, str]
    #: Those with too few values; empty where a slice has too few rows.
    columns: tuple[str, ...] = ()


class ContentDrift(ProfilePart):
    """How far a day's content is from the reference's."""

    reference_rows: int
    rows: int
    columns: dict[str, ColumnDrift]
    drifted: tuple[str, ...]
    #: Those that drifted.
    slices: tuple[SliceDrift, ...]
    slices_compared: int
    slices_too_small: int
    notes: tuple[str, ...]
    too_few: tuple[TooFew, ...] = ()


class Profile(ProfilePart):
    """Everything that was found in a day's file.

    Attributes
    ----------
    file, day
        The file's name, and the day that it is of (as 2013-11-30).
    parts
        The files in the order in which they were read, where a day may have several.
    verdict, broken
        ``accepted`` or ``refused``, and why the day is refused.
    rows
        How many rows were read, typed and quarantined.
    layout, header, structure, notes
        How the file was read, its columns, and what of that a person should know.
    findings
        What each rule over rows found, with examples; the most violated first.
    dataset_rules
        The rules over the day that it breaks.
    schema_drift
        How the columns differ from the declared ones and those of the last accepted day.
    types, statistics
        By column its declared type, and what the typed rows hold.
    missing
        By column in how many rows of the file it has no value, be they typed or refused; without
        rows that could not be split.
    first_lines
        How a file begins of which no row was typed.
    audit
        Whose file it is, where that is known.
    drift
        How far the content is from the reference's; None where it was not compared.
    version
        Of this format.
    """

    file: str
    day: str | None
    verdict: Literal["accepted", "refused"]
    broken: str | None
    rows: RowCounts
    layout: Layout
    header: tuple[str, ...]
    structure: Structure
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    dataset_rules: tuple[BrokenRule, ...]
    schema_drift: tuple[ColumnChange, ...]
    types: dict[str, str]
    statistics: dict[str, ColumnStatistics]
    drift: ContentDrift | None
    version: int
    parts: tuple[FilePart, ...] = ()
    missing: dict[str, int] = {}
    first_lines: tuple[str, ...] = ()
    audit: str | None = None

    def place_of(self, line: int) -> str:
        """Say where a line stands: of several files, in which of them."""
        return place_of(line, self.parts)

    def to_json(self) -> bytes:
        """Spell it as canonical JSON, as it is stored.

        Raises
        ------
        ValueError
            Where a number is not finite.
        """
        return canonical_json(self.model_dump(exclude_unset=True))

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Read what `to_json` spelled.

        Raises
        ------
        ValueError
            Where it is no profile.
        """
        return cls.model_validate_json(content)

    def drift_measures(self) -> dict[str, dict[str, Any]] | None:
        """Return the measures of drift by column and name; None where drift was not measured."""
        if self.drift is None:
            return None
        columns = self.drift.columns.items()
        return {name: m.model_dump(mode="json", exclude_unset=True) for name, m in columns}


def part_of(line: int, parts: Sequence[FilePart]) -> int:
    """Return which of several files, by its position, a line stands in."""
    return bisect_right([part.first_line for part in parts], line) - 1


def place_of(line: int, parts: Sequence[FilePart]) -> str:
    """Say where a line stands."""
    if not parts:
        return f"line {line:,}"
    part = parts[part_of(line, parts)]
    return f"{part.file} line {line - part.first_line + 1:,}"
