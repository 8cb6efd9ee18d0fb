"""Intake against other tools: the same file, the same rules, each in a process of its own.

Run it with `python benchmarks/intake.py`; `--large` adds 10,000,000 rows, `--readers` compares
what DuckDB and Polars need for the work that an engine does here. Great Expectations and pandera
take part when they are installed (`pip install great_expectations pandera`).
"""

import argparse
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS = 1_000_000
ROUNDS = 5
REGIONS = ["north", "south", "east", "west"]
SEGMENTS = ["retail", "business", "public"]
SPEC: dict[str, Any] = {
    "files": "sales-{date}.csv",
    "first_day": "2013-11-01",
    "id": "id",
    "columns": {
        "id": {"type": "string"},
        "time": {"type": "timestamp", "required": True},
        "region": {"type": "category", "required": True, "allowed": REGIONS},
        "segment": {"type": "category", "required": True, "allowed": SEGMENTS},
        "product": {"type": "string", "required": True, "pattern": "P[0-9]{4}"},
        "quantity": {"type": "integer", "minimum": 1, "maximum": 1000},
        "price": {"type": "float", "minimum": 0},
        "discount": {"type": "float", "minimum": 0, "maximum": 1},
    },
}


def make(path: Path, rows: int) -> None:
    """Write the data: 8 columns, wrong categories, numbers with text in them, empties."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(7)
    with path.open("wb") as stream:
        for first in range(0, rows, ROWS):
            n = min(ROWS, rows - first)
            start = np.datetime64("2013-11-01T00:00:00")
            seconds = random.integers(0, 28 * 86_400, n).astype("timedelta64[s]")
            frame = pl.DataFrame(
                {
                    "id": np.arange(first, first + n),
                    "time": (start + seconds).astype("datetime64[us]"),
                    "region": random.choice(5, n, p=[0.25, 0.25, 0.25, 0.245, 0.005]),
                    "segment": random.choice(4, n, p=[0.6, 0.25, 0.145, 0.005]),
                    "product": random.integers(1000, 10_000, n),
                    "quantity": random.integers(1, 100, n),
                    "price": random.gamma(2, 50, n).round(2),
                    "discount": (random.random(n) * 0.5).round(3),
                }
            )
            fate = pl.Series("fate", random.random(n))
            frame = frame.with_columns(
                id=pl.col("id").cast(pl.String).str.zfill(9),
                region=pl.lit(pl.Series([*REGIONS, "mars"])).gather(pl.col("region")),
                segment=pl.lit(pl.Series([*SEGMENTS, "???"])).gather(pl.col("segment")),
                time=pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S"),
                product=pl.lit("P") + pl.col("product").cast(pl.String),
                quantity=pl.when(fate < 0.004).then(pl.lit("many")).when(fate < 0.014).then(None)
                .otherwise(pl.col("quantity").cast(pl.String)),
                price=pl.when(fate > 0.996).then(pl.lit("n/a"))
                .otherwise(pl.col("price").cast(pl.String)),
                discount=pl.when(fate.is_between(0.5, 0.52)).then(None)
                .otherwise(pl.col("discount").cast(pl.String)),
            )  # fmt: skip
            frame.write_csv(stream, include_header=first == 0)


def ours(path: Path, folder: Path) -> dict[str, Any]:
    """CSV to typed Parquet, quarantine with all reasons, statistics and report."""
    from evaluator.intake import ingest
    from evaluator.spec import DataSpec

    result = ingest(path, DataSpec.model_validate(SPEC), into=folder)
    return {"refused": result.quarantined}


def with_pandera(path: Path, _folder: Path) -> dict[str, Any]:
    """Read with pandas and validate lazily with pandera; nothing is written."""
    import pandas as pd
    import pandera.pandas as pa

    # Text stays text, so that the schema finds what is not of its type, as here.
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    schema = pa.DataFrameSchema(
        {
            "id": pa.Column(str, nullable=False, unique=True),
            "time": pa.Column("datetime64[us]", nullable=False),
            "region": pa.Column(str, pa.Check.isin(REGIONS), nullable=False),
            "segment": pa.Column(str, pa.Check.isin(SEGMENTS), nullable=False),
            "product": pa.Column(str, pa.Check.str_matches(r"^P[0-9]{4}$"), nullable=False),
            "quantity": pa.Column(float, pa.Check.in_range(1, 1000), nullable=True),
            "price": pa.Column(float, pa.Check.ge(0), nullable=True),
            "discount": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),
        },
        coerce=True,
    )
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        rows = error.failure_cases["index"].dropna().nunique()
        return {"refused": int(rows)}
    return {"refused": 0}


def with_great_expectations(path: Path, _folder: Path) -> dict[str, Any]:
    """Read with pandas and validate with Great Expectations; nothing is written."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    import pandas as pd
    from great_expectations import expectations as gxe

    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame = frame.mask(frame == "")
    for column in ("quantity", "price", "discount"):
        frame[column + " read"] = pd.to_numeric(frame[column], errors="coerce")
        frame[column + " is read"] = frame[column + " read"].notna() | frame[column].isna()
    frame["time read"] = pd.to_datetime(frame["time"], errors="coerce", format="%Y-%m-%d %H:%M:%S")
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    definition = (
        context.data_sources.add_pandas("pandas")
        .add_dataframe_asset("sales")
        .add_batch_definition_whole_dataframe("all")
    )
    suite = gx.ExpectationSuite(name="sales")
    for column in ("id", "time read", "region", "segment", "product"):
        suite.add_expectation(gxe.ExpectColumnValuesToNotBeNull(column=column))
    suite.add_expectation(gxe.ExpectColumnValuesToBeUnique(column="id"))
    suite.add_expectation(gxe.ExpectColumnValuesToBeInSet(column="region", value_set=REGIONS))
    suite.add_expectation(gxe.ExpectColumnValuesToBeInSet(column="segment", value_set=SEGMENTS))
    suite.add_expectation(gxe.ExpectColumnValuesToMatchRegex(column="product", regex="^P[0-9]{4}$"))
    for column, low, high in (("quantity", 1, 1000), ("price", 0, None), ("discount", 0, 1)):
        suite.add_expectation(
            gxe.ExpectColumnValuesToBeBetween(
                column=column + " read", min_value=low, max_value=high
            )
        )
        suite.add_expectation(
            gxe.ExpectColumnValuesToBeInSet(column=column + " is read", value_set=[True])
        )
    batch = definition.get_batch(batch_parameters={"dataframe": frame})
    found = batch.validate(
        suite, result_format={"result_format": "COMPLETE", "include_unexpected_rows": False}
    )
    rows: set[int] = set()
    for result in found.results:
        rows.update(result.result.get("unexpected_index_list") or ())
    return {"refused": len(rows)}


def read_with_polars(path: Path, folder: Path) -> dict[str, Any]:
    """All columns as text, typed without losing a row, rules, split, Parquet: by Polars."""
    import polars as pl

    frame = pl.read_csv(path, infer_schema=False)
    typed = frame.with_columns(
        pl.col("time").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False).alias("time read"),
        pl.col("quantity").cast(pl.Int64, strict=False).alias("quantity read"),
        pl.col("price").cast(pl.Float64, strict=False).alias("price read"),
        pl.col("discount").cast(pl.Float64, strict=False).alias("discount read"),
    )
    wrong = [
        pl.col("time read").is_null(),
        ~pl.col("region").is_in(REGIONS).fill_null(value=False),
        ~pl.col("segment").is_in(SEGMENTS).fill_null(value=False),
        ~pl.col("product").str.contains("^P[0-9]{4}$").fill_null(value=False),
        pl.col("quantity read").is_null() & pl.col("quantity").is_not_null(),
        pl.col("price read").is_null() & pl.col("price").is_not_null(),
    ]
    typed = typed.with_columns(refused=pl.any_horizontal(wrong))
    typed.filter(~pl.col("refused")).write_parquet(folder / "polars.parquet")
    bad = typed.filter("refused")
    bad.write_parquet(folder / "polars-bad.parquet")
    return {"refused": bad.height}


def read_with_duckdb(path: Path, folder: Path) -> dict[str, Any]:
    """Do the same by DuckDB, out of core, with the rejects table on."""
    import duckdb

    base = duckdb.connect()
    base.execute("set preserve_insertion_order = true")
    base.execute(
        """create table typed as select *,
        try_strptime("time", '%Y-%m-%d %H:%M:%S') time_read,
        try_cast(quantity as bigint) quantity_read, try_cast(price as double) price_read,
        try_cast(discount as double) discount_read,
        time_read is null or region not in ('north', 'south', 'east', 'west')
        or segment not in ('retail', 'business', 'public')
        or not regexp_full_match(product, 'P[0-9]{4}')
        or (quantity_read is null and quantity is not null)
        or (price_read is null and price is not null) refused
        from read_csv(?, all_varchar = true, header = true, store_rejects = true)""",
        [str(path)],
    )
    base.execute(f"copy (from typed where not refused) to '{folder / 'duckdb.parquet'}'")
    base.execute(f"copy (from typed where refused) to '{folder / 'duckdb-bad.parquet'}'")
    found = base.execute("select count(*) from typed where refused").fetchone()
    return {"refused": found[0] if found else None}


TOOLS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    "evaluator": ours,
    "pandas + pandera, lazy": with_pandera,
    "pandas + Great Expectations": with_great_expectations,
    "Polars alone": read_with_polars,
    "DuckDB alone": read_with_duckdb,
}
NEEDS = {
    "pandas + pandera, lazy": "pandera",
    "pandas + Great Expectations": "great_expectations",
    "DuckDB alone": "duckdb",
}
IMPORTS = {
    "evaluator": "evaluator.intake, polars, pyarrow.parquet",
    "pandas + pandera, lazy": "pandas, pandera.pandas",
    "pandas + Great Expectations": "pandas, great_expectations",
    "Polars alone": "polars",
    "DuckDB alone": "duckdb",
}


def measure(tool: str, path: Path) -> dict[str, Any]:
    """Run one tool in a process of its own; time it without its imports, with its peak memory."""
    command = [sys.executable, __file__, "--run", tool, "--file", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{tool} failed:\n{done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run(tool: str, path: Path) -> None:
    """Be that process."""
    for module in IMPORTS[tool].split(", "):
        importlib.import_module(module)
    with tempfile.TemporaryDirectory() as folder:
        begun, busy = time.perf_counter(), time.process_time()
        found = TOOLS[tool](path, Path(folder))
        found["seconds"] = time.perf_counter() - begun
        found["busy"] = time.process_time() - busy
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(json.dumps(found))


def table(path: Path, rows: int, tools: list[str], rounds: int) -> dict[str, float]:
    """Measure tools in turn, round by round, and print their medians."""
    results: dict[str, list[dict[str, Any]]] = {tool: [] for tool in tools}
    for _ in range(rounds):
        for tool in tools:
            results[tool].append(measure(tool, path))
    medians = {
        tool: statistics.median(figures["seconds"] for figures in of_tool)
        for tool, of_tool in results.items()
    }
    megabytes, load = path.stat().st_size / 1e6, os.getloadavg()[0]
    print(f"\n{rows:,} rows, {megabytes:.0f} MB, median of {rounds}, load at the end {load:.1f}\n")
    print("| tool | seconds | times ours | of a core, seconds | peak memory, GiB | rows refused |")
    print("|---|---:|---:|---:|---:|---:|")
    for tool, of_tool in results.items():
        peak = max(figures["peak"] for figures in of_tool)
        ratio = medians[tool] / medians["evaluator"] if "evaluator" in medians else float("nan")
        refused = of_tool[0]["refused"]
        busy = statistics.median(figures["busy"] for figures in of_tool)
        print(
            f"| {tool} | {medians[tool]:.2f} | {ratio:.1f} | {busy:.2f} | {peak:.2f} "
            f"| {refused:,} |"
        )
    return medians


def main() -> None:
    """Make the data, run the tools, print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--large", action="store_true", help="also 10,000,000 rows")
    arguments.add_argument("--readers", action="store_true", help="also DuckDB and Polars alone")
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--run", choices=TOOLS, help=argparse.SUPPRESS)
    arguments.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.run:
        run(chosen.run, chosen.file)
        return
    tools = list(TOOLS)[: 5 if chosen.readers else 3]
    absent = [tool for tool in tools if tool in NEEDS and not importlib.util.find_spec(NEEDS[tool])]
    for tool in absent:
        print(f"{tool}: not installed (pip install {NEEDS[tool]})")
    tools = [tool for tool in tools if tool not in absent]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sales-2013-11-01.csv"
        make(path, ROWS)
        small = table(path, ROWS, tools, chosen.rounds)
        if chosen.large:
            make(path, 10 * ROWS)
            large = table(path, 10 * ROWS, ["evaluator"], 1)
            times = large["evaluator"] / small["evaluator"]
            print(f"\n10,000,000 rows take {times:.1f} times as long")


if __name__ == "__main__":
    main()
