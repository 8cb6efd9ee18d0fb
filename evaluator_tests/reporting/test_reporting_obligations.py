"""The map from laws and frameworks to evidence."""

import pytest
import yaml
from pydantic import ValidationError

from evaluator.definitions import defs
from evaluator.reporting._documents._obligations import (
    ASSETS,
    EvidenceReference,
    Obligations,
    load_obligations,
)

ARTICLES = {
    "Article 9": "Risk management system",
    "Article 10": "Data and data governance",
    "Article 11": "Technical documentation",
    "Article 12": "Record-keeping",
    "Article 13": "Transparency and provision of information to deployers",
    "Article 14": "Human oversight",
    "Article 15": "Accuracy, robustness and cybersecurity",
    "Annex IV": "Technical documentation referred to in Article 11(1)",
}
SUBCATEGORIES = {
    "GOVERN": (7, 3, 2, 3, 2, 2),
    "MAP": (6, 3, 5, 2, 2),
    "MEASURE": (3, 13, 3, 3),
    "MANAGE": (4, 4, 2, 3),
}


def test_every_article_and_annex_iv_stand_in_the_map_under_their_official_titles() -> None:
    groups = load_obligations().framework("eu_ai_act").groups
    assert {group.number: group.title for group in groups} == ARTICLES


def test_every_point_of_an_article_stands_under_its_article() -> None:
    for group in load_obligations().framework("eu_ai_act").groups:
        begins = (
            f"{group.number.removeprefix('Article ')}(" if "Art" in group.number else "Annex IV"
        )
        assert all(point.number.startswith(begins) for point in group.points), group.number


def test_all_nine_points_of_annex_iv_stand_in_the_map() -> None:
    annex = load_obligations().framework("eu_ai_act").groups[-1]
    assert [point.number for point in annex.points] == [f"Annex IV, {n}" for n in range(1, 10)]


def test_all_seventy_two_subcategories_of_the_framework_stand_in_the_map() -> None:
    groups = load_obligations().framework("nist_ai_rmf").groups
    assert {group.number: [p.number for p in group.points] for group in groups} == {
        function: [
            f"{function} {category}.{number}"
            for category, most in enumerate(counts, 1)
            for number in range(1, most + 1)
        ]
        for function, counts in SUBCATEGORIES.items()
    }


def test_every_framework_names_its_citation_and_a_lasting_address() -> None:
    obligations = load_obligations()
    assert {f.name: f.source for f in obligations.frameworks} == {
        "eu_ai_act": "http://data.europa.eu/eli/reg/2024/1689/oj",
        "nist_ai_rmf": "https://doi.org/10.6028/NIST.AI.100-1",
    }
    assert "(EU) 2024/1689" in obligations.framework("eu_ai_act").citation
    assert "NIST AI 100-1" in obligations.framework("nist_ai_rmf").citation
    assert "not a legal opinion" in obligations.statement


def test_the_assets_that_evidence_is_found_in_are_those_of_the_graph() -> None:
    names = set()
    for key in defs().resolve_asset_graph().get_all_asset_keys():
        if key.path[0] == "flights":
            names.add(key.path[-1])
    flights = {name for name in names if not name.endswith(("_predictions", "_slice_metrics"))}
    models = {name.removesuffix("_model") for name in flights if name.endswith("_model")}
    assert models
    expected = {asset.replace("<candidate>", model) for asset in ASSETS for model in models}
    assert expected <= names


@pytest.mark.parametrize(
    "place",
    [
        {"gives": "something"},
        {"gives": "something", "asset": "scorecard", "section": "model_card/metrics"},
        {"gives": "something", "asset": "score_card"},
        {"gives": "something", "section": "model_card/metric"},
        {"gives": "something", "section": "metrics"},
        {"gives": "something", "asset": "scorecard", "finding": "luck"},
        {"gives": "", "asset": "scorecard"},
    ],
)
def test_evidence_without_one_real_place_is_refused(place: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        EvidenceReference.model_validate(place)


def test_a_map_with_a_number_twice_or_a_point_that_is_covered_whole_is_refused() -> None:
    described = load_obligations().model_dump(mode="json")
    points = described["frameworks"][0]["groups"][0]["points"]
    Obligations.model_validate(yaml.safe_load(yaml.safe_dump(described)))
    points[1]["number"] = points[0]["number"]
    with pytest.raises(ValidationError, match="stands there twice"):
        Obligations.model_validate(described)
    points[1] |= {"number": "9(2)", "not_covered": ""}
    with pytest.raises(ValidationError, match="not_covered"):
        Obligations.model_validate(described)
