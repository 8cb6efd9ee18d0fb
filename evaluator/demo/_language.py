"""Real texts as a demo: what volunteers translated in Django, and the language of each.

The data are the message catalogues in Django's wheel, BSD-3-Clause, read as files: Django itself is
neither imported nor set up. The AI systems under audit answer: which language is this?
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from gettext import GNUTranslations
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import pandas as pd

from evaluator.demo._files import appearing_whole

MINIMUM_CHARACTERS: Final = 20
"""A shorter text is left out: too little to tell a language by."""
LENGTHS: Final = {"short": 40, "medium": 80}
"""What a text is called that is shorter than so many characters; every other one is `long`."""

# Where most of a language's speakers live, by the United Nations' regions (M49), put together where
# there would be few languages: eastern with south-eastern Asia, Africa south of the Sahara as one.
# Arabic, whose speakers live in two of them, stands with western Asia, and so does Persian; Ossetic
# stands where the Caucasus does.
REGIONS: Final = {
    language: region
    for region, languages in {
        "northern_europe": "cy da et fi ga gd is lt lv nb nn sv",
        "western_europe": "br de dsb fr fy hsb lb nl",
        "southern_europe": "ast bs ca el es eu gl hr it mk pt sl sq sr",
        "eastern_europe": "be bg cs hu pl ro ru sk tt udm uk",
        "western_asia": "ar az ckb fa he hy ka os tr",
        "central_asia": "kk ky mn tg tk ug uz",
        "southern_asia": "bn hi kn ml mr ne pa ta te ur",
        "eastern_asia": "id ja km ko ms my th vi zh",
        "africa": "af am ig kab sw",
        "international": "eo ia io",
    }.items()
    for language in languages.split()
}
"""The region of each of the demo's languages."""

# What is the program's and not the translator's: fields to fill in, tags, entities.
_FIELD: Final = re.compile(r"%(?:\([^)]*\))?[-#0 +]*\d*(?:\.\d+)?[A-Za-z]|\{[^}]*\}")
_MARKUP: Final = re.compile(r"<[^>]*>|&#?\w+;")
_DIGITS: Final = 10
_CONTEXT: Final = "\x04"


class _Catalogue(GNUTranslations):
    """A catalogue that can be gone through; `gettext` itself only looks single messages up."""

    _catalog: dict[str | tuple[str, int], str]

    def messages(self) -> Iterator[tuple[str, str]]:
        """Go through all messages: what identifies each, which ends with its English, and its text.

        Of one with plural forms it is the first alone: the others say the same of other numbers.
        """
        for key, text in self._catalog.items():
            identifier, form = (key, 0) if isinstance(key, str) else key
            # The empty identifier's text is the catalogue's header.
            if identifier and form == 0:
                yield identifier, text


def load_translations() -> pd.DataFrame:
    """Load all translations that are long enough and differ from their English source.

    Returns
    -------
    pandas.DataFrame
        One row a text of a language, shape (24476, 9), in the order of `case_id`: `case_id`,
        `text`, `language` (the label), `region`, `length`, `form`, `script`, `characters`, and
        `source`, which names the English text.

    Raises
    ------
    ValueError
        Where Django has a language that is in none of the demo's regions.
    """
    rows = [row for locale, path in _catalogues() for row in _rows(locale, path)]
    translations = pd.DataFrame(rows).sort_values("case_id", ignore_index=True)
    unknown = sorted(set(translations["language"]) - REGIONS.keys())
    if unknown:
        raise ValueError(f"no region is known for {unknown}: extend the demo's table")
    # Several countries' locales, and several catalogues, often have the same words.
    return translations.drop_duplicates(["language", "text"], ignore_index=True)


def write_translations(translations: pd.DataFrame, folder: Path) -> None:
    """Write them into the landing folder, as a file that appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    # Texts hold commas, quotes and semicolons, which no file of this form has to tell apart.
    with appearing_whole(folder / "translations.parquet") as temporary:
        translations.to_parquet(temporary, index=False)


def _catalogues() -> Iterator[tuple[str, Path]]:
    """Name all catalogues, each with its locale, but those that spell English in another way."""
    for file in sorted(distribution("django").files or ()):
        if file.suffix == ".mo" and not file.parts[-3].startswith("en"):
            yield file.parts[-3], Path(str(file.locate()))


def _rows(locale: str, path: Path) -> Iterator[dict[str, str | int]]:
    # The country and the script are left out, since no identifier of languages tells them.
    language = locale.partition("_")[0]
    catalogue = path.parts[-5] + ("_js" if path.stem == "djangojs" else "")
    with path.open("rb") as file:
        messages = list(_Catalogue(file).messages())
    for identifier, translated in messages:
        source, text = identifier.rpartition(_CONTEXT)[2], " ".join(translated.split())
        script = _script(text)
        # What has no letter of its own is in no language.
        if translated == source or len(text) < MINIMUM_CHARACTERS or not script:
            continue
        yield {
            "case_id": f"{locale}-{catalogue}-{_digest(identifier)}",
            "text": text,
            "language": language,
            "region": REGIONS.get(language, ""),
            "length": next((name for name, end in LENGTHS.items() if len(text) < end), "long"),
            "form": _form(text),
            "script": script,
            "characters": len(text),
            "source": _digest(source),
        }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _form(text: str) -> str:
    if _MARKUP.search(text):
        return "markup"
    return "fields" if _FIELD.search(text) else "plain"


def _script(text: str) -> str:
    """Name the script of most letters, by the first word of their names in Unicode; or nothing."""
    words = _MARKUP.sub(" ", _FIELD.sub(" ", text))
    names = (unicodedata.name(letter, "other") for letter in words if letter.isalpha())
    counts = Counter(name.partition(" ")[0].partition("-")[0].lower() for name in names)
    return max(sorted(counts), key=counts.__getitem__, default="")
