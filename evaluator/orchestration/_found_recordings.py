"""Finds out what recordings hold, and declares them as candidates of a first audit."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml

from evaluator.errors import IntakeError
from evaluator.metrics import METRICS
from evaluator.scorecard import can_name_assets, plain_name
from evaluator.spec import DataSpec, FoundColumn, Task, yaml_line

if TYPE_CHECKING:
    import pandas as pd

    from evaluator.intake import IntakeResult

    _Columns = Mapping[str, pd.Series]

_SCORES: Final = re.compile(r"(?i)score|prob|likel|conf|wahrsch|(?:^|_)p(?:_|$)")
_DECISIONS: Final = re.compile(r"(?i)predic|deci|class|outcome|entsch|y_?hat|estim|forecast|progn")
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
    recordings: Iterable[Path], *, audit: str, file: Path, data: DataSpec, asks: Task, scratch: Path
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
    asks
        What is asked about each case.
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
    label = asks.label.column
    truth = dict(zip(map(_text, cases[data.id]), map(_text, cases[label]), strict=True))
    known = _Cases(
        asks, data.id, {name: _texts(cases[name]) for name in cases}, _found(label, cases), truth
    )
    lines, files, has_scores = ["  candidates:"], dict[str, Path](), False
    for recording in looked_at:
        name = name_from(recording.path)
        while any(Path(path).stem == name for path in files):
            name += "_too"
        path = f"recordings/{audit}/{name}{recording.readable.suffix}"
        keys, doubts = _keys_of(recording, known)
        has_scores |= any(keys.get(key) is not None for key in ("score", "scores"))
        declared = {"name": name, "kind": "recorded", "baseline": True, "path": path, **keys}
        if files:
            del declared["baseline"]
        for number, (key, value) in enumerate(declared.items()):
            comment = f"  # {doubts[key]}" if doubts.get(key) else ""
            lines.append(f"    {'  ' if number else '- '}{yaml_line(key, value)}{comment}")
        files[path] = recording.readable
    metrics = [
        name for name in asks.headline_metrics if has_scores or METRICS[name].needs != "score"
    ]
    return "\n".join([*lines, "", f"  {yaml_line('metrics', metrics)}", "", ""]), files


class _Cases(NamedTuple):
    """What the audit's file holds, and what is asked about it."""

    asks: Task
    id: str
    texts: Mapping[str, set[str]]
    """Each column's values."""
    label: FoundColumn
    truth: Mapping[str, str]
    """The label of each id."""


def _found(name: str, columns: "_Columns") -> FoundColumn:
    """Say what a column holds, as a file has it."""
    column = columns[name]
    return FoundColumn(
        name, "float" if _are_numbers(column) else "string", [*_texts(column)], column.count()
    )


def _keys_of(recording: _Recording, cases: _Cases) -> tuple[dict[str, Any], dict[str, str]]:
    """Find a recording's columns: the candidate's keys, and what is to be said beside them."""
    asks, label = cases.asks, cases.label.name
    texts = {name: _texts(recording.columns[name]) for name in recording.columns}
    ids = cases.texts[cases.id]
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
    found = {name: _found(name, recording.columns) for name in texts if name != id_}
    shares = {name: one for name, one in found.items() if _are_shares(recording.columns[name])}
    scores, decisions = _outputs(found, shares, cases)
    keys: dict[str, Any] = {"id": id_, **asks.named_scores(None, ())}
    by_name = {", ".join(_columns_in(one)): one for one in scores}
    key = "score" if "score" in keys else "scores"
    chosen_scores = _choose(key, [*by_name], _SCORES, doubts)
    keys |= by_name.get(chosen_scores or "", {})
    # Beside other outputs it is the truth: taken for decisions it would make anybody perfect.
    has_truth = label in decisions and len(scores) + len(decisions) > 1
    if has_truth:
        decisions.remove(label)
    chosen = _choose("prediction", decisions, _DECISIONS, doubts)
    if chosen is not None:
        keys["prediction"] = chosen
        if chosen == label:
            _check_is_no_truth(recording, id_, cases)
            doubts["prediction"] = "unsure: it is called as the truth is; is it what was predicted?"
        elif chosen in cases.texts:
            doubts["prediction"] = "unsure: the data have it, too; is it what was predicted?"
        if asks.unlike(found[chosen], cases.label) is not None:
            keys["label_values"] = asks.in_other_words(texts[chosen])
            doubts["label_values"] = "unsure: which of the two counts as positive"
    elif chosen_scores is None:
        raise IntakeError(
            f"no column of the recording holds {asks.outputs}{_nearly(found, cases.label)}",
            culprit=str(recording.path),
            fix="record one of these for each case",
        )
    if has_truth:
        keys["label"] = label
        doubts["label"] = "unsure: taken for the truth; if it is decisions, it is the `prediction`"
    return keys, doubts


def _outputs(
    found: Mapping[str, FoundColumn], shares: Mapping[str, FoundColumn], cases: _Cases
) -> tuple[list[dict[str, Any]], list[str]]:
    """Find what may be scores, as a candidate's keys, and which columns may be decisions."""
    asks, label = cases.asks, cases.label
    # What the data have, too, is no output; but for the truth, whose name decisions may have.
    own = {name for name in found if name not in cases.texts or name == label.name}
    scores = asks.find_scores({name: one for name, one in shares.items() if name in own})
    own -= {name for one in scores for name in _columns_in(one)}
    alike = [name for name, one in found.items() if asks.unlike(one, label) is None]
    decisions = [
        name
        for name, one in found.items()
        if name in own
        and (
            name in alike
            or (asks.in_other_words(one.texts or ()) and _DECISIONS.search(f"{name} {label.name}"))
        )
    ]
    if not scores and {*decisions} <= {label.name}:
        # It may be the data's own file, with what was said beside the truth.
        scores = asks.find_scores({n: one for n, one in shares.items() if n != label.name})
        if not scores:
            decisions += [name for name in alike if name not in own and _DECISIONS.search(name)]
    return scores, decisions


def _columns_in(scores: Mapping[str, Any]) -> list[str]:
    """List the columns of scores that a candidate's keys name."""
    return [*scores["scores"].values()] if "scores" in scores else [*scores.values()]


def _nearly(found: Mapping[str, FoundColumn], label: FoundColumn) -> str:
    """Say of a column that has some of the label's values which others it has."""
    for name, one in found.items():
        others = one.beyond(label)
        if name != label.name and len(others) < len(one.texts or ()):
            return f"; {name!r} has, beside the label's, {', '.join(map(repr, sorted(others)[:5]))}"
    return ""


def _check_is_no_truth(recording: _Recording, id_: str, cases: _Cases) -> None:
    """Refuse decisions that are called as the truth is, and are the same in every case."""
    label = cases.label.name
    ids, said = (map(_text, recording.columns[name]) for name in (id_, label))
    if all(cases.truth.get(one, given) == given for one, given in zip(ids, said, strict=True)):
        raise IntakeError(
            f"its column {label!r} holds the truth itself, and nothing else is an output",
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


def _are_numbers(column: "pd.Series") -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return is_numeric_dtype(column) and not is_bool_dtype(column)


def _are_shares(column: "pd.Series") -> bool:
    """Tell what may be probabilities by its values."""
    return bool(_are_numbers(column) and column.dropna().between(0, 1).all())


def _texts(column: "pd.Series") -> set[str]:
    """Return a column's values as recordings are read, where 1, 1.0 and true are one."""
    return {_text(value) for value in column.dropna()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = str(value).lower().removesuffix(".0")
    return {"true": "1", "false": "0"}.get(text, text)
