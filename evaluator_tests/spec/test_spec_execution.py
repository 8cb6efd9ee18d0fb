"""Where an audit is run: which clusters can be named, and how."""

import pytest
from pydantic import TypeAdapter, ValidationError

from evaluator.spec.execution import ExecutionSpec, LocalExecution, RayExecution

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
