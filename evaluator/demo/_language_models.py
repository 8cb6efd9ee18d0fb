"""What identifiers of languages say of texts, as recordings: two real ones, and a second version.

Both are deterministic: one is a naive Bayes classifier over bytes, the other a small neural network
over characters. By its own account the first learned from no translations of programs; what the
second learned from is not public.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pandas as pd

from evaluator.demo._files import write_recording
from evaluator.demo._language import REGIONS

OTHER: Final = "other"
"""What stands for all languages that an identifier knows and the demo has not."""
THRESHOLD: Final = 0.5
"""The second version answers what it holds for more likely than not."""
OUT_OF_SCOPE: Final = frozenset(
    {
        # The identifier has no such class.
        *("ast", "ckb", "dsb", "hsb", "ia", "io", "os", "udm"),
        # Standards of one continuum, which a sentence often does not tell apart.
        *("bs", "hr", "sr"),
        *("da", "nb", "nn"),
        *("id", "ms"),
    }
)
"""Languages of the demo that the second version does not claim to know, and never answers."""

# What identifiers call classes otherwise. Varieties that the standard ISO 639-3 puts below a
# language are that language; `no` is what a class is called that learned from Bokmal.
_CODES: Final = {
    "ary": "ar",
    "arz": "ar",
    "bg-Latn": "bg",
    "el-Latn": "el",
    "hi-Latn": "hi",
    "iw": "he",
    "ja-Latn": "ja",
    "no": "nb",
    "ru-Latn": "ru",
    "uzs": "uz",
    "wuu": "zh",
    "yue": "zh",
    "zh-Latn": "zh",
}

Identify = Callable[[str], tuple[str, float]]
"""Tells a text's language, by the identifier's own code, and the probability of that."""


def write_answers(translations: pd.DataFrame, folder: Path) -> None:
    """Write what each candidate says of each text as CSV: its language, or nothing."""
    first = _answers(translations, _naive_bayes())
    is_sure = (first["probability"] >= THRESHOLD) & ~first["language"].isin(OUT_OF_SCOPE | {OTHER})
    for name, answers in {
        "py3langid": first,
        "cld3": _answers(translations, _neural_network()),
        "py3langid_2": first.assign(language=first["language"].where(is_sure)),
    }.items():
        write_recording(answers.drop(columns="probability"), folder / f"{name}.csv")


def _answers(translations: pd.DataFrame, identify: Identify) -> pd.DataFrame:
    codes, probabilities = zip(*map(identify, translations["text"]), strict=True)
    languages = (_CODES.get(code, code) for code in codes)
    return pd.DataFrame(
        {
            "case_id": translations["case_id"].to_numpy(),
            "language": [one if one in REGIONS else OTHER for one in languages],
            "probability": probabilities,
        }
    )


def _naive_bayes() -> Identify:
    """Load `py3langid`, BSD-3-Clause: 140 classes."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identify: Identify = model.classify
    return identify


def _neural_network() -> Identify:
    """Load CLD3 as packaged in `cld3-py`, Apache-2.0: 107 classes."""
    from gcld3 import NNetLanguageIdentifier

    # Bytes of a text that are looked at: from none on, and so many that no text is cut.
    model = NNetLanguageIdentifier(0, 10_000)

    def identify(text: str) -> tuple[str, float]:
        found = model.FindLanguage(text)
        return found.language, found.probability

    return identify
