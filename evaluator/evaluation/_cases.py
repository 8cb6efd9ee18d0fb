"""The evaluation set's declared columns, read once and laid beside any candidate's predictions."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from evaluator.scorecard import DATA_PREFIX
from evaluator.spec import DAY, AuditSpec, ColumnSpec

MISSING = "(missing)"
"""The group of the cases without a value."""
# What stands beside declared columns, none of which can be called so.
LABEL, SCORE, PREDICTION, CLUSTER = " label", " score", " prediction", " cluster"

IntArray = NDArray[np.intp]
# Whole numbers and truth values stay what they are where some are missing.
_TYPES = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}


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
    columns
        The audit's declared columns.
    """

    def __init__(self, table: pa.Table, columns: Mapping[str, ColumnSpec]) -> None:
        self.table = table
        self._columns = columns
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
        declared = self._columns[name]
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
        names = [group_name(value) for value in values]
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

    def clusters(self, name: str, row_positions: IntArray) -> "pd.Series[str]":
        """Say which cases depend on each other.

        Parameters
        ----------
        name
            A declared column, or ``day`` where none has that name.
        row_positions
            The cases' rows in the evaluation set, shape (n,).

        Returns
        -------
        pandas.Series
            Each case's cluster, shape (n,); a case without a value is one by itself.
        """
        is_day = name == DAY and name not in self._columns
        column = self.table[DAY if is_day else DATA_PREFIX + name]
        values = column.cast(pa.string()).to_pandas()
        alone = values.isna()
        own = "the case " + pd.Series(self._index[alone].astype(str), index=values.index[alone])
        filled = values.astype("str").where(~alone, own)
        taken: pd.Series[str] = filled.take(row_positions).reset_index(drop=True)
        return taken

    @cached_property
    def _frame(self) -> pd.DataFrame:
        columns = {
            name.removeprefix(DATA_PREFIX): column
            for name, column in zip(self.table.column_names, self.table.columns, strict=True)
            if name.startswith(DATA_PREFIX)
        }
        for name, column in columns.items():
            if pa.types.is_decimal(column.type):
                columns[name] = column.cast(pa.float64())
        frame: pd.DataFrame = pa.table(columns).to_pandas(types_mapper=_TYPES.get)
        return frame


def case_outputs(predictions: pd.DataFrame) -> pd.DataFrame:
    """Take label, score and prediction under names that no declared column has."""
    outputs = predictions[["label", "score", "prediction"]].reset_index(drop=True)
    return outputs.set_axis([LABEL, SCORE, PREDICTION], axis="columns")


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
        `additional_slices`, `fairness`, `compare` or `weak_slices` names.
    """
    named = {name for names in spec.additional_slices for name in names}
    if spec.fairness is not None:
        named |= {*spec.fairness.attributes, *spec.fairness.control}
    clusters = [found.cluster for found in (spec.compare, spec.weak_slices) if found is not None]
    named |= {name for name in clusters if name in spec.data.columns}
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
