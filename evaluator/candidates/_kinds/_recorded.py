"""A recording: what any AI system gave, joined to the cases by their id."""

import json
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from evaluator.candidates._adapter import ADAPTERS, FileAdapter, RecordingIssue
from evaluator.candidates._faults import candidate_error, format_names
from evaluator.errors import CandidateError
from evaluator.spec import ABSTAINED, UNKNOWN_LABEL, RecordedCandidate, RecordedColumns, Task

_NUMBER: Final = "number {}"
"""What the columns of numbers are called here, by their place among a scorer's."""
_MAX_EXAMPLES: Final = 5


class RecordedScorer:
    """The outputs of a recording."""

    def __init__(self, candidate: RecordedCandidate, content: bytes, task: Task) -> None:
        self._candidate = candidate
        self._task = task
        try:
            rows = _read(candidate, content, task.recorded(candidate))
        except CandidateError:
            raise
        # Bytes of somebody else's make a reader raise whatever it likes.
        except Exception as error:
            raise candidate_error(
                candidate,
                f"its recording {candidate.path} cannot be read ({type(error).__name__}: {error})",
                fix="save it again as UTF-8 CSV with a header, or as Parquet",
            ) from error
        without_id = rows["id"].isna() | (rows["id"] == "")
        self._without_id = int(without_id.sum())
        self._rows = rows[~without_id]
        self._prepared: dict[bool, tuple[pd.DataFrame, frozenset[str]]] = {}

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return the recorded numbers of the cases whose ids are the index; NaN where none are."""
        rows = self._matching_rows(features)
        shape = self._task.shape(self._candidate, len(rows))
        numbers = [name for name in rows.columns if name.startswith(_NUMBER.format(""))]
        if not numbers:
            return np.full(shape, np.nan)
        return rows[numbers].to_numpy(dtype=np.float64).reshape(shape)

    def decide(self, features: pd.DataFrame) -> np.ndarray | None:
        """Return the recorded decisions, shape (n,); None where none are recorded."""
        if self._task.recorded(self._candidate).decision is None:
            return None
        decisions = self._matching_rows(features)["prediction"]
        absent = decisions.isna().to_numpy()
        if absent.any() and not self._task.may_abstain(self._candidate):
            silent = "say `abstains: true`, if none was made"
            raise candidate_error(
                self._candidate,
                f"{absent.sum()} of {len(decisions)} cases have no {self._candidate.prediction!r}"
                f" in the recording ({format_names(list(features.index[absent]))})",
                fix="record a decision for each case, or"
                f" {silent if self._task.classes else 'take `prediction` out of the YAML'}",
            )
        read = np.full(len(decisions), ABSTAINED, dtype=self._task.decision_type)
        read[~absent] = self._task.read_texts(self._candidate, decisions[~absent])
        unknown = decisions[read == UNKNOWN_LABEL]
        if len(unknown):
            raise candidate_error(
                self._candidate,
                f"{len(unknown)} of {len(decisions)} values of {self._candidate.prediction!r} in"
                f" the recording {self._task.describe_unknown(self._candidate, unknown)}",
                fix=self._task.unknown_fix,
            )
        return read

    def issues(self, cases: pd.DataFrame) -> tuple[RecordingIssue, ...]:
        """Hold the recording against the whole evaluation set."""
        ids = pd.Index(cases["id"])
        keys = _keys_of(ids)
        rows = self._with_keys(ids)
        recorded = pd.Index(rows["key"].unique())
        repeated = rows.loc[rows["key"].duplicated(), "key"].unique()
        conflicting = _conflicting(rows)
        issues = [
            _issue("missing_ids", keys.difference(recorded, sort=False), "are not in it"),
            _issue("extra_ids", recorded.difference(keys, sort=False), "are of no evaluated case"),
            _issue("repeated_ids", repeated, "stand in more than one row"),
            _issue("conflicting_outputs", conflicting, "have rows that contradict each other"),
        ]
        if self._candidate.label is not None:
            truth = pd.Series(cases["label"].to_numpy(), index=keys)
            labelled = rows[rows["label"].notna() & rows["key"].isin(keys)]
            known = truth.loc[labelled["key"]].to_numpy()
            read = self._task.recorded_labels(self._candidate, labelled["label"])
            is_unknown = pd.isna(read)
            unknown = labelled[is_unknown]
            described = self._task.describe_unknown(self._candidate, unknown["label"])
            contradicting = labelled.loc[(read != known) & ~is_unknown, "key"].unique()
            issues += [
                _issue("unknown_labels", unknown["key"].unique(), f"have labels that {described}"),
                _issue("conflicting_labels", contradicting, "have another label than in the data"),
            ]
        if self._without_id:
            text = f"{self._without_id} of its rows have no id"
            issues.append(RecordingIssue("rows_without_id", self._without_id, (), text))
        return tuple(issue for issue in issues if issue.affected)

    def _matching_rows(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the row of each case, in the order of the cases."""
        rows, conflicting = self._by_key(features.index)
        keys = _keys_of(features.index)
        positions = rows.index.get_indexer(keys)
        if (positions < 0).any():
            missing = features.index[positions < 0]
            raise candidate_error(
                self._candidate,
                f"{len(missing)} of {len(features)} cases are not in its recording"
                f" ({format_names(list(missing))})",
                fix="record an output for each case of the evaluation set",
            )
        ambiguous = [key for key in keys if key in conflicting] if conflicting else []
        if ambiguous:
            raise candidate_error(
                self._candidate,
                f"{len(ambiguous)} of {len(features)} cases stand in its recording several times,"
                f" with different outputs ({format_names(ambiguous)})",
                fix="keep the one row of each case that counts",
            )
        return rows.iloc[positions]

    def _by_key(self, ids: pd.Index) -> tuple[pd.DataFrame, frozenset[str]]:
        """Return one row a key, by key, and the keys whose rows contradict each other."""
        are_integers = bool(pd.api.types.is_integer_dtype(ids))
        if are_integers not in self._prepared:
            # Slices are asked for one by one, and the whole recording is gone through once.
            rows = self._with_keys(ids)
            self._prepared[are_integers] = (
                rows.drop_duplicates("key").set_index("key"),
                frozenset(_conflicting(rows)),
            )
        return self._prepared[are_integers]

    def _with_keys(self, ids: pd.Index) -> pd.DataFrame:
        """Return the rows with their ids spelt as those of the evaluation set are: `key`."""
        keys = self._rows["id"]
        if pd.api.types.is_integer_dtype(ids):
            # The same number may have zeros or a plus before it in a CSV.
            keys = keys.str.strip().str.replace(r"^\+?(-?)0*(?=\d)", r"\1", regex=True)
        return self._rows.assign(key=keys)


def _read(candidate: RecordedCandidate, content: bytes, outputs: RecordedColumns) -> pd.DataFrame:
    """Read the columns that count: `id`, `prediction` and `label` as texts, others as numbers."""
    declared = {"prediction": outputs.decision, "label": candidate.label}
    texts = {name: column for name, column in declared.items() if column is not None}
    names = [*outputs.numbers, *texts.values()]
    if candidate.path.endswith(".csv"):
        table = _read_csv(content, candidate.id_columns)
    else:
        table = pa_parquet.read_table(pa.BufferReader(content))
    named = [*candidate.id_columns, *names]
    absent = [column for column in named if column not in table.column_names]
    if absent:
        raise candidate_error(
            candidate,
            f"its recording has no column {format_names(absent)},"
            f" but {format_names(table.column_names)}",
            fix="name the columns under `id` and under those of its outputs and `label`",
        )
    for name in candidate.id_columns:
        if pa.types.is_floating(table.schema.field(name).type):
            raise candidate_error(
                candidate,
                f"its recording's column {name!r} holds floating-point numbers, and no ids",
                fix="save the ids as whole numbers or texts",
            )
    ids = [table[name].cast(pa.string()).to_pandas() for name in candidate.id_columns]
    columns = {"id": ids[0] if len(ids) == 1 else _joined(ids)} | {
        name: _texts(table[column]) for name, column in texts.items()
    }
    for place, column in enumerate(outputs.numbers):
        columns[_NUMBER.format(place)] = _numbers(candidate, column, table[column])
    return pd.DataFrame(columns)


def _texts(column: pa.ChunkedArray) -> pd.Series:
    """Write values as texts, and those that have parts, such as lists, as JSON."""
    if pa.types.is_nested(column.type):
        values = [None if one is None else json.dumps(one) for one in column.to_pylist()]
        column = pa.chunked_array([pa.array(values, pa.string())])
    texts: pd.Series = column.cast(pa.string()).to_pandas()
    return texts


def _joined(parts: Sequence[pd.Series]) -> pd.Series:
    """Join the parts of ids as the intake does; one with a part missing is missing."""
    escaped = [part.mask(part == "").str.replace(r"([\\/])", r"\\\1", regex=True) for part in parts]
    return reduce(lambda before, part: before.str.cat(part, sep="/"), escaped)


def _read_csv(content: bytes, id_columns: Sequence[str]) -> pa.Table:
    names = pa_csv.open_csv(pa.BufferReader(content)).schema.names
    # As a number the id 007 would be 7.
    types = dict.fromkeys(names, pa.string())
    texts = pa_csv.ConvertOptions(
        column_types=types,
        null_values=["", "NA", "NaN", "nan", "null"],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    table = pa_csv.read_csv(pa.BufferReader(content), convert_options=texts)
    present = [name for name in id_columns if name in names]
    # An id may be spelt as what is missing is, and Arrow asks for one rule for all columns.
    as_they_stand = pa_csv.ConvertOptions(column_types=types, include_columns=present)
    again = pa_csv.read_csv(pa.BufferReader(content), convert_options=as_they_stand)
    for name in present:
        table = table.set_column(names.index(name), name, again[name])
    return table


def _numbers(candidate: RecordedCandidate, name: str, column: pa.ChunkedArray) -> pd.Series:
    values = column.to_pandas()
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    wrong = numbers.isna() & values.notna()
    if wrong.any():
        raise candidate_error(
            candidate,
            f"{int(wrong.sum())} values of its recording's column {name!r} are no"
            f" numbers ({format_names(list(values[wrong].unique()))})",
            fix="record numbers, with a point before the decimals",
        )
    return pd.Series(numbers)


def _keys_of(ids: pd.Index) -> pd.Index:
    return ids if isinstance(ids.dtype, pd.StringDtype) else pd.Index([str(one) for one in ids])


def _conflicting(rows: pd.DataFrame) -> Sequence[str]:
    """Return the keys whose rows have different outputs."""
    if rows["key"].is_unique:
        return []
    outputs = rows.drop_duplicates(rows.columns.difference(["id", "label"]).to_list())
    return list(outputs.loc[outputs["key"].duplicated(), "key"].unique())


def _issue(kind: str, keys: Iterable[str], predicate: str) -> RecordingIssue:
    names = [str(key) for key in keys]
    return RecordingIssue(
        kind,
        len(names),
        tuple(names[:_MAX_EXAMPLES]),
        f"{len(names)} ids {predicate} ({format_names(names)})",
    )


class RecordedAdapter(FileAdapter[RecordedCandidate]):
    """Recordings, which can be held against the evaluation set."""

    is_recording = True

    def load(self, candidate: RecordedCandidate, content: bytes, task: Task, /) -> RecordedScorer:
        return RecordedScorer(candidate, content, task)


ADAPTERS[RecordedCandidate] = RecordedAdapter()
