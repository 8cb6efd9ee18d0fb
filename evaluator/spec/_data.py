"""What a day's file is: its name, its columns, and the rules that its rows keep."""

import codecs
import re
from calendar import monthrange
from datetime import date, timedelta
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from evaluator.spec._base import SpecModel, problem
from evaluator.spec._columns import (
    SPELLING_KEYS,
    TIME_TYPES,
    ColumnSpec,
    Severity,
    check_pattern,
)
from evaluator.spec._expression import Kind, parse_expression
from evaluator.spec._spellings import NumberSpelling

FileFormat = Literal["csv", "tsv", "parquet", "jsonl", "excel"]

DAY: Final = "day"
"""As a cluster: the day of a case's file, which every case has."""

SNAPSHOT: Final = "snapshot"
"""The one partition of data that are of no day."""

Period = Literal["day", "month", "year", "snapshot"]
"""What a file is of."""

_PLACES: Final[dict[str, Period]] = {"{date}": "day", "{month}": "month", "{year}": "year"}
"""What stands for a part of the date in `files`, the finest first, and how long a file is of."""
_SEVERAL: Final = "*"
"""In `files`, what the names of one day's files differ by."""
_BOUND: Final = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
"""A parameter of a query, as SQLAlchemy has it: two colons are a cast."""
# Dagster has a partition for each day that there is, and no end of days.
_FIRST_YEAR: Final = 1800
_LAST_YEAR: Final = 2199
_MAX_FILE_NAME: Final = 200
_CURRENCY: Final = re.compile(r"[^\s\d.,'\u2019+()%eE-]+|[^\W\d_]{2,}\.?")
_MEBIBYTE: Final = 1024**2
_GIBIBYTE: Final = 1024**3


class RowNumber(SpecModel):
    """The number of a row in its file, for tables in which no column tells rows apart."""

    row: Literal["number"] = Field(examples=["number"])
    """The line on which the row begins, with the file's day before it. A row that is mended keeps
    its number; in a file that is delivered again with other lines before it, a row is another
    case."""


class RowRule(SpecModel):
    """A rule across the columns of one row."""

    name: str = Field(min_length=1, examples=["arrives after departure"])
    """What the rule is called in reports and in quarantine."""

    expression: str = Field(examples=["arrival_time > departure_time"])
    """What must be true."""

    when: str | None = Field(default=None, examples=["country == 'DE'"])
    """An expression; the rule counts only in rows where it is true."""

    missing: Literal["keep", "break"] = Field(default="keep", examples=["break"])
    """Whether a row where something that `expression` reads is missing keeps the rule or breaks
    it."""

    severity: Severity = Field(default="refuse", examples=["warn"])
    """`refuse` puts a row that breaks the rule into quarantine; `warn` counts it."""


class FreshnessRule(SpecModel):
    """How old a day's newest row may be."""

    column: str = Field(examples=["departure"])
    """A declared date or timestamp column."""

    within_days: int = Field(default=1, ge=0, examples=[1])
    """How many days before the file's day the newest value may lie."""


class DatasetRules(SpecModel):
    """Rules over all rows of a day."""

    minimum_rows: int | None = Field(default=None, ge=0, examples=[100])
    """The fewest rows that a day's file may have."""

    maximum_rows: int | None = Field(default=None, ge=0, examples=[100_000])
    """The most rows that a day's file may have."""

    freshness: FreshnessRule | None = Field(
        default=None, examples=[{"column": "departure", "within_days": 1}]
    )
    """How old a day's newest row may be."""

    severity: Severity = Field(default="refuse", examples=["warn"])
    """`refuse` fails a day that breaks one of these rules, `warn` reports it."""

    @model_validator(mode="after")
    def _some_number_of_rows_is_right(self) -> Self:
        low, high = self.minimum_rows, self.maximum_rows
        if low is not None and high is not None and low > high:
            raise problem(
                "minimum_rows", f"{low} is above maximum_rows, {high}", "make it at most that"
            )
        return self


class DriftSpec(SpecModel):
    """When the content of a day counts as drifted. Limits are on effects, never on p-values."""

    reference_days: int = Field(default=14, ge=1, examples=[14])
    """The first so many accepted days are the reference, when no file is named. From 10 days on,
    what they differ by among themselves is no drift."""

    reference_file: str | None = Field(default=None, examples=["reference/flights-2013-10.parquet"])
    """A file of typed rows that is the reference instead."""

    stability_index: float | None = Field(default=None, gt=0, examples=[0.2])
    """A population stability index above this is drift; 0.05 for numbers and booleans, 0.1 for
    categories and texts when not declared."""

    jensen_shannon: float | None = Field(default=None, gt=0, le=1, examples=[0.2])
    """A Jensen-Shannon distance (base 2, from 0 to 1) above this is drift; 0.1 for numbers and
    booleans, 0.14 for categories and texts when not declared."""

    wasserstein: float | None = Field(default=None, gt=0, examples=[0.25])
    """A Wasserstein distance above this many spreads of the reference is drift; 0.15 when not
    declared."""

    missing_share: float | None = Field(default=None, gt=0, le=1, examples=[0.05])
    """A change of the share of missing values above this is drift; 0.025 when not declared."""

    minimum_rows: int = Field(default=200, ge=1, examples=[200])
    """With fewer rows or values on either side nothing is called drift; the report says for what
    they are too few."""

    test: Literal["none", "holm", "benjamini_hochberg"] = Field(default="none", examples=["holm"])
    """Whether p-values are shown too, and how they are corrected for many columns."""

    per_slice: bool = Field(default=True, examples=[False])
    """Whether drift is looked for in each slice too."""


class TableSpec(SpecModel):
    """A query that takes the place of files."""

    url_from: str = Field(examples=["WAREHOUSE_URL"])
    """The environment variable that holds the database's SQLAlchemy URL, credentials and all, such
    as `postgresql+psycopg://user:password@host/database`. It is never stored or shown."""

    query: str = Field(min_length=1, examples=["SELECT * FROM flights WHERE day = :day"])
    """One statement that gives a day's rows; `:day` stands for the day and `:next_day` for the one
    after it. Without either the rows are of no day, and are the partition `snapshot`."""

    again_days: int = Field(default=2, ge=0, le=366, examples=[7])
    """So many of the last days are asked for again each time, since rows may come late. Others are
    asked for once, and whenever somebody materialises them. An answer that is another than before
    is a new version of the day."""

    @field_validator("url_from")
    @classmethod
    def _url_is_not_here(cls, name: str) -> str:
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            # It may be the URL itself, and so it is not repeated.
            raise problem(
                "url_from",
                "it is no name of an environment variable",
                "put the URL into a variable, whose name stands here; this file is evidence, and no"
                " place for a password",
            )
        return name

    @field_validator("query")
    @classmethod
    def _parameters_are_known(cls, query: str) -> str:
        unknown = sorted({*_BOUND.findall(query)} - {"day", "next_day"})
        if unknown:
            raise problem(
                "query",
                f":{unknown[0]} stands for nothing",
                "write :day or :next_day, and \\: for a colon that names no parameter",
            )
        return query.rstrip().rstrip(";")

    @property
    def bound(self) -> frozenset[str]:
        """The parameters that the query names."""
        return frozenset(_BOUND.findall(self.query))


class DataSpec(SpecModel):
    """The daily files of an audit."""

    files: str | None = Field(default=None, examples=["flights-{date}.csv"])
    """The name of a day's file in the landing folder, also below other folders; `{date}` stands for
    the day as 2013-11-30. With `{month}` (2013-11) or `{year}` as the finest there is one file a
    month or a year, and what is said of days holds for these; with none of them the file is of no
    day, and is the partition `snapshot`. A `*` in the name stands for what the files of one day
    differ by: they are read one after the other, in the order of their names."""

    table: TableSpec | None = Field(
        default=None,
        examples=[{"url_from": "WAREHOUSE_URL", "query": "SELECT * FROM flights WHERE day = :day"}],
    )
    """A query against a database instead of `files`."""

    landing: str | None = Field(default=None, examples=["s3://bucket/flights"])
    """The folder where the files arrive: an absolute path, or any fsspec URL. By default it is
    `landing/` and the audit's name in the platform's home. Credentials are fsspec's business, by
    its own files and variables."""

    first_day: date | None = Field(default=None, examples=["2013-11-01"])
    """The first day that has a file; of monthly and yearly files, any day of the first one. Needed,
    unless the data are of no day."""

    last_day: date | None = Field(default=None, examples=["2013-11-28"])
    """The last day that has a file; without it, files keep coming."""

    columns: dict[str, ColumnSpec] = Field(
        min_length=1, examples=[{"flight": {"type": "string", "required": True}}]
    )
    """The columns by name: as in the file, or derived from others."""

    id: str | Annotated[tuple[str, ...], Field(min_length=2)] | RowNumber = Field(
        examples=["flight", ["order", "line"], {"row": "number"}]
    )
    """The column that identifies a row, or several that do so together; required and unique,
    whether they say so or not. Of several, a case's id is their texts with `/` between, and a `\\`
    before each `/` or `\\` of their own. Without any, the row's number in the file."""

    cluster: str | None = Field(default=None, examples=["day", "customer_id"])
    """The column that says which cases depend on each other, such as those of one customer; `day`,
    where no column is called so, is the day of the case's file. Clusters are then the independent
    units of every figure, comparison, gap, search and gate, and every case needs one. By default
    each case is taken to be independent of all others."""

    weight: str | None = Field(default=None, examples=["sampling_weight"])
    """The column of numbers that says for how much a case counts, such as for how many others it
    was sampled, in every figure, comparison, gap, search and gate. None may be missing or
    negative; a case of weight 0 is left out, and counted."""

    max_refused_share: float = Field(default=0.05, ge=0, le=1, examples=[0.05])
    """The share of a day's rows that may be refused; above it the day is not accepted."""

    missing_values: tuple[str, ...] = Field(default=("",), examples=[["", "NA"]])
    """How a missing value is written, in every column that does not say otherwise."""

    trim: bool = Field(default=False, examples=[True])
    """Whether blanks around a value are dropped before it is judged."""

    decimal: Literal[".", ","] = Field(default=".", examples=[","])
    """The decimal mark of all numbers in text files."""

    thousands: Literal["", ".", ",", " ", "'"] = Field(default="", examples=["."])
    """What may stand between groups of three digits. A blank stands for all that do not break a
    line, too, and an apostrophe also for a typographer's."""

    percent: bool = Field(default=False, examples=[True])
    """Whether each number carries `%` and means so many hundredths; `12,5 %` is 0.125."""

    currency: tuple[str, ...] = Field(default=(), examples=[["€", "EUR"]])
    """What may stand before or behind a number, such as signs and codes of currencies."""

    parentheses: bool = Field(default=False, examples=[True])
    """Whether a number in parentheses is below zero."""

    format: FileFormat | None = Field(default=None, examples=["csv"])
    """What the files are; taken from the name's ending when not declared."""

    encoding: str | None = Field(default=None, examples=["utf-8", "cp1252"])
    """The encoding of text files; detected when not declared."""

    delimiter: str | None = Field(default=None, min_length=1, max_length=8, examples=[";", "||"])
    """What separates fields, one character or several; detected when not declared."""

    blanks_after_delimiter: bool = Field(default=False, examples=[True])
    """Whether blanks between a delimiter and a field, or its quote, are no part of the field."""

    escape: str | None = Field(default=None, min_length=1, max_length=1, examples=["\\"])
    """What takes the meaning from a delimiter or a quote right behind it."""

    skip_lines: int = Field(default=0, ge=0, examples=[2])
    """So many lines at the beginning of a text file are no rows, such as a title."""

    comment: str | None = Field(default=None, min_length=1, max_length=8, examples=["#"])
    """A line of a delimited file that begins so is no row."""

    not_rows: tuple[str, ...] = Field(default=(), examples=[["Total;.*", "Source: .*"]])
    """Regular expressions; a line of a delimited file that one of them matches whole is no row,
    such as totals and footers. What is left out so is counted and shown in the report."""

    quote: str | None = Field(default=None, max_length=1, examples=['"', ""])
    """What encloses a field that holds delimiters or line breaks; empty: nothing does."""

    header: bool | None = Field(default=None, examples=[True])
    """Whether the first line names the columns; without one, fields come in the declared order."""

    header_lines: int = Field(default=1, ge=1, le=5, examples=[2])
    """Over how many lines the header goes; a column's name is what stands there, with blanks
    between. An empty field of a line above is taken to go on from the one on its left."""

    cut_off: Literal["refuse", "quarantine"] = Field(default="refuse", examples=["quarantine"])
    """Whether a text file is refused whose last row is incomplete and has no line end, as of a file
    that is still being written, or only that row is."""

    still_seconds: int = Field(default=30, ge=10, le=86_400, examples=[300])
    """How long a file must not have changed before it is taken in on its arrival."""
    sheet: str | None = Field(default=None, min_length=1, examples=["Flights"])
    """The sheet of an Excel workbook that is read; by default the first visible one."""

    undeclared_columns: Literal["ignore", "refuse"] = Field(default="ignore", examples=["refuse"])
    """A column that is not declared is reported and left out, or refuses the file."""

    ignore_columns: tuple[str, ...] = Field(default=(), examples=[["comment", "internal_note"]])
    """Columns that files may have and that are not read; no report tells of them."""

    columns_in_order: bool = Field(default=False, examples=[True])
    """Whether a file is refused whose columns stand in another order than the declared ones."""

    unique_together: tuple[tuple[str, ...], ...] = Field(
        default=(), examples=[[["carrier", "flight_number", "departure"]]]
    )
    """Columns whose values may occur together only once in a day's file."""

    repeats: Literal["keep_first", "refuse_all"] = Field(
        default="keep_first", examples=["refuse_all"]
    )
    """Of good rows with one id, or another value that is unique, the first is kept, or none: which
    of them is the right one may be unknown. With `refuse_all` a file is read twice."""

    row_rules: tuple[RowRule, ...] = Field(
        default=(),
        examples=[[{"name": "price is paid", "expression": "price > 0 or discount == 1"}]],
    )
    """Rules across the columns of one row."""

    dataset_rules: DatasetRules = Field(
        default_factory=DatasetRules, examples=[{"minimum_rows": 100}]
    )
    """Rules over all rows of a day."""

    drift: DriftSpec = Field(default_factory=DriftSpec, examples=[{"reference_days": 14}])
    """When the content of a day counts as drifted."""

    maximum_bytes: int = Field(default=16 * _GIBIBYTE, ge=1, examples=[2 * _GIBIBYTE])
    """The most bytes that a file may have, counted after unpacking."""

    maximum_row_bytes: int = Field(default=_MEBIBYTE, ge=16, examples=[_MEBIBYTE])
    """The most bytes that one row may have; a file with a longer one is refused."""

    maximum_columns: int = Field(default=2_000, ge=1, examples=[2_000])
    """The most columns that a file may have."""

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The columns that identify a row together; none where its number does."""
        if isinstance(self.id, RowNumber):
            return ()
        return (self.id,) if isinstance(self.id, str) else self.id

    @property
    def id_column(self) -> str:
        """The column of typed rows that holds the id; where it is no declared one, it is added."""
        name = " + ".join(self.id_columns) or "row number"
        # A file may have a column that is called so.
        while not isinstance(self.id, str) and name in self.columns:
            name += " (id)"
        return name

    @property
    def kinds(self) -> dict[str, Kind]:
        """What each column is in an expression."""
        return {name: column.kind for name, column in self.columns.items()}

    @property
    def file_columns(self) -> tuple[str, ...]:
        """The columns that are read from the file: all that are not derived."""
        return tuple(name for name, column in self.columns.items() if column.derive is None)

    def read_as(self, name: str) -> ColumnSpec:
        """Return a column with what it leaves to the whole file."""
        column = self.columns[name]
        if column.kind != "number":
            return column
        inherited = {
            key: getattr(self, key) for key in SPELLING_KEYS if getattr(column, key) is None
        }
        if column.type == "integer":
            # A whole number has neither hundredths nor a decimal mark that could group its digits.
            inherited["percent"] = False
            thousands = self.thousands if column.thousands is None else column.thousands
            inherited["decimal"] = "," if thousands == "." else "."
        return column.model_copy(update=inherited)

    def missing_spellings(self, column: str) -> tuple[str, ...]:
        """Return how a missing value is written in a column."""
        spellings = self.columns[column].missing_values
        return self.missing_values if spellings is None else spellings

    @property
    def decimal_marks(self) -> dict[str, str]:
        """By column the mark of numbers in texts, where it is no point.

        Numbers that are no texts, such as JSON's and those of a workbook, have a point.
        """
        read = {name: self.read_as(name) for name in self.file_columns}
        marks = {name: c.spelling.decimal for name, c in read.items() if c.kind == "number"}
        return {name: mark for name, mark in marks.items() if mark != "."}

    @property
    def period(self) -> Period:
        """What a file, or the answer to a query, is of."""
        if self.table is not None:
            return "day" if self.table.bound else SNAPSHOT
        return next((_PLACES[name] for name in _PLACES if name in self.source), SNAPSHOT)

    @property
    def source(self) -> str:
        """What the rows come from, in a word for people: the files' name, or the query."""
        return self.files or (self.table.query if self.table else "")

    @property
    def has_several_files(self) -> bool:
        """Whether any number of files make up a day."""
        return self.files is not None and _SEVERAL in self.files

    def file_name(self, partition: str) -> str:
        """Return the path below the landing folder of a day's file, or the pattern of several.

        Parameters
        ----------
        partition
            The first day that the file is of, as 2013-11-30, or ``snapshot``.
        """
        day = date_of(partition)
        if self.table is not None:
            # What a query gave is no file of anybody's, and is kept as one.
            return f"{partition}.parquet"
        path = self.source
        if day is not None:
            named = {"{date}": day.isoformat(), "{month}": f"{day:%Y-%m}", "{year}": f"{day:%Y}"}
            for place, text in named.items():
                path = path.replace(place, text)
        return path

    def partitions(self, today: date) -> list[str]:
        """Return the keys of the intake's partitions that there are on a day, in their order.

        A file's day is one from its beginning on, unless a `last_day` is declared; what a query
        gives is whole when its day is over.
        """
        if self.first_day is None:
            return [SNAPSHOT]
        waits = self.last_day is not None or self.table is not None
        last = min(self.last_day or today, today)
        keys, day = [], self.start_of_period(self.first_day)
        while day <= last and not (waits and self.end_of_period(day) >= today):
            keys.append(day.isoformat())
            day = self.end_of_period(day) + timedelta(days=1)
        return keys

    def start_of_period(self, day: date) -> date:
        """Return the first day that the file with this one is of."""
        if self.period in ("day", SNAPSHOT):
            return day
        return day.replace(day=1, month=day.month if self.period == "month" else 1)

    def end_of_period(self, day: date) -> date:
        """Return the last day that the file with this one is of."""
        if self.period in ("day", SNAPSHOT):
            return day
        month = day.month if self.period == "month" else 12
        return day.replace(month=month, day=monthrange(day.year, month)[1])

    @field_validator("files")
    @classmethod
    def _files_are_a_path(cls, files: str | None) -> str | None:
        if files is None:
            return None
        unknown = [place for place in re.findall(r"\{[A-Za-z_]*\}", files) if place not in _PLACES]
        if unknown:
            raise problem(
                "files",
                f"{unknown[0]} stands for nothing",
                "write {date}, {month} or {year} where the date stands, such as flights-{date}.csv",
            )
        parts = files.split("/")
        if any(_SEVERAL in part for part in parts[:-1]) or "**" in files:
            raise problem(
                "files",
                f"{files!r} has a * that is not in the name of a file",
                "write folders in full, and one * in a row, such as date={date}/part-*.csv",
            )
        if "\\" in files or {"", ".", ".."} & {*parts}:
            raise problem(
                "files",
                f"{files!r} is not a plain path below the landing folder",
                "write folders and a name with / between them, such as date={date}/part-0.csv",
            )
        if not files.isprintable() or max(len(part.encode()) for part in parts) > _MAX_FILE_NAME:
            raise problem(
                "files",
                f"{files[:40]!r} is too long for a file's name, or does not print",
                "call the files otherwise",
            )
        return files

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, encoding: str | None) -> str | None:
        if encoding is None:
            return None
        try:
            info = codecs.lookup(encoding)
            # Some codecs, such as base64, are of bytes and not of text; only their use tells.
            "".encode(encoding)
        except LookupError as error:
            raise problem(
                "encoding", f"{encoding!r} is not known", "write one such as utf-8 or cp1252"
            ) from error
        return info.name

    @field_validator("quote", "escape")
    @classmethod
    def _marks_are_single_bytes(cls, mark: str | None, info: ValidationInfo) -> str | None:
        if mark and (not mark.isascii() or mark in "\r\n\0"):
            raise problem(
                str(info.field_name),
                f"{mark!r} cannot enclose or escape",
                "use one ASCII character",
            )
        return mark

    @field_validator("delimiter", "comment")
    @classmethod
    def _marks_stand_in_a_line(cls, mark: str | None, info: ValidationInfo) -> str | None:
        if mark and not {*mark}.isdisjoint("\r\n\0"):
            raise problem(str(info.field_name), f"{mark!r} ends a line", "use characters of a line")
        return mark

    @field_validator("not_rows")
    @classmethod
    def _not_rows_are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            check_pattern("not_rows", pattern)
        return patterns

    @field_validator("columns")
    @classmethod
    def _names_are_plain(cls, columns: dict[str, ColumnSpec]) -> dict[str, ColumnSpec]:
        for name in columns:
            if not can_name_a_column(name):
                raise problem(
                    "columns",
                    f"{name!r} cannot name a column",
                    "use a name without blanks around it or control characters, and not * or ^...$",
                )
        return columns

    @field_validator("first_day", "last_day")
    @classmethod
    def _days_can_be_partitions(cls, day: date | None, info: ValidationInfo) -> date | None:
        if day is not None and not _FIRST_YEAR <= day.year <= _LAST_YEAR:
            raise problem(
                str(info.field_name),
                f"{day} is no day that could have a file",
                f"write one from {_FIRST_YEAR} to {_LAST_YEAR}; without a `last_day` files keep"
                " coming",
            )
        return day

    @field_validator("landing")
    @classmethod
    def _landing_names_a_folder(cls, landing: str | None) -> str | None:
        if landing is None:
            return None
        scheme, mark, rest = landing.partition("://")
        if not mark and not landing.startswith("/"):
            raise problem(
                "landing",
                f"{landing!r} is neither an absolute path nor a URL",
                "write one such as /data/flights or s3://bucket/flights",
            )
        if mark and (not scheme or not rest or "@" in rest.split("/")[0]):
            raise problem(
                "landing",
                "it is no URL, or names a user",
                "keep credentials in fsspec's own configuration; this file is evidence",
            )
        return landing.rstrip("/") or "/"

    @model_validator(mode="after")
    def _data_come_from_one_place(self) -> Self:
        if (self.files is None) == (self.table is None):
            raise problem(
                "files",
                "it is needed" if self.files is None else "there is a `table` as well",
                "name the files that arrive, or a table of a database, and not both",
            )
        if self.table is not None and self.landing is not None:
            raise problem("landing", "no file arrives where there is a `table`", "remove it")
        if self.table is not None and self.format not in (None, "parquet"):
            raise problem("format", "the answer to a query has none", "remove it")
        if self.period != SNAPSHOT:
            if self.first_day is None:
                raise problem(
                    "first_day",
                    f"it is needed: the data are of a {self.period} each",
                    "write the first one, such as 2013-11-01",
                )
            return self
        dated = {
            "first_day": self.first_day is not None,
            "last_day": self.last_day is not None,
            "dataset_rules.freshness": self.dataset_rules.freshness is not None,
        }
        for key, is_there in dated.items():
            if is_there:
                place = ":day into the query" if self.table else "{date} into `files`"
                raise problem(key, "the data are of no day", f"remove it, or put {place}")
        return self

    @model_validator(mode="after")
    def _days_are_in_order(self) -> Self:
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise problem("last_day", "it is before first_day", "make it first_day or later")
        return self

    @model_validator(mode="after")
    def _marks_are_different(self) -> Self:
        if self.quote and self.quote == self.escape:
            raise problem(
                "escape", "it is the quote", "remove it: a doubled quote is one quote anyway"
            )
        for key in ("quote", "escape"):
            mark = getattr(self, key)
            if mark and self.delimiter is not None and mark in self.delimiter:
                raise problem(key, "it is the delimiter", "choose two different characters")
        return self

    @model_validator(mode="after")
    def _numbers_have_one_spelling(self) -> Self:
        spellings = {f"columns.{name}": self.read_as(name).spelling for name in self.file_columns}
        for key, spelling in {"thousands": self._spelling, **spellings}.items():
            if spelling.decimal == spelling.thousands:
                raise problem(
                    key,
                    f"{spelling.decimal!r} is the decimal mark and groups digits, too",
                    "declare two different marks",
                )
            odd = [one for one in spelling.currency if not _CURRENCY.fullmatch(one)]
            if odd:
                raise problem(
                    key,
                    f"{odd[0]!r} cannot be told from a number",
                    "write a currency without digits, blanks, signs, points and commas",
                )
        return self

    @property
    def _spelling(self) -> NumberSpelling:
        return NumberSpelling(**{key: getattr(self, key) for key in SPELLING_KEYS})

    @model_validator(mode="after")
    def _named_columns_are_declared(self) -> Self:
        freshness = self.dataset_rules.freshness
        references = [("id", name) for name in self.id_columns]
        references += [
            ("unique_together", name) for group in self.unique_together for name in group
        ]
        if freshness is not None:
            references.append(("dataset_rules.freshness.column", freshness.column))
        for key, name in references:
            if name not in self.columns:
                raise problem(
                    key,
                    f"there is no column {name!r}",
                    f"declare it under columns, or name one of: {', '.join(self.columns)}",
                )
        if freshness is not None and self.columns[freshness.column].type not in TIME_TYPES:
            raise problem(
                "dataset_rules.freshness.column",
                f"{freshness.column!r} is neither a date nor a timestamp",
                "name a date or timestamp column",
            )
        return self

    @model_validator(mode="after")
    def _id_comes_from_the_file(self) -> Self:
        for name in self.id_columns:
            column = self.columns[name]
            if column.derive is not None or column.optional or column.severity == "warn":
                raise problem(
                    "id",
                    f"the column {name!r} is derived, optional or only warned about",
                    "identify rows by columns that are in every file, with severity refuse",
                )
        if len({*self.id_columns}) < len(self.id_columns):
            raise problem("id", "it names a column twice", "name each column once")
        return self

    @model_validator(mode="after")
    def _what_is_ignored_is_not_declared(self) -> Self:
        declared = [name for name in self.ignore_columns if name in self.columns]
        if declared:
            raise problem(
                "ignore_columns", f"{declared[0]!r} is declared under columns", "keep it in one"
            )
        return self

    @model_validator(mode="after")
    def _expressions_can_be_computed(self) -> Self:
        # A derived column may read those that are declared above it.
        kinds = {name: self.columns[name].kind for name in self.file_columns}
        for name, column in self.columns.items():
            if column.derive is None:
                continue
            key = f"columns.{name}.derive"
            kind = _expression_kind(column.derive, kinds, key)
            if column.bins is not None and kind != "number":
                raise problem(key, f"it gives a {kind}, and bins cut a number", "make it a number")
            if (
                column.bins is None
                and kind != column.kind
                and (kind, column.type) != ("boolean", "integer")
            ):
                raise problem(
                    key, f"it gives a {kind}, not a {column.type}", f"make the type fit a {kind}"
                )
            kinds[name] = column.kind
        conditions = {f"columns.{name}.when": column.when for name, column in self.columns.items()}
        for rule in self.row_rules:
            conditions[f"row_rules.{rule.name}"] = rule.expression
            conditions[f"row_rules.{rule.name}.when"] = rule.when
        for key, condition in conditions.items():
            kind = "boolean" if condition is None else _expression_kind(condition, kinds, key)
            if kind != "boolean":
                raise problem(key, f"it gives a {kind}", "write something that is true or false")
        names = [rule.name for rule in self.row_rules]
        if len(set(names)) != len(names):
            raise problem("row_rules", "two rules have one name", "give each a name of its own")
        return self


class LabelsSpec(DataSpec):
    """Files with labels that come later than their cases, and are joined to these by id.

    All keys of `data` but `cluster` and `weight` may stand here too, and are about these files.
    """

    cluster: ClassVar[None] = None  # type: ignore[misc] # no key here: it is the cases'
    weight: ClassVar[None] = None  # type: ignore[misc] # the same

    column: str = Field(examples=["paid"])
    """The column that holds the label, as `label.column` names it. A row where it is missing says
    nothing of its case."""

    mature_after: int = Field(default=0, ge=0, le=36_500, examples=[30])
    """A case is evaluated once its day is so many days old, counted to the newest accepted day of
    data or labels and not to today. Those whose labels come early may be other cases than those
    whose labels come late."""

    conflicts: Literal["refuse", "latest"] = Field(default="refuse", examples=["latest"])
    """Of labels of one id that contradict each other none counts, or that of the latest file
    does."""

    minimum_share: float = Field(default=0.9, ge=0, le=1, examples=[0.9])
    """A remark says so where a smaller share of the cases that are old enough has a label."""

    @model_validator(mode="after")
    def _label_can_be_joined(self) -> Self:
        if self.column not in self.columns:
            raise problem(
                "column",
                f"there is no column {self.column!r}",
                f"declare it under columns, or name one of: {', '.join(self.columns)}",
            )
        if isinstance(self.id, RowNumber):
            raise problem(
                "id",
                "the number of a row in this file says nothing of a case",
                "name the columns that hold the id of the case",
            )
        if self.column in self.id_columns:
            raise problem("column", "it is the id", "name the column that holds the label")
        return self


def date_of(partition: str) -> date | None:
    """Return the first day that a partition of the intake is of; None for a snapshot."""
    return None if partition == SNAPSHOT else date.fromisoformat(partition)


def can_name_a_column(name: str) -> bool:
    """Tell whether a text can name a column.

    Returns
    -------
    bool
        False for what is empty, has blanks around it or characters that do not print, and for
        what an engine takes for a pattern of names.
    """
    pattern = name == "*" or (name.startswith("^") and name.endswith("$"))
    return bool(name) and name == name.strip() and name.isprintable() and not pattern


def _expression_kind(expression: str, kinds: dict[str, Kind], key: str) -> Kind:
    """Return the kind of an expression's value, or refuse the expression."""
    try:
        return parse_expression(expression, kinds).kind
    except ValueError as error:
        raise problem(key, str(error), "see the expression language in docs/intake.md") from None
