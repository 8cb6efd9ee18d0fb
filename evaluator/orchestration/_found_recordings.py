"""Finds out what recordings hold, and declares them as candidates of a first audit."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml

from evaluator.errors import IntakeError
from evaluator.scorecard import can_name_assets, plain_name
from evaluator.spec import BinaryTask, DataSpec, yaml_line

if TYPE_CHECKING:
    import pandas as pd

    from evaluator.intake import IntakeResult

    _Columns = Mapping[str, pd.Series]

_WITHOUT_SCORES: Final[tuple[str, ...]] = ("accuracy", "precision", "recall", "f1")
_SCORES: Final = re.compile(r"(?i)score|prob|likel|conf|wahrsch|(?:^|_)p(?:_|$)")
_DECISIONS: Final = re.compile(r"(?i)predic|deci|class|outcome|entsch|y_?hat")
_PLAIN_KEYS: Final = frozenset({"files", "first_day", "id", "columns"})
_PLAIN_COLUMN_KEYS: Final = frozenset({"type", "required", "allowed"})
"""What a recording's inferred description may say where Arrow reads it as it is meant."""


def name_from(path: Path) -> str:
    """Make a name for an audit or a candidate of a file's; a date in it is of the file alone."""
    stem = re.sub(r"\d{4}-\d{2}(?:-\d{2})?", "", path.name.partition(".")[0])
    name = plain_name(stem)[:80]
    return name if can_name_assets(name) else f"a_{name}".rstrip("_")


def _take_in(file: Path, data: DataSpec, folder: Path) -> "IntakeResult":
    """Take a file in as it is described, for a look at its columns."""
    from evaluator.intake import ingest

    folder.mkdir()
    return ingest(file, data, into=folder, name=file.name)


def _columns(taken: "IntakeResult") -> "_Columns":
    import pandas as pd

    rows = pd.read_parquet(taken.typed_path)
    return {str(name): rows[name] for name in rows}


class _Recording(NamedTuple):
    """A recording, and a file of it that a candidate can be made of."""

    path: Path
    readable: Path
    columns: "_Columns"
    told: str

    @classmethod
    def look(cls, path: Path, folder: Path) -> "_Recording":
        """Read one. What Arrow would not read as it is meant becomes Parquet."""
        from evaluator.intake import infer_schema

        data = DataSpec.model_validate(yaml.safe_load(infer_schema(path)))
        taken = _take_in(path, data, folder)
        is_plain = data.model_fields_set <= _PLAIN_KEYS and all(
            column.model_fields_set <= _PLAIN_COLUMN_KEYS for column in data.columns.values()
        )
        if path.suffix == ".parquet" or (path.suffix == ".csv" and is_plain):
            return cls(path, path, _columns(taken), "")
        told = f"made of {path.name}"
        if taken.quarantined:
            told = f"unsure: {told}, without {taken.quarantined:,} rows that could not be read"
        return cls(path, taken.typed_path, _columns(taken), told)


def declare_recordings(
    recordings: Iterable[Path], *, audit: str, file: Path, data: DataSpec, label: str, scratch: Path
) -> tuple[str, dict[str, Path]]:
    """Declare recordings as candidates of a first audit.

    Parameters
    ----------
    recordings
        What AI systems gave for the cases; the first is the baseline.
    audit
        What it is called.
    file, data
        Its file of cases, and how that is declared.
    label
        The column of the file that holds the truth.
    scratch
        A folder for what is made of files that no candidate could be made of as they are.

    Returns
    -------
    tuple
        The YAML, with a comment wherever it is unsure; and what each candidate is made of, by its
        path below the home.

    Raises
    ------
    IntakeError
        Where no column identifies the file's rows, or a recording holds none of its ids, or no
        outputs.
    """
    cases = _columns(_take_in(file, data, scratch / "cases"))
    looked_at = [
        _Recording.look(path, scratch / str(index)) for index, path in enumerate(recordings)
    ]
    if not isinstance(data.id, str):
        raise IntakeError(
            "no column identifies its rows, so that no recording can be joined to them",
            culprit=str(file),
            fix="give each row an id, in this file and in the recording",
        )
    truth = dict(zip(map(_text, cases[data.id]), map(_text, cases[label]), strict=True))
    known = _Cases(data.id, label, {name: _texts(cases[name]) for name in cases}, truth)
    lines, files, metrics = ["  candidates:"], dict[str, Path](), _WITHOUT_SCORES
    for recording in looked_at:
        name = name_from(recording.path)
        while any(Path(path).stem == name for path in files):
            name += "_too"
        path = f"recordings/{audit}/{name}{recording.readable.suffix}"
        keys, doubts = _keys_of(recording, known)
        if keys["score"] is not None:
            metrics = BinaryTask.headline_metrics
        declared = {"name": name, "kind": "recorded", "baseline": True, "path": path, **keys}
        if files:
            del declared["baseline"]
        for number, (key, value) in enumerate(declared.items()):
            comment = f"  # {doubts[key]}" if doubts.get(key) else ""
            lines.append(f"    {'  ' if number else '- '}{yaml_line(key, value)}{comment}")
        files[path] = recording.readable
    return "\n".join([*lines, "", f"  {yaml_line('metrics', list(metrics))}", "", ""]), files


class _Cases(NamedTuple):
    """What the audit's file holds: each column's values."""

    id: str
    label: str
    texts: Mapping[str, set[str]]
    truth: Mapping[str, str]
    """The label of each id."""


def _keys_of(recording: _Recording, cases: _Cases) -> tuple[dict[str, Any], dict[str, str]]:
    """Find a recording's columns: the candidate's keys, and what is to be said beside them."""
    from evaluator.intake import likely_positive

    texts = {name: _texts(recording.columns[name]) for name in recording.columns}
    ids, truth = cases.texts[cases.id], cases.texts[cases.label]
    # Of several columns with the cases' ids, that which is called as in the data.
    id_ = max(texts, key=lambda name: (len(ids & texts[name]), name == cases.id))
    if ids.isdisjoint(texts[id_]):
        raise IntakeError(
            f"no column of the recording holds any case's {cases.id!r}",
            culprit=str(recording.path),
            fix="record outputs of these cases, with the id that the data have",
        )
    doubts = {"baseline": "the others are compared with it", "path": recording.told}
    if ids - texts[id_]:
        count = len(ids & texts[id_])
        doubts["id"] = f"unsure: of the {len(ids):,} cases it has {count:,}"
    # What the data have, too, is no output; but for the truth, whose name decisions may have.
    own = [name for name in texts if name not in cases.texts or name == cases.label]
    scores = [name for name in own if name != id_ and _are_scores(recording.columns[name])]
    decisions = [
        name
        for name in own
        if name not in (id_, *scores)
        and (
            texts[name] <= truth
            or (len(texts[name]) == len(truth) and _DECISIONS.search(f"{name} {cases.label}"))
        )
    ]
    if not scores and set(decisions) <= {cases.label}:
        # It may be the data's own file, with what was said beside the truth.
        others = [name for name in texts if name not in (id_, cases.label)]
        scores = [name for name in others if _are_scores(recording.columns[name])]
    keys: dict[str, Any] = {"id": id_, "score": _choose("score", scores, _SCORES, doubts)}
    # Beside other outputs it is the truth: taken for decisions it would make anybody perfect.
    has_truth = cases.label in decisions and len(scores) + len(decisions) > 1
    if has_truth:
        decisions.remove(cases.label)
    chosen = _choose("prediction", decisions, _DECISIONS, doubts)
    if chosen is not None:
        keys["prediction"] = chosen
        if chosen == cases.label:
            _check_is_no_truth(recording, id_, cases)
            doubts["prediction"] = "unsure: it is called as the truth is; is it what was predicted?"
        if not texts[chosen] <= truth:
            positive = likely_positive(texts[chosen])
            sides = {"positive": positive, "negative": min(texts[chosen] - {positive})}
            # Numbers are known by their values, however they are spelt.
            keys["label_values"] = {
                side: int(text) if text.isdecimal() else text for side, text in sides.items()
            }
            doubts["label_values"] = "unsure: which of the two counts as positive"
    elif keys["score"] is None:
        raise IntakeError(
            "no column of the recording holds probabilities from 0 to 1, or decisions between the"
            " label's two values",
            culprit=str(recording.path),
            fix="record one of the two for each case",
        )
    if has_truth:
        keys["label"] = cases.label
        doubts["label"] = "unsure: taken for the truth; if it is decisions, it is the `prediction`"
    return keys, doubts


def _check_is_no_truth(recording: _Recording, id_: str, cases: _Cases) -> None:
    """Refuse decisions that are called as the truth is, and are the same in every case."""
    ids, said = (map(_text, recording.columns[name]) for name in (id_, cases.label))
    if all(cases.truth.get(one, given) == given for one, given in zip(ids, said, strict=True)):
        raise IntakeError(
            f"its column {cases.label!r} holds the truth itself, and nothing else is an output",
            culprit=str(recording.path),
            fix="record what the AI system gave; if that is never wrong, call its column otherwise",
        )


def _choose(
    key: str, names: Sequence[str], likely: re.Pattern[str], doubts: dict[str, str]
) -> str | None:
    """Choose a column by its name; the others are named beside it."""
    ordered = sorted(names, key=lambda name: not likely.search(name))
    if not ordered:
        return None
    if ordered[1:] or not likely.search(ordered[0]):
        others = f"; {', '.join(ordered[1:])} would do, too" if ordered[1:] else ""
        doubts[key] = f"unsure: found by its values{others}"
    return ordered[0]


def _are_scores(column: "pd.Series") -> bool:
    """Tell probabilities by their values, of which decisions have two at most."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    is_number = is_numeric_dtype(column) and not is_bool_dtype(column)
    return bool(is_number and column.nunique() > 2 and column.dropna().between(0, 1).all())  # noqa: PLR2004


def _texts(column: "pd.Series") -> set[str]:
    """Return a column's values as recordings are read, where 1, 1.0 and true are one."""
    return {_text(value) for value in column.dropna()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = str(value).lower().removesuffix(".0")
    return {"true": "1", "false": "0"}.get(text, text)
