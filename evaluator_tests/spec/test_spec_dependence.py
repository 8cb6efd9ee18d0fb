"""Clusters and weights are declared once, below `data`; former places still count."""

import jsonschema
import pytest
import yaml

from evaluator.errors import RenamedKeyWarning
from evaluator.spec import EITHER_SPELLING, AuditSpec, read_audit
from evaluator_tests.spec.conftest import GOOD, Spoil, Write

ID = "    id: case_id\n"
LABEL = "      label: {type: integer"
COLUMNS = (
    LABEL,
    f"""\
      visit: {{type: integer}}
      seen: {{type: timestamp}}
      fee: {{type: decimal}}
{LABEL}""",
)
BASELINE = ("    - name: one\n", "    - name: one\n      baseline: true\n")
WEAK = "  weak_slices: {features: [amount], cluster: %s}\n"
COMPARED = "  compare: {cluster: %s}\n"


def declared(*lines: str) -> tuple[str, str]:
    """Add keys to `data`, from the 7th line on."""
    return ID, ID + "".join(f"    {line}\n" for line in lines)


def asked(*blocks: str) -> tuple[str, str]:
    """Put blocks before `metrics`; they begin in the 27th line once columns and baseline do."""
    return "  metrics:", "".join(blocks) + "  metrics:"


def spec_with(write: Write, *changes: tuple[str, str]) -> AuditSpec:
    text = GOOD
    for old, new in (COLUMNS, BASELINE, *changes):
        assert old in text
        text = text.replace(old, new, 1)
    return read_audit(write(text)).spec


def test_without_a_declaration_cases_are_independent_and_count_alike(write: Write) -> None:
    data = spec_with(write).data
    assert (data.cluster, data.weight) == (None, None)


@pytest.mark.parametrize("cluster", ["visit", "customer", "day"])
@pytest.mark.parametrize("weight", ["amount", "fee", "visit"])
def test_any_column_that_cases_share_is_a_cluster_and_any_number_a_weight(
    write: Write, cluster: str, weight: str
) -> None:
    data = spec_with(write, declared(f"cluster: {cluster}", f"weight: {weight}")).data
    assert (data.cluster, data.weight) == (cluster, weight)


@pytest.mark.parametrize(
    ("line", "what", "fix"),
    [
        ("cluster: label", "'label' is the label", "take it out"),
        ("cluster: case_id", "'case_id' is the id", "take it out"),
        ("cluster: seen", "hardly any two cases have in common", "`day`"),
        ("cluster: amount", "hardly any two cases have in common", "`day`"),
        ("cluster: custmer", "'custmer' is not declared", "`customer`?"),
        ("cluster: 5", "it must be text, and it is 5", "cluster: day"),
        ("weight: label", "'label' is the label, and no weight", "integer, decimal or float"),
        ("weight: case_id", "'case_id' is the id, and no weight", "integer, decimal or float"),
        ("weight: seen", "'seen' is a timestamp, and no weight", "integer, decimal or float"),
        ("weight: day", "'day' is not declared", "declare it under `data.columns`"),
    ],
)
def test_what_bundles_or_weighs_no_cases_is_refused_with_line_key_and_fix(
    spoil: Spoil, line: str, what: str, fix: str
) -> None:
    error = spoil(COLUMNS, declared(line))
    assert error.culprit == f"defs.yaml:7: data.{line.partition(':')[0]}"
    assert what in error.what
    assert fix in error.fix


@pytest.mark.parametrize(
    ("block", "key"), [(COMPARED, "compare.cluster"), (WEAK, "weak_slices.cluster")]
)
def test_a_former_place_counts_for_everything_and_names_the_present_one(
    write: Write, block: str, key: str
) -> None:
    with pytest.warns(RenamedKeyWarning) as caught:
        spec = spec_with(write, asked(block % "customer"))
    assert spec.data.cluster == "customer"
    (warning,) = caught
    assert f"defs.yaml:27: {key}: `{key}` is `data.cluster` now" in str(warning.message)


def test_former_places_that_agree_are_one_declaration(write: Write) -> None:
    with pytest.warns(RenamedKeyWarning) as caught:
        spec = spec_with(write, declared("cluster: day"), asked(COMPARED % "day", WEAK % "day"))
    assert spec.data.cluster == "day"
    assert spec == spec_with(
        write,
        declared("cluster: day"),
        asked("  compare: {}\n", "  weak_slices: {features: [amount]}\n"),
    )
    assert len(caught) == 2


@pytest.mark.parametrize(
    ("changes", "line", "key", "other"),
    [
        ([asked(COMPARED % "customer", WEAK % "day")], 28, "weak_slices", "compare"),
        ([declared("cluster: day"), asked(COMPARED % "customer")], 28, "compare", "data"),
        ([declared("cluster: day"), asked(WEAK % "'null'")], 28, "weak_slices", "data"),
        ([declared("cluster: day"), asked(WEAK % "null")], 28, "weak_slices", "data"),
    ],
)
def test_two_that_disagree_are_refused_with_line_and_fix(
    spoil: Spoil, changes: list[tuple[str, str]], line: int, key: str, other: str
) -> None:
    error = spoil(COLUMNS, BASELINE, *changes)
    assert error.culprit == f"defs.yaml:{line}: {key}.cluster"
    assert f"and `{other}.cluster` says " in error.what
    assert error.fix == "write `data.cluster` alone, which counts for both"


@pytest.mark.parametrize(
    ("cluster", "what"),
    [("label", "is the label"), ("seen", "hardly any"), ("5", "it must be text, and it is 5")],
)
def test_a_mistake_in_a_former_place_is_told_there(spoil: Spoil, cluster: str, what: str) -> None:
    error = spoil(COLUMNS, BASELINE, asked(COMPARED % cluster))
    assert error.culprit == "defs.yaml:27: compare.cluster"
    assert what in error.what


@pytest.mark.filterwarnings("default::evaluator.errors.RenamedKeyWarning")
def test_dagster_reads_the_former_places_too() -> None:
    told = yaml.safe_load(GOOD)["attributes"]
    told["candidates"][0]["baseline"] = True
    told["compare"] = {"cluster": "day"}
    with pytest.warns(RenamedKeyWarning, match=r"`compare.cluster` is `data.cluster` now"):
        spec = AuditSpec.model_validate(told)
    assert spec.data.cluster == "day"
    assert told["compare"] == {"cluster": "day"}
    # What was stored was right when it was written: no warning, which would be an error here.
    assert AuditSpec.model_validate(told, context=EITHER_SPELLING) == spec
    # And what is stored now says it in the present place.
    stored = spec.model_dump(mode="json", exclude_unset=True)
    assert stored["data"]["cluster"] == "day"
    assert stored["compare"] == {}
    assert AuditSpec.model_validate(stored) == spec


def test_the_json_schema_knows_the_former_places() -> None:
    schema = AuditSpec.model_json_schema()
    told = yaml.safe_load(GOOD)["attributes"]
    told["data"]["first_day"] = "2026-01-01"
    told |= yaml.safe_load(COMPARED % "day" + WEAK % "day")
    jsonschema.validate(told, schema)
    for model in ("CompareSpec", "WeakSlicesSpec"):
        assert schema["$defs"][model]["properties"]["cluster"]["deprecated"] is True
    told["fairness"] = {"attributes": ["country"], "cluster": "day"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(told, schema)


@pytest.mark.parametrize(
    ("columns", "what", "fix"),
    [
        ("label", "'label' is the label, from which every figure is computed", "take it out"),
        ("country", "'country' is the geography", "take it out"),
        ("amount", "'amount' is the weight", "take it out"),
        ("vist", "'vist' is not declared", "`visit`?"),
        ("visit, visit", "'visit' stands there twice", "keep one"),
    ],
)
def test_what_figures_are_computed_from_cannot_be_redacted(
    spoil: Spoil, columns: str, what: str, fix: str
) -> None:
    redact = f"  certificate: {{redact: [{columns}]}}\n"
    error = spoil(COLUMNS, declared("weight: amount"), asked(redact))
    assert error.culprit == "defs.yaml:27: certificate.redact"
    assert what in error.what
    assert fix in error.fix


def test_ids_clusters_and_features_can_be_redacted(write: Write) -> None:
    redact = "  certificate: {redact: [case_id, visit, amount]}\n"
    spec = spec_with(write, declared("cluster: visit"), asked(redact))
    assert spec.certificate.redact == ("case_id", "visit", "amount")
