"""The texts are Django's translations, and the recordings hold what identifiers say of them."""

import gettext
import hashlib
import importlib.util
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd
import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from evaluator.demo import prepare
from evaluator.demo._language import REGIONS
from evaluator.demo._language_models import OTHER, OUT_OF_SCOPE, write_answers
from evaluator.errors import UsageError
from evaluator.orchestration import Home
from evaluator.spec import load_audit
from evaluator_tests.demo.conftest import AUDITS
from evaluator_tests.demo.test_demo_prepare import Stages

# What is found in these texts is stated in the README.
TEXTS = "1169832218d66d5eeb19d65b376f74ece0c3c4e9fe560df53bd71921852fb3a2"


@pytest.fixture(scope="module")
def said(translations: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What each candidate says of every tenth text, a column each, beside the text itself."""
    folder = tmp_path_factory.mktemp("recordings")
    texts = translations.iloc[::10].reset_index(drop=True)
    write_answers(texts, folder)
    for path in folder.iterdir():
        recorded = pd.read_csv(path)
        assert recorded["case_id"].tolist() == texts["case_id"].tolist()
        texts[path.stem] = recorded["language"]
    return texts


def test_the_texts_are_the_same_on_every_machine(translations: pd.DataFrame) -> None:
    rows = translations.to_csv(index=False, lineterminator="\n").encode()

    assert translations.shape == (24_476, 9)
    assert translations["case_id"].is_unique
    assert hashlib.sha256(rows).hexdigest() == TEXTS


@pytest.mark.parametrize("locale", ["de", "uk", "sw", "el"])
def test_a_text_is_what_gettext_finds_for_its_english(
    locale: str, translations: pd.DataFrame
) -> None:
    english = "Enter a valid email address."
    folder = Path(str(distribution("django").locate_file("django/conf/locale")))
    text = gettext.translation("django", folder, [locale]).gettext(english)
    source = hashlib.sha256(english.encode()).hexdigest()[:10]

    case = translations.set_index("case_id").loc[f"{locale}-conf-{source}"]

    assert (case["text"], case["language"], case["source"]) == (text, locale, source)


def test_a_text_differs_from_its_english_and_is_no_repetition(translations: pd.DataFrame) -> None:
    texts = translations["text"]

    assert texts.str.len().min() == 20
    assert not translations.duplicated(["language", "text"]).any()
    assert not {"Enter a valid email address.", "This field is required."} & {*texts}


def test_the_audit_declares_all_languages_and_one_more_for_those_that_the_texts_have_not(
    translations: pd.DataFrame,
) -> None:
    spec = load_audit("language", AUDITS).spec
    languages = sorted(REGIONS)

    assert list(spec.asks.classes) == [*languages, OTHER]
    assert sorted(translations["language"].unique()) == languages
    assert {*spec.slice_values()["geography"]} == {*translations["region"]}
    assert {*spec.slice_values()["segment"]} == {*translations["length"]}


def test_the_second_version_says_what_the_first_one_says_or_nothing(said: pd.DataFrame) -> None:
    answers = said[said["py3langid_2"].notna()]

    assert 0.6 < len(answers) / len(said) < 0.8
    assert (answers["py3langid_2"] == answers["py3langid"]).all()
    assert not {*answers["py3langid_2"]} & {*OUT_OF_SCOPE, OTHER}
    assert len(REGIONS.keys() - OUT_OF_SCOPE) == 72


def test_the_second_version_is_silent_where_the_first_is_not_sure(said: pd.DataFrame) -> None:
    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    some = said[said["language"].isin(["cs", "sk", "tt", "es"])]

    for text, first, second in zip(
        some["text"], some["py3langid"], some["py3langid_2"], strict=True
    ):
        ranked = model.rank(text)
        assert first in (ranked[0][0], OTHER)
        claims = ranked[0][1] >= 0.5 and first not in {*OUT_OF_SCOPE, OTHER}
        assert second == first if claims else pd.isna(second)


def test_every_answer_is_a_class_and_those_of_other_languages_are_put_together(
    said: pd.DataFrame,
) -> None:
    for name in ("py3langid", "cld3"):
        assert said[name].notna().all()
        assert {*said[name]} <= {*REGIONS, OTHER}
        assert (said[name] == OTHER).any()
    # Chinese in both of its scripts, Hebrew and Norwegian have other codes there.
    right = said[said["cld3"] == said["language"]]
    assert {"he", "nb", "zh"} <= {*right["language"]}


@pytest.mark.parametrize(
    ("module", "package"), [("django", "Django"), ("py3langid", "py3langid"), ("gcld3", "cld3-py")]
)
def test_without_a_package_its_name_is_told_and_nothing_is_written(
    module: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "evaluator.demo._prepare.find_spec", lambda name: None if name == module else find(name)
    )

    with pytest.raises(UsageError, match=f"the package {package}, which is not installed"):
        prepare("language", None, Home(tmp_path, str(tmp_path)), Stages())

    assert not list(tmp_path.iterdir())
