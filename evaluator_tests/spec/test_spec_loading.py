"""Audits are found by their folder's name, and read with errors that say where they are wrong."""

import html
from pathlib import Path

import pytest
import yaml
from dagster import AssetKey
from dagster.components import ScaffoldRequest
from dagster.components.testing import create_defs_folder_sandbox
from markdown_it import MarkdownIt

import evaluator
from evaluator.errors import RenamedKeyWarning, SpecError, UsageError
from evaluator.orchestration import _component as scaffold
from evaluator.spec import (
    EITHER_SPELLING,
    AuditSpec,
    audit_names,
    load_audit,
    read_audit,
    shipped_audits,
)
from evaluator_tests.spec.conftest import GOOD, Write

NEW = {"more_slices": "additional_slices", "says": "rationale"}

SHIPPED = Path(evaluator.__file__).parent / "defs"


def refusal(path: Path) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read_audit(path)
    return caught.value


def test_an_audit_is_called_as_its_folder_is(write: Write) -> None:
    audit = read_audit(write(GOOD))

    assert audit.name == "shop"
    assert audit.spec.slice_values() == {
        "geography": ("north", "south"),
        "segment": ("new", "returning"),
    }
    assert audit.spec.baseline is None


def test_the_flights_audit_that_ships_loads() -> None:
    audit = load_audit("flights", SHIPPED)

    assert audit.name == "flights"
    assert audit.spec.baseline == "logistic_regression"
    assert len(audit.spec.candidates) == 5
    values = audit.spec.slice_values()
    assert (len(values["geography"]), len(values["segment"])) == (6, 3)


def test_the_scaffolds_template_loads_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "my_audit"
    folder.mkdir()
    request = ScaffoldRequest(
        type_name="evaluator.orchestration.AuditComponent",
        target_path=folder,
        scaffold_format="yaml",
        project_root=None,
        params=None,
    )

    scaffold.AuditScaffolder().scaffold(request)

    audit = read_audit(folder / "defs.yaml")
    assert audit.name == "my_audit"
    assert audit.spec.candidates == ()
    assert audit.spec.data.files == "my_audit-{date}.csv"


def test_the_scaffolds_commented_candidate_and_gates_load_too(tmp_path: Path) -> None:
    text = scaffold._TEMPLATE.format(
        name="shop", type_name="evaluator.orchestration.AuditComponent"
    )
    folder = tmp_path / "shop"
    folder.mkdir()
    uncommented = text.replace("candidates: []", "candidates:").replace("gates: []", "gates:")
    lines = [
        line.replace("  #  ", "    ", 1) if line.startswith("  #  ") else line
        for line in uncommented.splitlines()
        if "trusted_types" not in line
    ]
    (folder / "defs.yaml").write_text("\n".join(lines))

    spec = read_audit(folder / "defs.yaml").spec

    assert [candidate.name for candidate in spec.candidates] == ["current_model"]
    assert spec.baseline == "current_model"
    assert [gate.metric for gate in spec.gates] == ["roc_auc", "recall"]


def test_what_does_not_load_is_named_and_leaves_the_others_alone(write: Write) -> None:
    folder = write(GOOD).parents[1]
    other = folder / "other" / "defs.yaml"
    other.parent.mkdir()
    other.write_text("type: evaluator.orchestration.AuditComponnent\nattributes: {}\n")
    (folder / "third" / "defs.yaml").mkdir(parents=True)

    assert audit_names(folder) == ["other", "shop", "third"]
    assert load_audit("shop", folder).name == "shop"
    with pytest.raises(SpecError, match="it cannot be read"):
        load_audit("third", folder)


@pytest.mark.parametrize(
    "text",
    [
        "type: dagster.TemplatedSqlComponent\nattributes: {}\n",
        "attributes: {type: table}\ntype: 'shop.components.Table'  # of ours\n",
        "type: dagster.DefsFolderComponent\n---\ntype: dagster_dbt.DbtProjectComponent\n",
        "# broken\ntype: dagster.FunctionComponent\r\n  ]\n",
    ],
)
def test_what_is_of_other_components_is_passed_over(text: str, write: Write) -> None:
    folder = write(GOOD).parents[1]
    (folder / "defs.yaml").write_text(text)
    (folder / "other").mkdir()
    (folder / "other" / "defs.yaml").write_text(text)

    assert audit_names(folder) == ["shop"]


def test_two_audits_of_one_name_are_refused_with_both_places(write: Write) -> None:
    first = write(GOOD)
    second = first.parents[1] / "south" / "shop" / "defs.yaml"
    second.parent.mkdir(parents=True)
    second.write_text(GOOD)

    with pytest.raises(SpecError, match="another audit is called 'shop' too") as caught:
        load_audit("shop", first.parents[1])

    assert {str(first), str(second)} == {caught.value.culprit, caught.value.what.split(": ")[1]}


def test_an_audit_that_is_not_there_is_answered_with_those_that_are(write: Write) -> None:
    folder = write(GOOD).parents[1]

    with pytest.raises(UsageError, match="there is no such audit") as caught:
        load_audit("shops", folder)

    assert caught.value.culprit == "shops"
    assert f"use one of shop, which are those in {folder}" in caught.value.fix
    assert "`evaluator new shops --from FILE`" in caught.value.fix


@pytest.mark.parametrize("name", ["", "../shop", ".", "/etc"])
def test_a_name_is_never_a_path(name: str, write: Write) -> None:
    folder = write(GOOD).parents[1]

    with pytest.raises(UsageError, match="there is no such audit"):
        load_audit(name, folder)


def test_a_misspelt_type_is_told_and_not_called_a_missing_audit(write: Write) -> None:
    path = write(GOOD.replace("AuditComponent", "AuditComponnt"))

    with pytest.raises(SpecError, match="is no audit") as caught:
        load_audit("shop", path.parents[1])

    assert caught.value.culprit == f"{path}:1: type"
    assert "`type: evaluator.orchestration.AuditComponent`" in caught.value.fix


def test_a_folder_whose_name_no_asset_could_have_is_refused(write: Write) -> None:
    path = write(GOOD)
    renamed = path.parent.rename(path.parents[1] / "My-Shop")

    with pytest.raises(SpecError, match="'My-Shop'") as caught:
        load_audit("My-Shop", renamed.parent)

    assert "rename the folder" in caught.value.fix


@pytest.mark.parametrize("text", ["", "hello", "- 1\n- 2\n", "attributes: {}\n"])
def test_a_file_that_does_not_say_its_type_is_refused(text: str, write: Write) -> None:
    error = refusal(write(text))

    assert error.culprit.endswith("defs.yaml:1: type")
    assert "does not say its type" in error.what


@pytest.mark.parametrize(
    ("rest", "line", "what"),
    [
        ("", 1, "this key is needed"),
        ("attributes:\n", 2, "it has no keys of its own"),
        ("attributes: [1]\n", 2, "it has no keys of its own"),
    ],
)
def test_a_file_without_attributes_is_refused(
    rest: str, line: int, what: str, write: Write
) -> None:
    error = refusal(write(f"type: evaluator.orchestration.AuditComponent\n{rest}"))

    assert error.culprit.endswith(f"defs.yaml:{line}: attributes")
    assert error.what == what
    assert "below `attributes:`" in error.fix


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("    id: case_id", "   id: case_id", 6),
        ("    id: case_id", "\tid: case_id", 6),
        ("features: [amount]", "features: *none", 19),
        ("features: [amount]", "features: !!python/object:os.system [1]", 19),
        ("  metrics:", "---\n  metrics:", 23),
        ("features: [amount]", "features: [amount", 20),
    ],
)
def test_what_is_no_yaml_names_the_line_in_one_sentence(
    old: str, new: str, line: int, write: Write
) -> None:
    error = refusal(write(GOOD.replace(old, new, 1)))

    assert error.culprit.endswith(f"defs.yaml:{line}")
    assert error.what.startswith("it cannot be read as YAML: ")
    assert "\n" not in str(error)


def test_a_file_that_is_not_utf_8_names_the_line(write: Write) -> None:
    path = write(GOOD)
    path.write_bytes(path.read_bytes() + b"# caf\xe9\n")

    with pytest.raises(SpecError, match="not UTF-8") as caught:
        load_audit("shop", path.parents[1])

    assert caught.value.culprit == f"{path}:26"
    assert caught.value.fix == "save the file as UTF-8"


def test_a_file_with_a_character_that_yaml_has_not_is_refused(write: Write) -> None:
    error = refusal(write(GOOD + "\0"))

    assert "it cannot be read as YAML" in error.what


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path / "shop" / "defs.yaml")

    assert "it cannot be read" in error.what
    assert error.culprit == str(tmp_path / "shop" / "defs.yaml")


VALUE = "minimum: 0"
LAUGHS = "".join(f"  x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 12))
MERGED = "".join(f"  x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 9)}]}}\n" for n in range(1, 12))
CHAIN = "".join(f"  x{n}: &x{n} [*x{n - 1}]\n" for n in range(1, 3_000))


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        (VALUE, "minimum: 2013-02-30", 11, "'2013-02-30' is no date"),
        (VALUE, "minimum: 2013-02-28 25:00:00", 11, "'2013-02-28 25:00:00' is no date"),
        (VALUE, "minimum: 0x_", 11, "'0x_' is no whole number"),
        (VALUE, "minimum: !!int foo", 11, "'foo' is no whole number"),
        (VALUE, "minimum: !!bool foo", 11, "'foo' is no true or false"),
        (VALUE, "minimum: !!timestamp foo", 11, "'foo' is no date"),
        (VALUE, 'minimum: "\\ud800"', 11, "'\\ud800' is no text"),
        (VALUE, f"minimum: {'9' * 6_000}", 11, "a number of 6,000 characters"),
        (VALUE, f"minimum: 0x{'9' * 6_000}", 11, "a number of 6,002 characters"),
        (VALUE, f"minimum: {'9' * 6_000}.5", 11, "a number of 6,002 characters"),
        (VALUE, f"minimum: {'[' * 5_000}", 11, "it is nested more than 30 deep"),
        (VALUE, f"minimum: {'{a: ' * 5_000}", 11, "it is nested more than 30 deep"),
        ("[amount]", "&loop [*loop]", 19, "the alias *loop is inside of what it stands for"),
        ("  metrics", f"  x0: &x0 [a, a]\n{LAUGHS}  metrics", 28, "it repeats more than 100,000"),
        ("  metrics", f"  x0: &x0 {{a: a}}\n{MERGED}  metrics", 28, "repeats more than 100,000"),
        ("  metrics", f"  x0: &x0 [a]\n{CHAIN}  metrics", 50, "or is nested more than 30 deep"),
    ],
)
def test_what_would_take_the_reader_down_is_one_sentence_with_its_line(
    old: str, new: str, line: int, what: str, write: Write
) -> None:
    error = refusal(write(GOOD.replace(old, new, 1)))

    assert error.culprit.endswith(f"defs.yaml:{line}")
    assert what in error.what
    assert len(str(error)) < 600
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "key", ["atributes: {}", "post_processing: {}", "requirements: {}", "5: 6"]
)
def test_a_key_beside_type_and_attributes_is_refused(key: str, write: Write) -> None:
    error = refusal(write(f"{GOOD}{key}\n"))

    assert error.culprit.endswith(f"defs.yaml:26: {key.partition(':')[0]}")
    assert "no such key" in error.what


def test_an_alias_may_be_used_many_times(write: Write) -> None:
    text = GOOD.replace("features: [amount]", "features: &both [amount, country]")

    audit = read_audit(write(text.replace("features: [amount, country]", "features: *both", 1)))

    assert [len(candidate.features) for candidate in audit.spec.candidates] == [2, 2]


def test_a_spec_cannot_be_changed_after_loading(write: Write) -> None:
    spec = read_audit(write(GOOD)).spec

    with pytest.raises(ValueError, match="frozen"):
        spec.geography = "customer"  # type: ignore[misc] # that is what is tried
    assert isinstance(spec, AuditSpec)


# Dagster loads components with what pydantic has deprecated, and with its own betas.
@pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.* is currently in beta")
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "features: [amount, country]",
            "features: [amount, label]",
            "two is given the label 'label' as a feature. To mend it: take it out",
        ),
        (
            "  segment: customer",
            "  segment: costumer",
            "the column 'costumer' is not declared. To mend it: did you mean `customer`?",
        ),
        (
            "path: models/two.skops",
            "path: ../two.skops",
            "'../two.skops' leaves the platform's home by '..'. To mend it: put the file under",
        ),
    ],
)
def test_dagster_tells_a_mistake_in_the_same_words(
    old: str, new: str, words: str, write: Write
) -> None:
    text = GOOD.replace(old, new, 1)
    ours = str(refusal(write(text)))
    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.defs_folder_path / "shop"
        folder.mkdir()
        (folder / "defs.yaml").write_text(text)
        with sandbox.build_all_defs() as definitions:
            key = AssetKey(["shop", "audit_spec"])
            theirs = definitions.resolve_asset_graph().get(key).description

    assert words in ours
    assert MarkdownIt("commonmark").render(theirs or "").count(html.escape(words, quote=False)) == 1


def former(text: str) -> str:
    """Spell the keys of a YAML as they were called before."""
    assert "additional_slices:" in text
    assert "rationale:" in text
    return text.replace("additional_slices:", "more_slices:").replace("rationale:", "says:")


def test_a_key_that_is_called_otherwise_now_still_counts_and_names_the_new_one(
    write: Write,
) -> None:
    text = (shipped_audits() / "flights" / "defs.yaml").read_text()

    with pytest.warns(RenamedKeyWarning) as caught:
        read = read_audit(write(former(text)))

    assert read.spec == read_audit(write(text)).spec
    sentences = [str(warning.message) for warning in caught]
    lines = {key: 1 + former(text)[: former(text).index(f"{key}:")].count("\n") for key in NEW}
    for key, new in NEW.items():
        assert any(
            f"defs.yaml:{lines[key]}: " in sentence and f"`{key}` is called `{new}` now" in sentence
            for sentence in sentences
        )


def test_both_spellings_of_one_key_are_refused(write: Write) -> None:
    text = GOOD.replace("at_least: 0.5}", "at_least: 0.5, says: So, rationale: And so}")

    with pytest.raises(
        SpecError, match="`rationale`, as it is called now, stands there too"
    ) as caught:
        read_audit(write(text))

    assert caught.value.culprit.endswith("defs.yaml:25: gates.0.says")


def test_a_wrong_value_below_a_former_spelling_is_answered_with_the_new_one(write: Write) -> None:
    error = refusal(write(GOOD.replace("at_least: 0.5}", "at_least: 0.5, says: 5}")))

    assert error.culprit.endswith("defs.yaml:25: gates.0.says")
    assert "write for example `rationale: " in error.fix


@pytest.mark.filterwarnings("default::evaluator.errors.RenamedKeyWarning")
def test_dagster_reads_the_former_spelling_too() -> None:
    gate = {"metric": "roc_auc", "at_least": 0.5, "says": "It is asked for"}
    told = yaml.safe_load(GOOD)["attributes"] | {"gates": [gate]}

    with pytest.warns(RenamedKeyWarning, match="`says` is called `rationale` now"):
        spec = AuditSpec.model_validate(told)

    assert spec.gates[0].rationale == "It is asked for"
    # What was stored was right when it was written: no warning, which would be an error here.
    assert AuditSpec.model_validate(told, context=EITHER_SPELLING) == spec
