"""Pollock, the benchmark of broken CSV files (Vitagliano et al., VLDB 2023), by its own measure.

Run it with `python benchmarks/pollock.py FOLDER`, where FOLDER is a copy of the repository
HPI-Information-Systems/Pollock with `polluted_files/` and `pollock_weights.json`; `--wild` takes
the files of `survey_sample/` instead, with `evaluator infer` alone.

A file is declared from its parameters as the published run of DuckDB declares it: the names are
given, and preamble and header are lines to leave out (`skip_lines`). That a file holds several
tables cannot be declared; it is read as the one that its parameters describe.

Of the published measure one part is left out: there, cells of headers and records are first made
alike by type (`1.0` is `1`). Checked once: of 160 of these files, all those with pollutions of the
whole file or of the header among them, each of the nine figures of what the evaluator reads, as
declared, is the one that the published `metrics.py` gives.

A wild file is right when the names are the clean form's, and its rows, each as often. Columns
without a name and a value are none, and neither are rows without a value. Where the clean form has
mended more than the layout (blanks, signs of Windows, words for missing), both are compared alike.
"""

import argparse
import csv
import json
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow.parquet as pq
import yaml

from evaluator.errors import IntakeError
from evaluator.intake import IntakeResult, infer_schema, ingest
from evaluator.spec import DataSpec

PUBLISHED = {
    "DuckDB 1.2": (9.961, 9.599),
    "SQLite": (9.955, 9.375),
    "pandas": (9.895, 9.431),
    "Python csv": (9.721, 9.436),
    "CleverCSV": (9.193, 9.453),
    "DuckDB 1.2, auto": (9.075, 8.439),
}
Rows = list[list[str]]
NOTHING = (0.0,) * 10
#: Where `evaluator infer` is unsure of more than an encoding or a character that nobody sees.
DOUBT = re.compile(r"^# unsure: (?!the encoding|the name of)", re.MULTILINE)


def main() -> None:
    """Score the files of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wild", action="store_true")
    chosen = parser.parse_args()
    if chosen.wild:
        compare_wild(chosen.folder / "survey_sample")
        return
    weights = json.loads((chosen.folder / "pollock_weights.json").read_text())
    table = []
    for how, read in (("declared", read_declared), ("infer alone", read_inferred)):
        begun = time.perf_counter()
        scores, wrong = compare(chosen.folder / "polluted_files", read)
        table.append((f"evaluator, {how}", summed(scores), weighted(scores, weights)))
        print_groups(how, scores, wrong, time.perf_counter() - begun)
    print(f"\n{'':24}{'simple':>8}{'weighted':>10}")
    for name, simple, heavy in [*table, *((name, *both) for name, both in PUBLISHED.items())]:
        print(f"{name:24}{simple:8.3f}{heavy:10.3f}")


def compare(folder: Path, read: Any) -> tuple[dict[str, tuple[float, ...]], dict[str, int]]:
    """Score each file; count typed rows that are none of the clean file's."""
    scores, wrong = {}, {}
    for path in sorted((folder / "csv").iterdir()):
        clean = rows_of(folder / "clean" / path.name)
        found = read(path, folder)
        scores[path.name] = (
            NOTHING if found is None else (1.0, *measures(clean, [*found[0], *found[1]]))
        )
        known = {tuple(row) for row in clean[bool(found and found[0]) :]}
        wrong[path.name] = sum(tuple(row) not in known for row in found[1]) if found else 0
    return scores, wrong


def rows_of(path: Path) -> Rows:
    """Read a clean form."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.reader(stream))


def measures(clean: Rows, loaded: Rows) -> tuple[float, ...]:
    """Precision, recall and F1 of header, records and cells, each as a bag, as published."""
    if not clean:
        return (1.0,) * 9
    header = overlap(clean[0], loaded[0] if loaded else [])
    records = overlap(list(map("".join, clean[1:])), list(map("".join, loaded[1:])))
    cells = overlap([*chain(*clean)], [*chain(*loaded)])
    return (*header, *records, *cells)


def overlap(expected: Sequence[str], found: Sequence[str]) -> tuple[float, float, float]:
    """Precision, recall and F1 of one bag in another."""
    if not expected:
        return 1.0, 1.0, 1.0
    both = (Counter(expected) & Counter(found)).total()
    if not both:
        return 0.0, 0.0, 0.0
    precision, recall = both / len(expected), both / len(found)
    return precision, recall, precision * recall / (precision + recall) * 2


def summed(scores: dict[str, tuple[float, ...]]) -> float:
    """Sum the measures' means: the simple score."""
    return mean(map(sum, scores.values()))


def weighted(scores: dict[str, tuple[float, ...]], weights: dict[str, float]) -> float:
    """Weight each file by how often its pollution was found in the wild."""
    total = sum(weights[name] for name in scores)
    return sum(sum(score) * weights[name] for name, score in scores.items()) / total


def read_declared(path: Path, folder: Path) -> tuple[Rows, Rows] | None:
    """Take a file in as its parameters describe it."""
    told = json.loads((folder / "parameters" / f"{path.name}_parameters.json").read_text())
    quote, escape, header = told["quotechar"] or '"', told["escapechar"], int(told["header_lines"])
    names = [name.strip() for name in told["column_names"]]
    declared = names or [f"col_{number}" for number in range(int(told["n_columns"]))] or ["col_0"]
    data = DataSpec.model_validate(
        {
            **FRAME,
            "encoding": told["encoding"],
            "delimiter": told["delimiter"] or ",",
            "quote": quote,
            "escape": escape if escape and escape != quote else None,
            "header": False,
            "skip_lines": int(told["preamble_lines"]) + header,
            "columns": {name: {"type": "string"} for name in declared},
        }
    )
    return taken(path, data, [names] if header else [])


FRAME: dict[str, Any] = {
    "files": "{date}.csv",
    "first_day": "2000-01-01",
    "id": {"row": "number"},
    "max_refused_share": 1,
    "cut_off": "quarantine",
}


def read_inferred(path: Path, _folder: Path) -> tuple[Rows, Rows] | None:
    """Take a file in as `evaluator infer` describes it; each value stays the text that it is."""
    try:
        found = yaml.safe_load(infer_schema(path))
    except IntakeError:
        return None if path.stat().st_size else ([], [])
    return taken(path, *as_texts(found))


def as_texts(found: dict[str, Any]) -> tuple[DataSpec, Rows]:
    """Declare each inferred column as a string; return also the header."""
    names = list(found["columns"])
    kept = ("missing_values",)
    columns = {
        name: {"type": "string", **{key: keys[key] for key in kept if key in keys}}
        for name, keys in found["columns"].items()
    }
    data = DataSpec.model_validate({**found, **FRAME, "columns": columns})
    return data, [names] if found.get("header", True) else []


def taken(path: Path, data: DataSpec, header: Rows) -> tuple[Rows, Rows] | None:
    """Return header and typed rows; None where the file is refused, but for an empty one."""
    with tempfile.TemporaryDirectory() as folder:
        result: IntakeResult = ingest(path, data, into=Path(folder))
        if result.rows != result.accepted + result.quarantined:
            raise RuntimeError(f"rows of {path.name} are lost")
        # Behind its header a file may hold nothing.
        if result.broken and not result.broken.endswith("the file is empty"):
            return None
        typed = pq.read_table(result.typed_path, columns=list(data.columns)).to_pylist()
    return header, [[value or "" for value in row.values()] for row in typed]


def print_groups(
    how: str, scores: dict[str, tuple[float, ...]], wrong: dict[str, int], seconds: float
) -> None:
    """Print the means of each group of pollutions, the worst files and the wrong rows."""
    groups = defaultdict(list)
    for name in scores:
        groups[re.sub(r"(_?row|quote)?\d+(_col\d+)?|_0x\w+|\.csv", "", name)].append(name)
    print(f"\n{how}: {len(scores):,} files in {seconds:.0f} s")
    print(f"{'':24}{'files':>6}{'success':>9}{'header':>8}{'records':>9}{'cells':>8}{'sum':>8}")
    for group, names in groups.items():
        means = [mean(scores[name][at] for name in names) for at in (0, 3, 6, 9)]
        total = mean(sum(scores[name]) for name in names)
        print(f"{group:24}{len(names):6}" + "{:9.3f}{:8.3f}{:9.3f}{:8.3f}".format(*means), end="")
        print(f"{total:8.3f}")
    print("worst:")
    for name in sorted(scores, key=lambda name: sum(scores[name]))[:10]:
        print(f"  {name:40}{sum(scores[name]):8.3f}")
    accepted = {name: count for name, count in wrong.items() if count}
    print(f"wrong rows accepted: {sum(accepted.values())} in {len(accepted)} files")
    for name in sorted(accepted, key=accepted.__getitem__, reverse=True)[:10]:
        print(f"  {name:40}{accepted[name]:4}")


def compare_wild(folder: Path) -> None:
    """Hold what is inferred of each wild file against its clean form."""
    outcomes = Counter[str]()
    for path in sorted((folder / "csv").iterdir()):
        outcome = wild(path, folder)
        outcomes[outcome] += 1
        print(f"{outcome:42}{path.name}")
    print(f"\n{outcomes.total()} files")
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:4}  {outcome}")


def wild(path: Path, folder: Path) -> str:
    """Say whether header and rows are right, and whether a doubt is told."""
    parameters = folder / "parameters" / f"{path.name}_parameters.json"
    told = json.loads(parameters.read_text(encoding="utf-8"))
    clean = rows_of(folder / "clean" / path.name)
    try:
        text = infer_schema(path)
    except IntakeError:
        return "refused"
    data, header = as_texts(yaml.safe_load(text))
    found = taken(path, data, header)
    doubt = ", unsure" if DOUBT.search(text) else ""
    has_header = int(told["header_lines"]) > 0
    if found is None or has_header != bool(found[0] or data.skip_lines):
        return f"wrong header{doubt}"
    # A column without a name and without a value is none.
    columns = [column for column in zip(*padded(clean), strict=True) if any(map(str.strip, column))]
    names = [squeezed(column[0]) for column in columns]
    # What nothing stands in was named so that the other columns could be declared.
    ours = [
        at
        for at, name in enumerate(data.columns)
        if any(row[at].strip() for row in found[1]) or not MADE_UP.fullmatch(name)
    ]
    shown = [squeezed([*data.columns][at]) for at in ours]
    numbered = [NUMBERED.sub("", name) for name in shown]
    is_exact = shown == names or not has_header
    # Names of rows, as R writes them, stand below no name.
    if not is_exact and names not in (numbered, [*numbered[1:], ""]):
        return f"wrong header{doubt}"
    right = "right" if is_exact else "right, names numbered"
    # What is declared as missing, the clean form mostly leaves empty.
    words = {word for column in data.columns.values() for word in column.missing_values or ()}
    loaded = bag(([row[at] for at in ours] for row in found[1]), words)
    # Most of the clean forms of files without a header have one that was made up.
    for first in {1, int(has_header)}:
        if loaded == bag(zip(*(column[first:] for column in columns), strict=True), words):
            return f"{right}{doubt}"
    return f"right header, wrong rows{doubt}"


#: How `evaluator infer` numbers names that are not the only ones.
NUMBERED = re.compile(r"_\d+\Z")
MADE_UP = re.compile(r"column_\d+")


def bag(rows: Any, missing: set[str]) -> Counter[tuple[str, ...]]:
    """Count rows by what they hold; one that holds nothing is none."""
    held = (tuple("" if field in missing else squeezed(field) for field in row) for row in rows)
    return Counter(row for row in held if any(row))


def padded(rows: Rows) -> Rows:
    """Make rows as wide as the widest."""
    width = max(map(len, rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows]


def squeezed(text: str) -> str:
    """Undo what clean forms mend: blanks, and signs of Windows that were decoded twice."""
    return " ".join(text.translate(DECODED_TWICE).split())


DECODED_TWICE = {code: bytes([code]).decode("cp1252", "replace") for code in range(0x80, 0xA0)}


if __name__ == "__main__":
    main()
