"""Equal values have one spelling, and one digest."""

import hashlib
import json

import pytest
from hypothesis import given, settings, strategies as st

from evaluator.evidence import canonical_json, digest_of, identity_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=100, derandomize=True)
@given(VALUES)
def test_what_is_spelt_is_read_back(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@settings(max_examples=60, derandomize=True)
@given(st.dictionaries(st.text(max_size=3), st.integers(), min_size=2, max_size=5))
def test_the_order_of_keys_does_not_count(value: dict[str, int]) -> None:
    other = dict(reversed(value.items()))

    assert canonical_json(other) == canonical_json(value)


def test_the_spelling_is_sorted_compact_utf_8_with_a_newline() -> None:
    assert canonical_json({"é": [1, 2.5, None], "a": True}) == (
        '{"a":true,"é":[1,2.5,null]}\n'.encode()
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_number_that_json_has_no_word_for_is_refused(number: float, depth: int) -> None:
    value: object = number
    for _ in range(depth):
        value = {"inside": [value]}

    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json(value)


def test_a_digest_is_the_sha_256_of_the_spelling() -> None:
    assert digest_of({"b": 1, "a": "x"}) == hashlib.sha256(b'{"a":"x","b":1}\n').hexdigest()


def test_an_identity_depends_on_kind_code_and_every_input() -> None:
    base = ("predictions", "1", {"model": "m", "slice": "a|b"})
    others = [
        ("slice_metrics", "1", {"model": "m", "slice": "a|b"}),
        ("predictions", "2", {"model": "m", "slice": "a|b"}),
        ("predictions", "1", {"model": "m", "slice": "a|c"}),
        ("predictions", "1", {"model": "m"}),
        ("predictions", "1", {"model": "m", "slice": ["a", "b"]}),
    ]

    identities = {identity_of(*arguments) for arguments in (base, *others)}

    assert len(identities) == len(others) + 1
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in identities)
    assert identity_of("predictions", "1", {"slice": "a|b", "model": "m"}) in identities
