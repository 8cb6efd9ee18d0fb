"""The evaluation set's declared columns, read once and laid beside any candidate's predictions."""

import json
from collections.abc import Sequence
from datetime import date
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from evaluator.scorecard import DATA_PREFIX
from evaluator.spec import DAY, AuditSpec, DataSpec

MISSING = "(missing)"
"""The group of the cases without a value."""
# What stands beside declared columns, none of which can be called so.
APART = " {}"
"""What label and outputs are called there."""
CLUSTER, WEIGHT = " cluster", " weight"

IntArray = NDArray[np.intp]
FloatArray = NDArray[np.float64]
# Whole numbers and truth values stay what they are where some are missing.
_TYPES = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
_FLOAT = pa.float64()


class Groups(NamedTuple):
    """How a declared column cuts the evaluation set."""

    codes: IntArray
    """The group of each case, as a position among the names."""
    names: list[str]
    declared: bool
    """Whether the column lists its allowed values."""


class EvaluatedCases:
    """The cases of an evaluation set, by any declared column.

    Parameters
    ----------
    table
        One row a case: `id`, `day`, and `data.<column>` of the columns that are asked for.
    data
        The audit's declared columns, and which of them are clusters and weights.
    """

    def __init__(self, table: pa.Table, data: DataSpec) -> None:
        self.table = table
        self._data = data
        self._index = pd.Index(table["id"].to_pandas())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def has(self, name: str) -> bool:
        """Tell whether the cases have this declared column."""
        return DATA_PREFIX + name in self.table.column_names

    def positions_of(self, predictions: pd.DataFrame) -> IntArray:
        """Find each prediction's case by its id.

        Parameters
        ----------
        predictions
            Its column `id` names the cases.

        Returns
        -------
        numpy.ndarray
            The case's row in the evaluation set, shape (predictions,).

        Raises
        ------
        ValueError
            Where there are predictions for other cases.
        """
        row_positions: IntArray = self._index.get_indexer(pd.Index(predictions["id"]))
        if (row_positions < 0).any():
            raise ValueError(
                "there are predictions for cases that the evaluation set does not have"
            )
        return row_positions

    def groups_of(self, name: str) -> Groups:
        """Cut the cases by a column.

        Parameters
        ----------
        name
            A declared column that the cases have.

        Returns
        -------
        Groups
            Codes of shape (n,). The groups are the allowed values as they are declared, then other
            values in order, then what is missing, where something is.
        """
        declared = self._data.columns[name]
        encoded = self.table[DATA_PREFIX + name].combine_chunks().dictionary_encode()
        found = encoded.dictionary.to_pylist()
        # As the column has them: the YAML may say 1.0 where it holds whole numbers.
        value_type = encoded.dictionary.type
        allowed = pa.array(declared.allowed or (), value_type).to_pylist()
        # A rule that only warns lets through what is not allowed.
        values = [*allowed, *sorted(set(found) - set(allowed))]
        position = {value: number for number, value in enumerate(values)}
        lookup = np.array([*(position[value] for value in found), len(values)], dtype=np.intp)
        codes = lookup[encoded.indices.fill_null(len(found)).to_numpy()]
        names = [group_name(declared.shown(value)) for value in values]
        return Groups(
            codes, names + [MISSING] * (encoded.null_count > 0), declared.allowed is not None
        )

    def features(self, names: Sequence[str], row_positions: IntArray) -> pd.DataFrame:
        """Take declared columns under their own names, for some cases.

        Parameters
        ----------
        names
            Declared columns that the cases have.
        row_positions
            The cases' rows in the evaluation set, shape (n,).

        Returns
        -------
        pandas.DataFrame
            One row a case, shape (n, columns), counted from 0; decimals as floats.
        """
        taken = self._frame[list(names)].take(row_positions)
        return taken.reset_index(drop=True)

    def dependence(self, row_positions: IntArray) -> pd.DataFrame:
        """Say which cases depend on each other, and for how much each counts.

        Parameters
        ----------
        row_positions
            The cases' rows in the evaluation set, shape (n,).

        Returns
        -------
        pandas.DataFrame
            One row a case, counted from 0, with the columns `CLUSTER` (texts) and `WEIGHT` (floats)
            as far as the audit declares them.

        Raises
        ------
        ValueError
            Where the evaluation set, made under an earlier declaration, lacks such a column.
        """
        declared = {CLUSTER: (self._data.cluster, pa.string()), WEIGHT: (self._data.weight, _FLOAT)}
        columns = {}
        for name, (source, kind) in declared.items():
            if source is None:
                continue
            is_day = source == DAY and source not in self._data.columns
            if not is_day and not self.has(source):
                raise ValueError(f"its evaluation set has no column {source!r}")
            column = self.table[DAY if is_day else DATA_PREFIX + source]
            columns[name] = column.cast(kind).to_pandas().take(row_positions).reset_index(drop=True)
        return pd.DataFrame(columns, index=pd.RangeIndex(len(row_positions)))

    @cached_property
    def days(self) -> Groups:
        """How the days of their files cut the cases."""
        encoded = self.table[DAY].combine_chunks().dictionary_encode()
        return Groups(encoded.indices.to_numpy(), encoded.dictionary.to_pylist(), declared=False)

    @cached_property
    def _frame(self) -> pd.DataFrame:
        columns = {
            name.removeprefix(DATA_PREFIX): column
            for name, column in zip(self.table.column_names, self.table.columns, strict=True)
            if name.startswith(DATA_PREFIX)
        }
        for name, column in columns.items():
            if pa.types.is_decimal(column.type):
                columns[name] = column.cast(_FLOAT)
        frame: pd.DataFrame = pa.table(columns).to_pandas(types_mapper=_TYPES.get)
        return frame


def case_outputs(
    cases: EvaluatedCases, outputs: pd.DataFrame, row_positions: IntArray
) -> pd.DataFrame:
    """Give label and outputs, beside cluster and weight, names that no declared column has."""
    outputs = outputs.reset_index(drop=True)
    renamed = outputs.set_axis([APART.format(name) for name in outputs], axis="columns")
    return with_dependence(cases, renamed, row_positions)


def with_dependence(
    cases: EvaluatedCases, predictions: pd.DataFrame, row_positions: IntArray
) -> pd.DataFrame:
    """Lay each case's cluster and weight, as far as they are declared, beside its prediction.

    Parameters
    ----------
    cases
        The evaluation set.
    predictions
        One row a case, shape (n, columns); it is not changed.
    row_positions
        The cases' rows in the evaluation set, shape (n,).

    Returns
    -------
    pandas.DataFrame
        With the columns that `dependence_columns` names.
    """
    found = cases.dependence(row_positions).set_axis(predictions.index)
    return pd.concat([predictions, found], axis="columns")


def dependence_columns(data: DataSpec) -> dict[str, Any]:
    """Name the columns of cluster and weight as every function of `evaluator.metrics` takes them.

    Parameters
    ----------
    data
        Where they are declared; without a declaration there are none, and cases are independent.
    """
    declared = {"cluster": (data.cluster, CLUSTER), "weight": (data.weight, WEIGHT)}
    return {key: column for key, (source, column) in declared.items() if source is not None}


def assumptions_of(*, days: int, cluster: str | None, weight: str | None) -> tuple[str, ...]:
    """Say what intervals take for granted of the cases of an evaluation set.

    Parameters
    ----------
    days
        How many days it has.
    cluster, weight
        The columns that the audit declares as such.

    Returns
    -------
    tuple[str, ...]
        Sentences without their full stops. Of the cases of one day there is nothing to say.
    """
    found = []
    if cluster is not None:
        found.append(
            f"cases are clustered by {cluster}: those of one {cluster} may depend on each other,"
            " all others are taken as independent"
        )
    elif days > 1:
        found.append("cases are taken as independent, those of one day too")
    if weight is not None:
        found.append(f"cases are weighted by {weight}")
    return tuple(found)


def columns_needed(spec: AuditSpec) -> list[str]:
    """Name the evaluation set's columns that a scorecard looks at.

    Parameters
    ----------
    spec
        The audit.

    Returns
    -------
    list[str]
        `id`, `label` and `day`, and ``data.<column>`` of each declared column that
        `data.cluster`, `data.weight`, `additional_slices`, `fairness` or `weak_slices` names.
    """
    named = {name for names in spec.additional_slices for name in names}
    if spec.fairness is not None:
        named |= {*spec.fairness.attributes, *spec.fairness.control}
    declared = (spec.data.cluster, spec.data.weight)
    named |= {name for name in declared if name in spec.data.columns}
    if spec.weak_slices is not None:
        named |= set(spec.weak_slices.features)
    return ["id", "label", DAY, *(DATA_PREFIX + name for name in sorted(named))]


def group_name(value: Any) -> str:
    """Write a value; a text that could be read as something else stands in quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    is_plain = text == text.strip() != "" and not any(mark in text for mark in ',="')
    return text if is_plain and text != MISSING else json.dumps(text, ensure_ascii=False)
