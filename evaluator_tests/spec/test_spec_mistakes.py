"""Every wrong YAML names file and line, key, what is wrong, and the fix."""

import re

import dagster as dg
import pytest

from evaluator.spec import read_audit
from evaluator_tests.spec.conftest import GOOD, Spoil, Write

TWO = "      path: models/two.skops"
HTTP = "      kind: http\n      version: a\n      url: http://models/late"
CUSTOMER = "customer: {type: category, required: true, allowed: [new, returning]}"

# What is exchanged, and then: the line and key, a part of what is wrong, a part of the fix.
MISTAKES = {
    "an unknown key": (
        ("  segment: customer", "  segmant: customer"),
        "15: segmant", "there is no such key", "did you mean `segment`?",
    ),
    "an unknown key that resembles none": (
        ("  metrics:", "  zzzqqq: 1\n  metrics:"),
        "23: zzzqqq", "there is no such key", "use one of additional_slices, allow_failed_slices,",
    ),
    "a count of missing slices with a point": (
        ("  metrics:", "  allow_failed_slices: 2.0\n  metrics:"),
        "23: allow_failed_slices", "2.0 is neither `none`, nor a count, nor a share", "such as 2",
    ),
    "no number of missing slices": (
        ("  metrics:", "  allow_failed_slices: .inf\n  metrics:"),
        "23: allow_failed_slices", "inf is neither `none`, nor a count", "such as 2",
    ),
    "a day above a time": (
        (
            "amount: {type: float, minimum: 0}",
            "amount: {type: timestamp, minimum: 2024-01-02, maximum: 2024-01-01 12:00:00}",
        ),
        "11: data.columns.amount.minimum", "it is above maximum", "make minimum at most maximum",
    ),
    "a limit of a date with a time": (
        ("amount: {type: float, minimum: 0}", "amount: {type: date, minimum: 2024-01-02 12:00:00}"),
        "11: data.columns.amount.minimum", "is not of type date", "write a limit of type date",
    ),
    "an unknown key of a column": (
        ("required: true, unique", "requird: true, unique"),
        "8: data.columns.case_id.requird", "there is no such key", "did you mean `required`?",
    ),
    "an unknown key of a column that is called as a key is": (
        ("amount: {type: float", "type: {type: float, foo: 1}\n      amount: {type: float"),
        "11: data.columns.type.foo", "there is no such key", "use one of allowed, ambiguous",
    ),
    "an unknown key of a column that is called as a type is": (
        ("amount: {type: float", "int: {type: float, foo: 1}\n      amount: {type: float"),
        "11: data.columns.int.foo", "there is no such key", "use one of allowed, ambiguous",
    ),
    "an unknown key of a column with a dot in its name": (
        ("amount: {type: float", "a.b: {type: float, foo: 1}\n      amount: {type: float"),
        "11: data.columns.a.b.foo", "there is no such key", "use one of allowed, ambiguous",
    ),
    "a column whose name is a number": (
        ("amount: {type: float", "5: {type: float}\n      amount: {type: float"),
        "11: data.columns.5", "its name must be text", "quote it: '5'",
    ),
    "a needed key that is not there": (
        ("    id: case_id\n", ""), "3: data.id", "this key is needed", "add `id: ",
    ),
    "a needed key that is not there, in the second item of a list": (
        (f"{TWO}\n", ""), "20: candidates.1.path", "this key is needed", "add `path: ",
    ),
    "a needed key without a value": (
        ("    id: case_id", "    id:"),
        "6: data.id",
        "it must be text or a list or a block of keys, and it is empty",
        "`id: ",
    ),
    "text for a list": (
        ("  metrics:", "  owners: team:audit\n  metrics:"),
        "23: owners", "it must be a list, and it is 'team:audit'", "`owners: ['team:audit'",
    ),
    "a number for text": (
        ("  metrics:", "  description: 5\n  metrics:"),
        "23: description", "it must be text, and it is 5", "`description: ",
    ),
    "a list for text": (
        ("  metrics:", "  description: [5]\n  metrics:"),
        "23: description", "it must be text, and it is a list", "`description: ",
    ),
    "text for a number": (
        (TWO, f"{TWO}\n      threshold: high"),
        "22: candidates.1.threshold", "it must be a number, and it is 'high'", "`threshold: 0.5`",
    ),
    "true for a number": (
        (TWO, f"{TWO}\n      threshold: true"),
        "22: candidates.1.threshold", "it must be a number, and it is true", "`threshold: 0.5`",
    ),
    "a number that is too large": (
        (TWO, f"{TWO}\n      threshold: 2"),
        "22: candidates.1.threshold", "it must be 1 or less, and it is 2", "`threshold: 0.5`",
    ),
    "a number that is not one": (
        (TWO, f"{TWO}\n      threshold: .nan"),
        "22: candidates.1.threshold", "and it is nan", "`threshold: 0.5`",
    ),
    "text for a boolean": (
        (TWO, f"{TWO}\n      baseline: maybe"),
        "22: candidates.1.baseline", "it must be true or false, and it is 'maybe'",
        "`baseline: true`",
    ),
    "no date": (
        ("first_day: 2026-01-01", "first_day: yesterday"),
        "5: data.first_day", "it must be a date, and it is 'yesterday'",
        "`first_day: '2013-11-01'`",
    ),
    "a word that is no choice": (
        ("amount: {type: float", "amount: {type: flot"),
        "11: data.columns.amount.type",
        "boolean, date, timestamp, category, and it is 'flot'",
        "did you mean `float`?",
    ),
    "a kind that there is not": (
        (TWO, f"{TWO}\n      kind: onxn"),
        "22: candidates.1.kind",
        "it must be one of skops, mlflow, onnx, pickle, recorded, http, and it is 'onxn'",
        "did you mean `onnx`?",
    ),
    "a kind that resembles none": (
        (TWO, f"{TWO}\n      kind: 5"),
        "22: candidates.1.kind", "and it is 5", "use one of skops, mlflow, onnx",
    ),
    "a kind that is a list": (
        (TWO, f"{TWO}\n      kind: [onnx]"),
        "22: candidates.1.kind", "and it is a list", "use one of skops, mlflow, onnx",
    ),
    "a candidate that is a text": (
        ("  metrics:", "    - three\n  metrics:"),
        "23: candidates.2", "it must be a block of keys, and it is 'three'", "docs/audit-yaml.md",
    ),
    "a key of another kind": (
        (TWO, f"{TWO}\n      kind: onnx\n      trusted_types: [A]"),
        "23: candidates.1.trusted_types", "there is no such key",
        "use one of abstain_below, baseline, classes",
    ),
    "a misspelt key of a kind": (
        (TWO, f"{TWO}\n      kind: onnx\n      clases: [a, b]"),
        "23: candidates.1.clases", "there is no such key", "did you mean `classes`?",
    ),
    "a needed key of a kind that is not there": (
        (TWO, "      kind: mlflow"),
        "20: candidates.1.model", "this key is needed", "add `model: 'models:/late_flights/3'`",
    ),
    "a value of a kind that is out of range": (
        (TWO, f"{HTTP}\n      request_timeout: 0"),
        "24: candidates.1.request_timeout", "it must be above 0, and it is 0",
        "`request_timeout: 30`",
    ),
    "a pickle that is not trusted": (
        (TWO, f"{TWO}\n      kind: pickle\n      sha256: {'0' * 64}"),
        "20: candidates.1.trust", "runs whatever code it holds", "write `trust: pickle`",
    ),
    "a pickle that is not pinned": (
        (TWO, f"{TWO}\n      kind: pickle\n      trust: pickle"),
        "20: candidates.1.sha256", "this key is needed", "add `sha256: ",
    ),
    "a digest that is none": (
        (TWO, f"{TWO}\n      kind: pickle\n      trust: pickle\n      sha256: abc"),
        "24: candidates.1.sha256", "and it is 'abc'", "`sha256: 9f86",
    ),
    "an address that is no model's": (
        (TWO, "      kind: mlflow\n      model: models:/late"),
        "22: candidates.1.model", "'models:/late' is no address", "models:/name/version",
    ),
    "a folder that leaves the home": (
        (TWO, "      kind: mlflow\n      model: ../late"),
        "22: candidates.1.model", "leaves the platform's home", "declare its absolute path",
    ),
    "a recording of an unknown format": (
        (f"{TWO}\n      features: [amount, country]", "      kind: recorded\n      path: a.xlsx"),
        "22: candidates.1.path", "neither a .csv nor a .parquet", "one of the two",
    ),
    "features of a recording": (
        (TWO, "      kind: recorded\n      path: a.csv"),
        "23: candidates.1.features", "there is no such key",
        "use one of abstain_below, abstains, baseline",
    ),
    "an address that is not http": (
        (TWO, "      kind: http\n      version: a\n      url: ftp://models/late"),
        "23: candidates.1.url", "'ftp://models/late' is no http address", "https://",
    ),
    "a password in an address": (
        (TWO, "      kind: http\n      version: a\n      url: http://me:secret@models/late"),
        "23: candidates.1.url", "holds a user or a password", "`authorization_variable`",
    ),
    "an endpoint of no version": (
        (TWO, "      kind: http\n      url: http://models/late"),
        "20: candidates.1.version", "may change without notice", "`version_header`",
    ),
    "a value of none of several types": (
        ("minimum: 0}", "minimum: [1]}"),
        "11: data.columns.amount.minimum",
        "it must be a number or a date with a time or a date, and it is a list", "`minimum: 0`",
    ),
    "a wrong item of a list": (
        ("allowed: [0, 1]", "allowed: [0,\n        [1]]"),
        "13: data.columns.label.allowed.1", "and it is a list", "`allowed: ",
    ),
    "a list for a block of keys": (
        ("  label: {column: label, positive: 1}", "  label: [label]"),
        "13: label", "it must be a block of keys, and it is a list", "docs/audit-yaml.md",
    ),
    "an empty list of features": (
        ("features: [amount]", "features: []"),
        "19: candidates.0.features", "1 or more, and it is an empty list", "`features: [",
    ),
    "an empty path": (
        ("path: models/two.skops", 'path: ""'),
        "21: candidates.1.path", "1 or more characters, and it is ''", "`path: ",
    ),
    "a path that leaves the home": (
        ("path: models/two.skops", "path: models/../../two.skops"),
        "21: candidates.1.path", "leaves the platform's home by '..'", "declare its absolute path",
    ),
    "a candidate's name that no asset could have": (
        ("name: two", "name: Two-B"),
        "20: candidates.1.name", "'Two-B'", "lower-case letters, digits and _",
    ),
    "a candidate twice": (
        ("name: two", "name: one"),
        "20: candidates.1.name", "'one' is used more than once", "a name of its own",
    ),
    "a feature that is not declared": (
        ("features: [amount, country]", "features: [amount, county]"),
        "22: candidates.1.features", "'county' is not declared", "did you mean `country`?",
    ),
    "a feature twice": (
        ("features: [amount, country]", "features: [amount, amount]"),
        "22: candidates.1.features", "'amount' stands there twice", "keep one",
    ),
    "the label among the features": (
        ("features: [amount, country]", "features: [amount, label]"),
        "22: candidates.1.features", "the label 'label' as a feature", "must not see the truth",
    ),
    "a label that is not declared": (
        ("{column: label,", "{column: truth,"),
        "13: label.column", "'truth' is not declared", "declare it under `data.columns`",
    ),
    "a positive value that is not allowed": (
        ("positive: 1}", "positive: 2}"),
        "13: label.positive", "2 is no value of the column 'label'", "as it stands in the data",
    ),
    "a positive text for a number": (
        ("positive: 1}", "positive: late}"),
        "13: label.positive", "type integer and allows 0, 1", "as it stands in the data",
    ),
    "a negative value that is not allowed": (
        ("positive: 1}", "positive: 1, negative: [0, 2]}"),
        "13: label.negative", "2 is no value of the column 'label'", "counts as negative",
    ),
    "one value as positive and negative": (
        ("positive: 1}", "positive: 1, negative: true}"),
        "13: label.negative", "the positive value is among them", "leave it out",
    ),
    "label values by the label": (
        ("features: [amount, country]", "features: [amount]\n      label_values: {late: 1}"),
        "23: candidates.1.label_values", "must have the keys positive and negative, and has late",
        "`label_values: {positive: late, negative: on time}`",
    ),
    "label values of one side": (
        ("features: [amount, country]", "features: [amount]\n      label_values: {positive: a}"),
        "23: candidates.1.label_values", "and has positive", "write both",
    ),
    "a label value of both sides": (
        (
            "features: [amount, country]",
            "features: [amount]\n      label_values: {positive: ['1', a], negative: [b, 1]}",
        ),
        "23: candidates.1.label_values", "'1' is both positive and negative", "on one side",
    ),
    "label values of an endpoint": (
        (
            TWO,
            """      kind: http\n      version: a\n      url: http://models/late
      label_values: {positive: a, negative: b}""",
        ),
        "24: candidates.1.label_values", "there is no such key", "use one of",
    ),
    "a slice column that is not declared": (
        ("  segment: customer", "  segment: costumer"),
        "15: segment", "'costumer' is not declared", "did you mean `customer`?",
    ),
    "a slice column that is not required": (
        (CUSTOMER, CUSTOMER.replace("required: true, ", "")),
        "15: segment", "must be required", "set `required: true`",
    ),
    "a slice column without allowed values": (
        (CUSTOMER, "customer: {type: category, required: true}"),
        "15: segment", "list its allowed values", "`allowed: [...]`",
    ),
    "a slice column that is only warned about": (
        (CUSTOMER, CUSTOMER.replace("}", ", severity: warn}")),
        "15: segment", "must be required", "leave its severity at refuse",
    ),
    "a slice column whose values have several spellings": (
        (CUSTOMER, "customer: {type: boolean, required: true, allowed: [true, false]}"),
        "10: data.columns.customer", "type boolean cannot name the partitions", "a category",
    ),
    "a slice's value twice": (
        ("[new, returning]", "[new, returning, new]"),
        "10: data.columns.customer.allowed", "stands there twice", "keep one",
    ),
    "a slice's value that no partition could have": (
        ("[new, returning]", "['new|x', returning]"),
        "10: data.columns.customer.allowed", "'new|x' cannot name a partition", "none of |",
    ),
    "one column as geography and segment": (
        ("  segment: customer", "  segment: country"),
        "15: segment", "the same column as geography", "two different columns",
    ),
    "candidates without a label": (
        ("  label: {column: label, positive: 1}\n", ""),
        "2: label", "it is needed to judge candidates", "declare `label`",
    ),
    "a metric that there is not": (
        ("[accuracy, roc_auc]", "[accuracy, rocauc]"),
        "23: metrics", "there is no metric 'rocauc'", "roc_auc",
    ),
    "a metric twice": (
        ("[accuracy, roc_auc]", "[roc_auc, accuracy, accuracy]"),
        "23: metrics", "'accuracy' stands there twice", "keep one",
    ),
    "a gate on a metric that there is not": (
        ("{metric: roc_auc,", "{metric: roc_acu,"),
        "25: gates.0.metric", "there is no metric 'roc_acu'", "roc_auc",
    ),
    "a gate on a metric that the audit does not measure": (
        ("{metric: roc_auc,", "{metric: f1,"),
        "25: gates.0.metric", "'f1' is not among the audit's metrics", "add it to `metrics`",
    ),
    "a gate on a candidate that there is not": (
        ("at_least: 0.5}", "at_least: 0.5, candidate: tow}"),
        "25: gates.0.candidate", "there is no candidate 'tow'", "did you mean `two`?",
    ),
    "an owner whom nobody could reach": (
        ("  metrics:", "  owners: [joe]\n  metrics:"),
        "23: owners", "'joe' is neither an e-mail address nor a team", "team:joe",
    ),
    "an owner whom Dagster would refuse": (
        ("  metrics:", "  owners: [é@example.org]\n  metrics:"),
        "23: owners", "neither an e-mail address nor a team", "write an address",
    ),
    "a last day that has no next one": (
        ("    id: case_id", "    last_day: 9999-12-31\n    id: case_id"),
        "6: data.last_day", "9999-12-31 is no day that could have a file", "without a `last_day`",
    ),
    "a first day before Dagster's time": (
        ("2026-01-01", "0001-01-01"),
        "5: data.first_day", "is no day that could have a file", "from 1800 to 2199",
    ),
    "a pattern that is too deep": (
        ("unique: true}", f"unique: true, pattern: '{'(' * 5_000}{')' * 5_000}'}}"),
        "8: data.columns.case_id.pattern", "it is nested too deeply", "mend it",
    ),
    "more memory than there is": (
        (TWO, f"{TWO}\n      memory_limit: '{'9' * 5_000} TiB'"),
        "22: candidates.1.memory_limit", "is no amount of memory", "such as 500 MB",
    ),
    "a path with a character that no path has": (
        (TWO, '      path: "two\\0.skops"'),
        "21: candidates.1.path", "a character that no path has", "write the path anew",
    ),
    "an address that no library could split": (
        (TWO, HTTP.replace("http://models/late", "'http://[::1'")),
        "23: candidates.1.url", "is no http address", "https://models.example.org",
    ),
    "a name that is too long for a folder": (
        ("name: two", f"name: {'t' * 101}"),
        "20: candidates.1.name", "cannot stand in their keys", "at most 100",
    ),
    "files whose name is too long": (
        ("cases-{date}", "c" * 200 + "{date}"),
        "4: data.files", "is too long for a file's name", "call the files otherwise",
    ),
    "a night that is no cron line": (
        ("  metrics:", "  automation: {nightly: sometimes}\n  metrics:"),
        "23: automation.nightly", "'sometimes' is no cron line", "0 2 * * *",
    ),
    "a key twice": (
        ("      amount: {type: float", "      country: {type: float}\n      amount: {type: float"),
        "11: data.columns.country", "stands twice", "keep one",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_line_key_what_and_fix(name: str, spoil: Spoil) -> None:
    change, place, what, fix = MISTAKES[name]

    error = spoil(change)

    assert error.culprit == f"defs.yaml:{place}"
    assert what in error.what
    assert fix in error.fix


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_the_words_of_the_yaml(name: str, spoil: Spoil) -> None:
    text = str(spoil(MISTAKES[name][0]))

    jargon = r"[Ii]nput should|valid (tuple|dictionary|string)|Spec\b|pydantic|datetime\.|\bTrue\b"
    assert not re.search(jargon, text)
    assert "Also" not in text
    assert "?." not in text


@pytest.mark.parametrize(
    ("undeclared", "level", "what"),
    [
        ("  geography: country\n", "geography", "no geography"),
        ("  segment: customer\n", "segment", "no segment"),
        ("  geography: country\n  segment: customer\n", "slice", "no geography and no segment"),
    ],
)
def test_a_gate_by_what_divides_nothing_is_refused(
    undeclared: str, level: str, what: str, spoil: Spoil
) -> None:
    error = spoil((undeclared, ""), ("{metric: roc_auc,", f"{{metric: roc_auc, level: {level},"))

    assert error.culprit.endswith("gates.0.level")
    assert f"the audit declares {what}" in error.what
    assert "the gate is for all cases then" in error.fix


def test_the_second_baseline_is_the_one_that_is_named(spoil: Spoil) -> None:
    error = spoil(
        ("    - name: one", "    - name: one\n      baseline: true"),
        (TWO, f"{TWO}\n      baseline: true"),
    )

    assert error.culprit == "defs.yaml:23: candidates.1.baseline"
    assert "one and two are both declared as the baseline" in error.what
    assert "keep `baseline: true` on one of them" in error.fix


def test_several_mistakes_are_told_at_once_in_the_order_of_their_lines(spoil: Spoil) -> None:
    error = spoil(
        ("at_least: 0.5}", "at_leest: 0.5}\n  segmant: 1"),
        ("metric: roc_auc", "metric: rocauc"),
        ("files:", "filse:"),
    )

    lines = str(error).splitlines()
    assert lines[0].startswith("defs.yaml:4: data.filse: there is no such key. To mend it: did you")
    assert lines[1].startswith("  Also line 25: gates.0.metric: there is no metric 'rocauc'.")
    assert lines[2].startswith("  Also line 25: gates.0.at_leest: there is no such key.")
    assert lines[3].startswith("  Also line 26: segmant: there is no such key.")
    assert all(line.endswith(".") for line in lines)


def test_of_very_many_mistakes_the_first_ten_are_told(spoil: Spoil) -> None:
    unknown = "".join(f"  key_{number}: 1\n" for number in range(14))

    lines = str(spoil(("  metrics:", f"{unknown}  metrics:"))).splitlines()

    assert len(lines) == 11
    assert lines[-1] == "  And 4 more."


def test_a_long_value_is_cut(spoil: Spoil) -> None:
    error = spoil(("amount: {type: float", f"amount: {{type: {'x' * 3_000}"))

    assert f"{'x' * 30}" in error.what
    assert "…" in error.what
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    "path", ["models/two.skops", "/srv/models/two.skops", "/srv/../models/two.skops", "a..b.skops"]
)
def test_a_path_below_the_home_or_an_absolute_one_is_allowed(path: str, write: Write) -> None:
    audit = read_audit(write(GOOD.replace("models/two.skops", path)))

    assert audit.spec.candidates[1].path == path


@pytest.mark.parametrize(
    ("column", "positive", "expected"),
    [
        ("{type: boolean}", "1", 1),
        ("{type: boolean}", "true", True),
        ("{type: integer, allowed: [0, 1]}", "true", True),
        ("{type: category, allowed: [good, bad]}", "bad", "bad"),
        ("{type: string}", '"1"', "1"),
    ],
)
def test_a_positive_value_may_be_spelt_as_the_column_or_as_a_number(
    column: str, positive: str, expected: object, write: Write
) -> None:
    text = GOOD.replace("label: {type: integer, allowed: [0, 1]}", f"label: {column}")

    audit = read_audit(write(text.replace("positive: 1", f"positive: {positive}")))

    assert audit.spec.label is not None
    assert audit.spec.label.positive == expected
    assert type(audit.spec.label.positive) is type(expected)


def test_a_feature_may_be_the_geography_under_that_very_name(write: Write) -> None:
    text = GOOD.replace("country", "geography")

    assert read_audit(write(text)).spec.candidates[1].features == ("amount", "geography")


@pytest.mark.parametrize(
    "line",
    ["0 2 * * *", "*/5 * * * *", "0 0 * * mon-fri", "0 0 1 jan,jul *", "0 0 * * 5-7", "0 2 29 2 *"],
)
def test_a_cron_line_of_five_fields_is_a_night(line: str, write: Write) -> None:
    audit = read_audit(write(f'{GOOD}  automation: {{nightly: "{line}"}}\n'))

    assert audit.spec.automation.nightly == line
    assert dg.ScheduleDefinition(job_name="any", cron_schedule=line).cron_schedule == line


@pytest.mark.parametrize(
    "line",
    [
        "61 * * * *",
        "* * * *",
        "0 25 * * *",
        "1,, * * * *",
        "*/0 * * * *",
        "0 2 31 2 *",
        "0 2 30 feb *",
    ],
)
def test_a_cron_line_out_of_range_is_refused(line: str, spoil: Spoil) -> None:
    error = spoil(("  metrics:", f'  automation: {{nightly: "{line}"}}\n  metrics:'))

    assert "is no cron line" in error.what


@pytest.mark.parametrize(
    "value",
    [
        "''",
        "' '",
        "' north'",
        ".",
        "..",
        "a...b",
        "a|b",
        "'a,b'",
        "'[a'",
        "a/b",
        '"a\\tb"',
        '"a\\0b"',
        "é" * 40,
    ],
)
def test_a_value_that_cannot_name_a_partition_is_refused(value: str, spoil: Spoil) -> None:
    error = spoil(("allowed: [north, south]", f"allowed: [{value}, south]"))

    assert error.culprit == "defs.yaml:9: data.columns.country.allowed"
    assert "cannot name a partition" in error.what


@pytest.mark.parametrize(
    "value", ["New York", "a.b", "ü", "a%b", "_", "__no_partition__", "NA", "北部"]
)
def test_a_value_that_dagster_takes_may_name_a_partition(value: str, write: Write) -> None:
    text = GOOD.replace("allowed: [north, south]", f"allowed: [{value}, south]")

    values = read_audit(write(text)).spec.slice_values()["geography"]

    assert values == (value, "south")
    assert dg.StaticPartitionsDefinition(list(values)).get_partition_keys() == [*values]
