"""Where an audit is run: which clusters can be named, and how."""

from collections.abc import Callable

import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from evaluator.errors import SpecError
from evaluator.spec import RayExecution
from evaluator.spec._settings import ExecutionSpec, LocalExecution

EXECUTION: TypeAdapter[ExecutionSpec] = TypeAdapter(ExecutionSpec)


def test_an_audit_runs_on_its_own_machine_unless_told_otherwise() -> None:
    assert EXECUTION.validate_python({}) == LocalExecution()
    assert EXECUTION.validate_python({"kind": "local"}) == LocalExecution()


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("auto", None),
        ("127.0.0.1:6379", ("127.0.0.1", 6379)),
        ("ray-head.example.org:6379", ("ray-head.example.org", 6379)),
        ("ray://ray-head:10001", ("ray-head", 10001)),
        ("ray://[::1]:10001", ("::1", 10001)),
    ],
)
def test_a_cluster_is_named_as_ray_names_it(address: str, endpoint: object) -> None:
    execution = EXECUTION.validate_python({"kind": "ray", "address": address})

    assert isinstance(execution, RayExecution)
    assert execution.endpoint == endpoint
    assert execution.max_retries == 3


@pytest.mark.parametrize(
    "address",
    ["", "ray", "host", "host:", "host:0", "host:65536", "http://host:1", "ray://host", "a b:1",
     "host:1 ", "-host:1", "host-:1", "host:1/x", "local"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_a_fix(address: str) -> None:
    with pytest.raises(ValidationError, match=r"write ray://host:port, host:port or auto"):
        EXECUTION.validate_python({"kind": "ray", "address": address})


@pytest.mark.parametrize(
    "told",
    [
        {"kind": "ray"},
        {"kind": "dask"},
        {"kind": 1},
        {"address": "auto"},
        {"kind": "ray", "address": "auto", "max_retries": -1},
        {"kind": "ray", "address": "auto", "max_retries": True},
        {"kind": "ray", "address": "auto", "cpus": 2},
        "ray",
    ],
)
def test_what_says_no_place_to_run_is_refused(told: object) -> None:
    with pytest.raises(ValidationError):
        EXECUTION.validate_python(told)


@pytest.mark.parametrize(
    ("written", "key", "what", "fix"),
    [
        (
            "{kind: rya, address: auto}",
            "kind",
            "it must be one of local, ray, and it is 'rya'",
            "did you mean `ray`?",
        ),
        ("{kind: ray}", "address", "this key is needed", "add `address: 'ray://ray-head"),
        ("{kind: ray, adress: auto}", "adress", "there is no such key", "did you mean `address`?"),
        ("{address: auto}", "address", "there is no such key", "use one of kind"),
    ],
)
def test_a_mistake_in_where_to_run_is_told_with_its_key_and_fix(
    spoil: Callable[..., SpecError], *, written: str, key: str, what: str, fix: str
) -> None:
    error = spoil(("  metrics:", f"  execution: {written}\n  metrics:"))

    (told,) = [line for line in str(error).splitlines() if f"23: execution.{key}: " in line]
    assert what in told
    assert fix in told


def test_the_json_schema_names_the_wrong_key_of_where_to_run() -> None:
    schema = EXECUTION.json_schema()
    Draft202012Validator.check_schema(schema)
    check = Draft202012Validator(schema)

    assert check.is_valid({})
    assert check.is_valid({"kind": "ray", "address": "auto"})
    (error,) = check.iter_errors({"kind": "ray", "address": "auto", "max_retrys": 2})
    assert "'max_retrys' was unexpected" in error.message
    (error,) = check.iter_errors({"kind": "dask"})
    assert "'dask' is not one of ['local', 'ray']" in error.message
