"""What a column of texts holds, as far as a first schema asks: learnt block by block."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from evaluator.intake._typing import parse_values
from evaluator.intake._uniqueness import Uniqueness
from evaluator.spec import ColumnSpec, NumberSpelling, parse_time_format

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from evaluator.spec import FoundColumn

MAX_CATEGORIES: Final = 20
MAX_DISTINCT: Final = 1_000
#: So often on average must a value stand there for a text to be a category.
MIN_CATEGORY_ROWS: Final = 5
#: The share of values that may be of another type than the one proposed.
MAX_WRONG_SHARE: Final = 0.05
#: So many of the first values choose what is tried on all.
TRIED_FIRST: Final = 200
#: Spellings that often stand for a missing value; they are proposed, never assumed.
OFTEN_MISSING: Final = (
    *("NA", "N/A", "n/a", "#N/A", "n.a.", "<NA>", "NULL", "null", "None", "nan", "NaN", "\\N"),
    *("missing", "-", "--", "?", "."),
)
CODES: Final = ("-1", "-9", "-99", "-999", "-9999", "99", "999", "9999")
ZEROS: Final = r"^[+-]?0[0-9]+(?:[.,][0-9]*)?$"
DIGITS: Final = r"^[+-]?[0-9]+$"
GROUPED: Final = r"^[+-]?[1-9][0-9]{0,2}(?:[.,][0-9]{3})+$"
MONEY: Final = re.compile(r"\b[A-Z]{3}\b|[A-Z]{0,2}\$|[€£¥₹₽₩₺₪₫₴₦฿]|\b(?:kr|zł|Kč|Ft|lei|Fr)\b\.?")
SHORTENED: Final = r"^[0-9](?:\.[0-9]+)?[eE]\+?[0-9]{2,}$"
SHAPES: Final = (
    ("integer", re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})")),
    ("float", re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?")),
    ("boolean", re.compile(r"(?i:true|false)")),
    ("date", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")),
    (
        "timestamp",
        re.compile(
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
        ),
    ),
)


def type_of_text(text: str) -> str:
    """Tell the narrowest type that a text has the shape of."""
    if re.fullmatch(r"[+-]?0[0-9]+(?:\.[0-9]*)?", text):
        return "string"
    for name, shape in SHAPES:
        if shape.fullmatch(text):
            return name
    return "string"


def is_typed(text: str) -> bool:
    """Whether a text is a number or a date in whatever spelling, and so no name of a column."""
    digits = r"[0-9][0-9.,:/ T-]*(?:[eE][-+]?[0-9]+)?"
    return bool(re.fullmatch(rf"[-+$€£]?\s?{digits}\s?[%€]?", text.strip()))


@dataclass
class Inferred:
    """What a column could be declared as."""

    type: str
    keys: dict[str, Any] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)

    @classmethod
    def of_arrow(cls, type_: "pa.DataType") -> "Inferred | None":
        """Take a Parquet column's own type; None where texts have to tell."""
        import pyarrow as pa

        if pa.types.is_timestamp(type_):
            return cls("timestamp", {} if type_.tz is None else {"time_zone": str(type_.tz)})
        if pa.types.is_decimal(type_) and type_.scale >= 0 and type_.precision <= 38:  # noqa: PLR2004 - what is declared
            return cls("decimal", {"precision": type_.precision, "scale": type_.scale})
        # Half of the numbers of 64 bits without a sign are none of 64 bits with one.
        integers = pa.types.is_integer(type_) and not pa.types.is_uint64(type_)
        kinds = {
            "integer": integers,
            "float": pa.types.is_floating(type_),
            "boolean": pa.types.is_boolean(type_),
            "date": pa.types.is_date(type_),
        }
        return next((cls(name) for name, is_it in kinds.items() if is_it), None)


@dataclass
class _Candidate:
    """A type that a column may have, in some spelling, and how many values are not of it."""

    type: str
    keys: dict[str, Any] = field(default_factory=dict)
    wrong: int = 0

    @cached_property
    def spec(self) -> ColumnSpec:
        words = {
            "true_values": ("true", "True", "TRUE"),
            "false_values": ("false", "False", "FALSE"),
        }
        own = words if self.type == "boolean" else {}
        return ColumnSpec.model_validate({"type": self.type, **self.keys, **own})

    def fits(self, texts: "pl.Series") -> int:
        """Count the values that are of it."""
        return len(texts) - parse_values(texts, self.spec).null_count()


class ColumnSketch:
    """Learns what a column holds.

    Parameters
    ----------
    name
        The column's.
    own
        The type that the file itself gives; then texts tell only what is missing.
    """

    def __init__(self, name: str, own: Inferred | None = None) -> None:
        self.name = name
        self.missing = 0
        self.inferred = own or Inferred("string")
        self._is_own = own is not None
        self._kept = 0
        self._rows = 0
        #: How many rows repeat an earlier one's value, or have none.
        self._without_own = 0
        self._blank = 0
        self._words = Counter[str]()
        self._codes = Counter[str]()
        self._ends = (np.inf, -np.inf)
        self._counts: Counter[str] | None = Counter()
        self._candidates: list[_Candidate] | None = None
        self._shapes = Counter[str]()
        self._examples: dict[str, str] = {}
        self._unique: Uniqueness | None = Uniqueness((name,))

    def add_missing(self, rows: int) -> None:
        """Learn that so many rows lack the column."""
        self.missing += rows
        self._unique = None

    def add(self, texts: "pl.Series") -> None:
        """Learn from some rows."""
        present = texts.filter((texts != "").fill_null(value=False))
        self.missing += len(texts) - len(present)
        self._learn_repeats(texts, len(present))
        is_word = present.is_in(list(OFTEN_MISSING))
        self._words.update(present.filter(is_word).to_list())
        is_blank = present.str.strip_chars() == ""
        self._blank += int(is_blank.sum())
        kept = present.filter(~is_word & ~is_blank)
        self._kept += len(kept)
        if len(kept) == 0:
            return
        if self._counts is not None:
            self._counts.update(dict(kept.alias("value").value_counts(name="rows").iter_rows()))
            if len(self._counts) > MAX_DISTINCT:
                self._counts = None
        if not self._is_own:
            self._learn_types(kept)

    def _learn_types(self, kept: "pl.Series") -> None:
        """Learn which types and spellings the values have."""
        import polars as pl

        for shape in (ZEROS, DIGITS, GROUPED, SHORTENED):
            self._shapes[shape] += int(kept.str.contains(shape).sum())
        self._codes.update(kept.filter(kept.is_in(list(CODES))).to_list())
        numbers = kept.cast(pl.Float64, strict=False).drop_nulls().to_numpy()
        self._ends = (
            np.fmin.reduce(numbers, initial=self._ends[0]),
            np.fmax.reduce(numbers, initial=self._ends[1]),
        )
        if self._candidates is None:
            first = kept.head(TRIED_FIRST)
            tried = _candidates(first.to_list())
            self._candidates = [one for one in tried if one.fits(first) >= len(first) / 2]
        for one in self._candidates:
            one.wrong += len(kept) - one.fits(kept)
        typed = kept.to_frame("v").select(
            pl.col("v")
            .str.replace_all("[0-9]", "9")
            .str.replace_all("[A-Za-z]", "a")
            .alias("shape"),
            "v",
        )
        if len(self._examples) < MAX_CATEGORIES:
            for shape, text in typed.unique("shape", keep="first", maintain_order=True).iter_rows():
                self._examples.setdefault(shape, text)

    def _learn_repeats(self, texts: "pl.Series", present: int) -> None:
        self._rows += len(texts)
        if self._unique is None:
            return
        frame = texts.alias(self.name).to_frame()
        repeated = self._unique.repeated(frame, np.ones(len(texts), dtype=bool))
        self._without_own += len(texts) - present + int(repeated.sum())
        if self._without_own > max(self._rows * MAX_WRONG_SHARE, 1):
            self._unique = None

    @property
    def distinct(self) -> list[str] | None:
        """Its different values, in order; None where they are many."""
        return None if self._counts is None else sorted(self._counts)

    @property
    def found(self) -> "FoundColumn":
        """What it holds, once that was inferred; what is not of its type is left out."""
        import polars as pl

        # Tasks know of tables, which pandas is for; an intake does without.
        from evaluator.spec import FoundColumn

        values = self.distinct
        if values is not None and self.inferred.type not in ("string", "category"):
            texts = pl.Series(values, dtype=pl.String)
            column = _Candidate(self.inferred.type, self.inferred.keys).spec
            values = texts.filter(parse_values(texts, column).is_not_null()).to_list()
        return FoundColumn(self.name, self.inferred.type, values, self._kept)

    @property
    def is_complete(self) -> bool:
        """Whether each row says something here."""
        taken_for_missing = self._words and "missing_values" in self.inferred.keys
        return not (self.missing or self._blank or taken_for_missing)

    @property
    def is_text(self) -> bool:
        """Whether its values are texts of no certain list."""
        return self.inferred.type == "string"

    @property
    def counts_rows(self) -> bool:
        """Whether its whole numbers are as many as there are from the least to the greatest."""
        low, high = self._ends
        return self.inferred.type == "integer" and high - low + 1 == self._rows

    @property
    def without_own(self) -> int | None:
        """How many rows it does not tell from others; None where it names nothing at all."""
        is_plain = self.inferred.keys.keys().isdisjoint(("thousands", "currency"))
        names = self.inferred.type in ("integer", "string") and is_plain
        return self._without_own if names and self._unique is not None else None

    def infer(self, *, prefers_comma: bool, lists_values: bool) -> None:
        """Decide once all rows are known.

        Parameters
        ----------
        prefers_comma
            Whether a comma is more likely to be a decimal mark than to group digits.
        lists_values
            Whether its values shall be listed, however many they are.
        """
        if lists_values:
            self.inferred = self._as_category([])
        elif not self._is_own:
            self.inferred = self._found(prefers_comma=prefers_comma)
        words = [word for word in OFTEN_MISSING if self._words[word]]
        if words:
            listed = ", ".join(words)
            if self.inferred.type == "string":
                self.inferred.doubts.append(f"{listed} may stand for a missing value")
            else:
                self.inferred.keys["missing_values"] = ["", *words]
                self.inferred.doubts.append(f"{listed} is taken for missing")

    def _found(self, *, prefers_comma: bool) -> Inferred:
        if self._kept == 0:
            return Inferred("string", {}, ["it has no value in the file"])
        if (self._shapes[ZEROS] and self._shapes[ZEROS] < self._kept) or self._all(ZEROS):
            # One such value is enough: as a number it would be another one.
            return self._as_text(["digits with leading zeros are kept as text"])
        right = [one for one in self._candidates or [] if one.wrong == 0]
        right.sort(key=lambda one: prefers_comma and one.keys.get("thousands") == ",")
        if self._all(DIGITS) and not any(one.type == "integer" for one in right):
            return self._as_text(["its numbers have more digits than 64 bits hold"])
        if right:
            return self._as_typed(right[0], right[1:])
        near = [one for one in self._candidates or [] if self._is_near(one)]
        if near:
            best = min(near, key=lambda one: one.wrong)
            wrong = f"{best.wrong:,} of {self._kept:,} values are none; see the lines above"
            found = self._as_typed(best, [])
            found.doubts.insert(0, wrong)
            return found
        return self._as_text(self._seen())

    def _is_near(self, one: _Candidate) -> bool:
        """Whether so few values are not of it that they are rather mistakes."""
        if "formats" in one.keys:
            # Of several spellings none may be chosen that others do not have.
            return False
        is_mistake = one.type == "timestamp" and one.wrong == 1
        return is_mistake or one.wrong <= self._kept * MAX_WRONG_SHARE

    def _all(self, shape: str) -> bool:
        return self._shapes[shape] == self._kept

    def _seen(self) -> list[str]:
        """Say what texts look like that are numbers or dates of several spellings."""
        spellings = [text for text in self._examples.values() if is_typed(text)]
        if len(spellings) > 1 and len(spellings) == len(self._examples):
            shown = ", ".join(spellings[:4])
            return [f"no one way to write dates or numbers fits all values, such as {shown}"]
        if not self._candidates:
            return []
        nearest = min(self._candidates, key=lambda one: one.wrong)
        how = " ".join((nearest.type, *nearest.keys.get("formats", ())))
        return [f"{self._kept - nearest.wrong:,} of {self._kept:,} values look like {how}"]

    def _as_text(self, doubts: list[str]) -> Inferred:
        counts = self._counts
        few = counts is not None and len(counts) <= MAX_CATEGORIES
        if few and self._kept >= MIN_CATEGORY_ROWS * len(counts or ()):
            return self._as_category(doubts)
        return Inferred("string", {}, doubts)

    def _as_category(self, doubts: list[str]) -> Inferred:
        doubts = [*doubts, "other files may have other values"]
        if self.distinct is None:
            doubts = [f"it has more than {MAX_DISTINCT:,} values, too many to be listed"]
            return Inferred("category", {}, doubts)
        return Inferred("category", {"allowed": self.distinct}, doubts)

    def _as_typed(self, chosen: _Candidate, others: list[_Candidate]) -> Inferred:
        found = Inferred(chosen.type, dict(chosen.keys))
        if chosen.type == "integer" and self.distinct == ["0", "1"]:
            found.doubts.append("it may be a boolean")
        if chosen.type == "float" and self._all(SHORTENED):
            # What a spreadsheet has shortened is no measurement, and its digits are gone.
            shortened = "a spreadsheet has shortened its numbers; if they are ids, they are lost"
            return Inferred("string", {}, [shortened])
        if self._all(GROUPED) and chosen.type in ("float", "integer", "decimal"):
            found.doubts.append("its marks may group digits or stand before decimals")
        if "formats" in chosen.keys:
            same = [o for o in others if o.type == chosen.type and "formats" in o.keys]
            if same:
                also = ", ".join(how for one in same[:2] for how in one.keys["formats"])
                found.doubts.append(
                    f"{also} would read all values, too: day and month may be swapped"
                )
            if "%p" in chosen.keys["formats"][0]:
                found.doubts.append("its hours are counted to 12, with AM and PM")
        if "time_zone" in chosen.keys:
            found.doubts.append("its times have offsets; they become instants in UTC")
        codes = [code for code in CODES if self._codes[code]]
        if codes and chosen.type in ("integer", "float") and self._stand_out(codes):
            found.doubts.append(f"{', '.join(codes)} may be a code for missing")
        return found

    def _stand_out(self, codes: list[str]) -> bool:
        """Whether a code is the smallest or the largest value."""
        return any(float(code) in self._ends for code in codes)


def _candidates(first: list[str]) -> list[_Candidate]:
    """Give what a column could be by its first values, the likeliest first."""
    found = [
        _Candidate("boolean"),
        _Candidate("integer"),
        _Candidate("float"),
        _Candidate("date"),
        _Candidate("timestamp"),
        _Candidate("timestamp", {"time_zone": "UTC"}),
    ]
    found += [
        _Candidate(*how)
        for how in _times()
        if _could_be(parse_time_format(how[1]["formats"][0]).shape, first)
    ]
    if any(re.search("[0-9]", text) for text in first):
        found += [
            _Candidate(type_, keys)
            for type_, keys in _numbers(first)
            if _could_be(NumberSpelling(**keys).shape, first)
        ]
    return found


def _could_be(shape: str, first: list[str]) -> bool:
    return any(re.search(shape, text) for text in first[:20])


def _times() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ways to write dates and times, those with padded numbers and whole years first."""
    dates = [f"{first}{mark}{second}{mark}%Y" for mark in "./-" for first, second in _ORDERS]
    dates += ["%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"]
    dates += [f"{first}{mark}{second}{mark}%y" for mark in "./-" for first, second in _ORDERS]
    dates += [
        f"{day}{mark}{month}{mark}%Y"
        for month in ("%b", "%B")
        for mark in " -"
        for day in ("%d", "%-d")
    ]
    dates += [f"{month} {day}, %Y" for month in ("%b", "%B") for day in ("%d", "%-d")]
    for how in dates:
        yield "date", {"formats": [how]}
    hours = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%-H:%M", "%-H:%M:%S", "%I:%M %p", "%-I:%M %p",
             "%I:%M:%S %p", "%-I:%M:%S %p")  # fmt: skip
    # Whoever counts hours to twelve mostly writes the month first.
    for how, clock in sorted(product(dates, hours), key=_has_unlikely_order):
        yield "timestamp", {"formats": [f"{how} {clock}"]}


def _has_unlikely_order(parts: tuple[str, str]) -> bool:
    how, clock = parts
    return "%p" in clock and how.startswith(("%d", "%-d"))


_ORDERS: Final = (("%d", "%m"), ("%m", "%d"), ("%-d", "%-m"), ("%-m", "%-d"))


def _numbers(first: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ways to write numbers, the simplest first."""
    money = Counter(word for text in first for word in MONEY.findall(text))
    currency = [word for word, _ in money.most_common(3)]
    percent = any("%" in text for text in first)
    parentheses = any("(" in text for text in first)
    marks: list[dict[str, Any]] = [
        {},
        {"thousands": ","},
        {"decimal": ","},
        {"decimal": ",", "thousands": "."},
        {"decimal": ",", "thousands": " "},
        {"thousands": " "},
        {"thousands": "'"},
        {"decimal": ",", "thousands": "'"},
    ]
    extra: dict[str, Any] = {}
    if percent:
        extra["percent"] = True
    if currency and not percent:
        extra["currency"] = tuple(currency)
    if parentheses:
        extra["parentheses"] = True
    ways = [{**keys, **extra} for keys in marks if keys or extra]
    # Of a whole number the decimal mark says only that a point may group digits.
    whole = [keys for keys in ways if ("decimal" in keys) == (keys.get("thousands") == ".")]
    if "percent" not in extra:
        yield from (("integer", keys) for keys in whole)
    yield from (("float", keys) for keys in ways)
