"""A recording: what any AI system gave, joined to the cases by their id."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from evaluator.candidates._faults import candidate_error, existing_artifact, format_names
from evaluator.spec import LabelValue, RecordedCandidate

EXAMPLES = 5


class RecordingIssue(NamedTuple):
    """Something about a recording that its reader must know."""

    kind: str
    """`missing_ids`, `extra_ids`, `repeated_ids`, `conflicting_outputs`, `conflicting_labels` or
    `rows_without_id`."""
    affected: int
    """How many ids it concerns; how many rows, for those without an id."""
    examples: tuple[str, ...]
    """Some of these ids."""
    text: str
    """The finding as a sentence."""


class RecordedScorer:
    """The outputs of a recording.

    Parameters
    ----------
    candidate
        What the YAML says of it.
    home
        Where relative paths start.
    positive
        The label's positive value.

    Raises
    ------
    CandidateError
        Where the file is absent or cannot be read, lacks a column, or holds scores that are no
        numbers.
    """

    def __init__(self, candidate: RecordedCandidate, home: Path, positive: LabelValue) -> None:
        self._candidate = candidate
        self._positive = positive
        rows = _read(candidate, existing_artifact(candidate, home))
        without_id = rows["id"].isna() | (rows["id"] == "")
        self._without_id = int(without_id.sum())
        self._rows = rows[~without_id]
        self._prepared: dict[bool, tuple[pd.DataFrame, frozenset[str]]] = {}

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return the recorded scores of the cases whose ids are the index, shape (n,).

        They are NaN where only decisions are recorded.
        """
        return self._found(features)["score"].to_numpy(dtype=np.float64)

    def decide(self, features: pd.DataFrame) -> np.ndarray | None:
        """Return the recorded decisions as 0 and 1, shape (n,); None where none are recorded."""
        if self._candidate.prediction is None:
            return None
        decisions = self._found(features)["prediction"]
        absent = decisions.isna().to_numpy()
        if absent.any():
            raise candidate_error(
                self._candidate,
                f"{absent.sum()} of {len(decisions)} cases have no {self._candidate.prediction!r}"
                f" in the recording ({format_names(list(features.index[absent]))})",
                fix="record a decision for each case, or take `prediction` out of the YAML",
            )
        return _is_positive(decisions, self._positive).astype(np.int8)

    def findings(self, cases: pd.DataFrame) -> tuple[RecordingIssue, ...]:
        """Hold the recording against the whole evaluation set."""
        ids = pd.Index(cases["id"])
        wanted = pd.Index(_text_of(ids))
        rows = self._keyed(bool(pd.api.types.is_integer_dtype(ids)))
        here = pd.Index(rows["key"].unique())
        repeated = rows.loc[rows["key"].duplicated(), "key"].unique()
        conflicting = _conflicting(rows)
        found = [
            _issue("missing_ids", wanted.difference(here, sort=False), "are not in it"),
            _issue("extra_ids", here.difference(wanted, sort=False), "are of no case"),
            _issue("repeated_ids", repeated, "stand in more than one row"),
            _issue("conflicting_outputs", conflicting, "have rows that contradict each other"),
        ]
        if self._candidate.label is not None:
            truth = pd.Series(cases["label"].to_numpy(), index=wanted)
            labelled = rows[rows["label"].notna() & rows["key"].isin(wanted)]
            differs = _is_positive(labelled["label"], self._positive) != (
                truth.loc[labelled["key"]].to_numpy() == 1
            )
            contradicting = labelled.loc[differs, "key"].unique()
            found.append(
                _issue("conflicting_labels", contradicting, "have another label than in the data")
            )
        if self._without_id:
            words = f"{self._without_id} of its rows have no id"
            found.append(RecordingIssue("rows_without_id", self._without_id, (), words))
        return tuple(finding for finding in found if finding.affected)

    def _found(self, features: pd.DataFrame) -> pd.DataFrame:
        rows, conflicting = self._by_key(bool(pd.api.types.is_integer_dtype(features.index)))
        wanted = _text_of(features.index)
        at = rows.index.get_indexer(pd.Index(wanted))
        if (at < 0).any():
            missing = features.index[at < 0]
            raise candidate_error(
                self._candidate,
                f"{len(missing)} of {len(features)} cases are not in its recording"
                f" ({format_names(list(missing))})",
                fix="record an output for each case of the evaluation set",
            )
        several = [case for case in wanted if case in conflicting] if conflicting else []
        if several:
            raise candidate_error(
                self._candidate,
                f"{len(several)} of {len(features)} cases stand in its recording several times,"
                f" with different outputs ({format_names(several)})",
                fix="keep the one row of each case that counts",
            )
        return rows.iloc[at]

    def _by_key(self, are_numbers: bool) -> tuple[pd.DataFrame, frozenset[str]]:  # noqa: FBT001 - private
        """Return one row an id, by id, and the ids whose rows contradict each other."""
        if are_numbers not in self._prepared:
            # Slices are asked for one by one, and the whole recording is gone through once.
            rows = self._keyed(are_numbers)
            self._prepared[are_numbers] = (
                rows.drop_duplicates("key").set_index("key"),
                frozenset(_conflicting(rows)),
            )
        return self._prepared[are_numbers]

    def _keyed(self, are_numbers: bool) -> pd.DataFrame:  # noqa: FBT001 - private
        """Return the rows with their ids spelt as those of the evaluation set are: `key`."""
        keys = self._rows["id"]
        if are_numbers:
            # The same number may have zeros or a plus before it in a CSV.
            keys = keys.str.strip().str.replace(r"^\+?(-?)0*(?=\d)", r"\1", regex=True)
        return self._rows.assign(key=keys)


def recording_issues(
    candidate: RecordedCandidate, home: Path, cases: pd.DataFrame, *, positive: LabelValue
) -> tuple[RecordingIssue, ...]:
    """Hold a recording against the whole evaluation set; see `RecordedScorer.findings`.

    Raises
    ------
    CandidateError
        Where the recording cannot be read.
    """
    return RecordedScorer(candidate, home, positive).findings(cases)


def _text_of(ids: pd.Index) -> list[str]:
    return [str(value) for value in ids]


def _conflicting(rows: pd.DataFrame) -> Sequence[str]:
    """Return the ids whose rows have different outputs."""
    outputs = rows.drop_duplicates(["key", "score", "prediction"])
    return list(outputs.loc[outputs["key"].duplicated(), "key"].unique())


def _issue(kind: str, ids: Iterable[str], words: str) -> RecordingIssue:
    names = [str(name) for name in ids]
    return RecordingIssue(
        kind,
        len(names),
        tuple(names[:EXAMPLES]),
        f"{len(names)} ids {words} ({format_names(names)})",
    )


def _is_positive(values: pd.Series, positive: LabelValue) -> np.ndarray:
    """Tell which texts spell the positive value: true, 1 and 1.0 are the same."""
    if isinstance(positive, str):
        return (values == positive).to_numpy(dtype=bool)
    words = {0: {"false"}, 1: {"true"}}.get(int(positive), set())
    numbers = pd.to_numeric(values, errors="coerce")
    spelt = values.str.strip().str.lower().isin(words)
    return (spelt | (numbers == int(positive))).to_numpy(dtype=bool)


def _read(candidate: RecordedCandidate, path: Path) -> pd.DataFrame:
    """Read the columns that count: `id`, `prediction` and `label` as texts, `score` as numbers."""
    names = {
        name: column
        for name, column in (
            ("id", candidate.id),
            ("score", candidate.score),
            ("prediction", candidate.prediction),
            ("label", candidate.label),
        )
        if column is not None
    }
    try:
        table = _read_csv(path, names["id"]) if path.suffix == ".csv" else _read_parquet(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise candidate_error(
            candidate,
            f"its recording {path} cannot be read ({error})",
            fix="save it again as UTF-8 CSV with a header, or as Parquet",
        ) from error
    absent = [column for column in names.values() if column not in table.column_names]
    if absent:
        raise candidate_error(
            candidate,
            f"its recording has no column {format_names(absent)},"
            f" but {format_names(table.column_names)}",
            fix="name the columns under `id`, `score`, `prediction` and `label`",
        )
    if pa.types.is_floating(table.schema.field(names["id"]).type):
        raise candidate_error(
            candidate,
            f"its recording's column {names['id']!r} holds floating-point numbers, and no ids",
            fix="save the ids as whole numbers or texts",
        )
    columns = {
        name: table[column].cast(pa.string()).to_pandas()
        for name, column in names.items()
        if name != "score"
    }
    if "score" in names:
        columns["score"] = _numbers(candidate, table[names["score"]])
    frame = pd.DataFrame(columns)
    return frame.reindex(columns=["id", "score", "prediction", "label"])


def _read_csv(path: Path, id_column: str) -> pa.Table:
    # Ids are texts, or 007 would be 7; what is empty is missing, excepted in an id.
    names = pa_csv.open_csv(path).schema.names
    texts = pa_csv.ConvertOptions(
        column_types=dict.fromkeys([*names, id_column], pa.string()),
        null_values=["", "NA", "NaN", "nan", "null"],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return pa_csv.read_csv(path, convert_options=texts)


def _read_parquet(path: Path) -> pa.Table:
    return pa_parquet.read_table(path)


def _numbers(candidate: RecordedCandidate, column: pa.ChunkedArray) -> pd.Series:
    values = column.to_pandas()
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    wrong = numbers.isna() & values.notna()
    if wrong.any():
        raise candidate_error(
            candidate,
            f"{int(wrong.sum())} values of its recording's column {candidate.score!r} are no"
            f" numbers ({format_names(list(values[wrong].unique()))})",
            fix="record probabilities from 0 to 1, with a point before the decimals",
        )
    return pd.Series(numbers)
