"""Candidates that are the same thing under two names."""

from evaluator.candidates import find_duplicates


def test_identical_artifacts_and_identical_predictions_are_found() -> None:
    found = find_duplicates(
        {"a": "1", "b": "2", "c": "1", "d": None, "e": None},
        {"a": ["x", "y"], "b": ["x", "y"], "c": ["x", "z"], "d": ["x", "y"]},
    )
    assert [(d.what, d.candidates) for d in found] == [
        ("artifact", ("a", "c")),
        ("predictions", ("a", "b", "d")),
    ]
    assert found[1].description == "a, b and d gave identical predictions on every slice"


def test_missing_slices_are_never_alike() -> None:
    assert find_duplicates({}, {"a": ["x", None], "b": ["x", None], "c": []}) == []
