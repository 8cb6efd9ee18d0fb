from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from evaluator.demo._sales import (
    CELL_FAULTS,
    FAULTS,
    FIRST_DAY,
    sales_days,
    sales_file,
    write_sales_days,
)
from evaluator.errors import UsageError
from evaluator.intake import Content, IntakeResult, Profile, infer_schema, ingest, reference_content
from evaluator.spec import DataSpec

DATA = """
files: sales-{date}.csv
first_day: 2024-03-01
last_day: 2024-03-14
id: order
columns:
  order: {type: string, pattern: "[0-9]{8}-[0-9]{5}"}
  time: {type: timestamp, required: true, formats: ["%Y-%m-%d %H:%M:%S"]}
  region: {type: category, required: true, allowed: [north, south, east, west]}
  segment: {type: category, required: true, allowed: [retail, business, public]}
  product: {type: string, required: true, pattern: "P[0-9]{3}"}
  quantity: {type: integer, required: true, minimum: 1, maximum: 500}
  price: {type: decimal, required: true, precision: 10, scale: 2, minimum: 0}
  discount: {type: float, minimum: 0, maximum: 1, maximum_missing_share: 0.1}
  revenue: {type: float, derive: "quantity * price * (1 - discount)"}
row_rules:
  - {name: large discounts are for businesses, expression: "discount <= 0.5 or segment != 'retail'"}
dataset_rules:
  minimum_rows: 500
  freshness: {column: time, within_days: 0}
drift: {reference_days: 4}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[int, IntakeResult]:
    folder = tmp_path_factory.mktemp("sales")
    data = DataSpec.model_validate(yaml.safe_load(DATA))
    found: dict[int, IntakeResult] = {}
    reference: Content | None = None
    last: Profile | None = None
    for number, path in enumerate(write_sales_days(folder / "landing")):
        found[number] = ingest(
            path,
            data,
            into=folder / str(number),
            day=FIRST_DAY + timedelta(days=number),
            slices=("region", "segment"),
            reference=reference,
            last_accepted=last,
        )
        if found[number].broken is None:
            last = found[number].profile
        if number == 3:
            reference = reference_content(
                [found[day].typed_path for day in range(4)], data, ("region", "segment")
            )
    return found


def test_ordinary_days_are_accepted_with_a_few_rows_in_quarantine(
    results: dict[int, IntakeResult],
) -> None:
    for number, result in results.items():
        if number not in FAULTS:
            assert result.broken is None
            assert 0 < result.quarantined / result.rows < 0.05


def test_every_fault_of_a_cell_is_found(results: dict[int, IntakeResult]) -> None:
    found = {
        (finding.column, finding.rule)
        for result in results.values()
        for finding in result.profile.findings
    }
    assert found >= {
        ("quantity", "type"), ("price", "type"), ("region", "allowed"), ("discount", "maximum"),
        (None, "too_many_fields"), ("product", "pattern"), ("order", "unique"),
    }  # fmt: skip
    assert len(CELL_FAULTS) == 8


def test_each_faulty_day_is_found_for_what_it_is(results: dict[int, IntakeResult]) -> None:
    spreadsheet, renamed, dearer, cut_off, units = (results[number] for number in FAULTS)
    assert (spreadsheet.broken, spreadsheet.quarantined) == (None, 0)
    assert spreadsheet.profile.layout.delimiter == ";"
    assert "'segment'" in str(renamed.broken)
    renames = [c for c in renamed.profile.schema_drift if c.change == "renamed"]
    assert {c.against for c in renames} == {"declared", "last accepted day"}
    assert dearer.profile.drift.drifted == ("price", "revenue")
    assert dearer.profile.drift.slices
    assert any("may be cut off" in note for note in cut_off.profile.notes)
    assert "rows are refused" in str(units.broken)


def test_days_without_a_fault_have_not_drifted(results: dict[int, IntakeResult]) -> None:
    for number in (5, 6, 8, 10, 13):
        drift = results[number].profile.drift
        assert (drift.drifted, drift.slices) == ((), ())


def test_a_good_day_s_report_fits_a_screen(results: dict[int, IntakeResult]) -> None:
    lines = results[5].report.splitlines()
    assert len(lines) < 56
    assert max(map(len, lines)) <= 100
    assert lines[0] == "sales-2024-03-06.csv of 2024-03-06: ACCEPTED"


def test_a_day_s_file_depends_on_its_date_and_the_seed_alone() -> None:
    assert sales_file(FIRST_DAY, rows=50) == sales_file(FIRST_DAY, rows=50)
    assert sales_file(FIRST_DAY, rows=50) != sales_file(FIRST_DAY, rows=50, seed=1)


def test_no_days_cannot_be_made() -> None:
    with pytest.raises(UsageError, match="ask for some"):
        sales_days(0)


def test_an_inferred_schema_loads_and_takes_the_file_in(tmp_path: Path) -> None:
    path = write_sales_days(tmp_path, [FIRST_DAY])[0]
    text = infer_schema(path)
    data = DataSpec.model_validate(yaml.safe_load(text))
    assert (data.files, data.first_day, data.id) == ("sales-{date}.csv", FIRST_DAY, "order")
    kinds = {name: column.type for name, column in data.columns.items()}
    assert (kinds["time"], kinds["quantity"], kinds["price"]) == ("timestamp", "integer", "float")
    assert "# unsure" in text
    result = ingest(path, data, into=tmp_path / "out")
    assert result.accepted > 1_900
