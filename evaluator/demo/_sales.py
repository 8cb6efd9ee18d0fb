"""Daily sales as a shop's system would export them, made from a seed, with faults on purpose.

Nothing here is real. Every day has a few faulty cells, as real exports have; some days are faulty
as a whole, so that each part of a report is seen once. `FAULTS` says what is wrong with which day.
"""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from evaluator.demo._files import appearing_whole
from evaluator.errors import UsageError

SEED: Final = 20240301
FIRST_DAY: Final = date(2024, 3, 1)
DEFAULT_DAYS: Final = 14
ROWS_A_DAY: Final = 2_000
DISCOUNTED: Final = 0.3
"""The share of orders with a discount."""

REGIONS: Final = ("north", "south", "east", "west")
SEGMENTS: Final = ("retail", "business", "public")
COLUMNS: Final = (
    "order", "time", "region", "segment", "product", "quantity", "price", "discount"
)  # fmt: skip

_TWICE: Final = "an order exported twice"
CELL_FAULTS: Final = {
    "quantity written as a word": 0.003,
    "price not known": 0.003,
    "region misspelt": 0.003,
    "discount above 1": 0.002,
    "discount left empty": 0.02,
    "a product's name with an unquoted comma": 0.002,
    "a product's name that a spreadsheet would run": 0.001,
    _TWICE: 0.002,
}
"""The share of rows with each fault, on every day."""
_FAULTY_CELLS: Final[dict[str, tuple[str, Callable[[str], str]]]] = {
    "quantity written as a word": ("quantity", lambda _: "two"),
    "price not known": ("price", lambda _: "n/a"),
    "region misspelt": ("region", str.capitalize),
    "discount above 1": ("discount", lambda _: "15"),
    "discount left empty": ("discount", lambda _: ""),
    "a product's name with an unquoted comma": ("product", lambda name: f"{name}, blue"),
    "a product's name that a spreadsheet would run": ("product", lambda _: "=1+1"),
}

FAULTS: Final = {
    4: "saved from a spreadsheet: byte-order mark, semicolons, Windows line ends; no bad row",
    7: "the column `segment` is called `customer_segment`: the schema is broken",
    9: "prices are 60 % higher: the content has drifted",
    11: "the file is cut off in the middle of a row: it is broken, or still being written",
    12: "every third quantity has a unit: too many rows are refused",
}
"""Days that are faulty as a whole, counted from the first one, and what is wrong with them."""
_SPREADSHEET, _RENAMED, _DRIFTED, _CUT_OFF, _UNITS = FAULTS


def sales_days(count: int = DEFAULT_DAYS) -> list[date]:
    """Name the first days, in order."""
    if count < 1:
        raise UsageError("there is no day to make", culprit=f"{count} days", fix="ask for some")
    return [FIRST_DAY + timedelta(days=number) for number in range(count)]


def write_sales_days(folder: Path, days: list[date] | None = None) -> list[Path]:
    """Write one CSV a day; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for day in sales_days() if days is None else days:
        path = folder / f"sales-{day.isoformat()}.csv"
        with appearing_whole(path) as temporary:
            temporary.write_bytes(sales_file(day))
        paths.append(path)
    return paths


def sales_file(day: date, *, rows: int = ROWS_A_DAY, seed: int = SEED) -> bytes:
    """Make one day's file."""
    number = (day - FIRST_DAY).days
    random = np.random.default_rng([seed, day.toordinal()])
    is_spreadsheet = number == _SPREADSHEET
    lines = _orders(day, rows, random, price_factor=1.6 if number == _DRIFTED else 1.0)
    if not is_spreadsheet:
        lines = _with_faulty_cells(lines, random)
    if number == _UNITS:
        lines = [
            _with_cell(line, "quantity", lambda quantity: f"{quantity} pcs")
            if row % 3 == 0
            else line
            for row, line in enumerate(lines)
        ]
    header = list(COLUMNS)
    if number == _RENAMED:
        header[header.index("segment")] = "customer_segment"
    delimiter, line_end, mark = (";", "\r\n", "\ufeff") if is_spreadsheet else (",", "\n", "")
    text = mark + "".join(delimiter.join(line) + line_end for line in [header, *lines])
    content = text.encode()
    return content[: len(content) * 2 // 3] if number == _CUT_OFF else content


def _orders(
    day: date, rows: int, random: np.random.Generator, *, price_factor: float
) -> list[list[str]]:
    """Make a day's orders without any fault."""
    seconds = np.sort(random.integers(7 * 3600, 22 * 3600, rows))
    region = random.choice(REGIONS, rows, p=[0.3, 0.3, 0.25, 0.15])
    segment = random.choice(SEGMENTS, rows, p=[0.6, 0.3, 0.1])
    product = random.integers(100, 200, rows)
    quantity = 1 + random.poisson(np.where(segment == "retail", 1.5, 6.0))
    price = (5 + product % 37) * random.lognormal(0, 0.2, rows) * price_factor
    discounted = random.random(rows) < DISCOUNTED
    discount = np.where(discounted, random.integers(1, 7, rows) * 0.05, 0.0)
    return [
        [
            f"{day:%Y%m%d}-{row:05d}",
            f"{day.isoformat()} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}",
            str(region[row]),
            str(segment[row]),
            f"P{product[row]}",
            str(quantity[row]),
            f"{price[row]:.2f}",
            f"{discount[row]:.2f}",
        ]
        for row, second in enumerate(seconds.tolist())
    ]


def _with_faulty_cells(lines: list[list[str]], random: np.random.Generator) -> list[list[str]]:
    """Give rows at most one of the faults that every day has."""
    faults = [*CELL_FAULTS, None]
    shares = [*CELL_FAULTS.values(), 1 - sum(CELL_FAULTS.values())]
    drawn = random.choice(len(faults), len(lines), p=shares)
    faulty = []
    for line, number in zip(lines, drawn.tolist(), strict=True):
        fault = faults[number]
        written = _with_cell(line, *_FAULTY_CELLS[fault]) if fault in _FAULTY_CELLS else line
        faulty += [written, written] if fault == _TWICE else [written]
    return faulty


def _with_cell(line: list[str], column: str, change: Callable[[str], str]) -> list[str]:
    index = COLUMNS.index(column)
    return [*line[:index], change(line[index]), *line[index + 1 :]]
