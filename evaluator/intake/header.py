"""The file's columns against the declared ones."""

from collections import Counter

from evaluator.intake.source import RefusedFileError
from evaluator.spec.data import DataSpec


class BrokenSchemaError(RefusedFileError):
    """The file's columns are not the declared ones.

    Parameters
    ----------
    message
        What is wrong.
    names
        The file's columns.
    """

    def __init__(self, message: str, names: list[str]) -> None:
        super().__init__(message)
        self.names = names


def match_columns(names: list[str], data: DataSpec) -> dict[str, int]:
    """Find the declared columns in a file.

    Parameters
    ----------
    names
        The file's columns, in order.
    data
        What is declared.

    Returns
    -------
    dict
        From the name of a declared column to its place in the file, from 0; without those that
        the file lacks and may lack.

    Raises
    ------
    BrokenSchemaError
        When a declared column is absent or there twice, or an undeclared one is there that may
        not be.
    """
    declared = data.file_columns
    counts = Counter(names)
    double = [name for name in declared if counts[name] > 1]
    if double:
        raise BrokenSchemaError(
            f"the column {double[0]!r} stands {counts[double[0]]} times in the header", names
        )
    missing = [name for name in declared if name not in counts and not data.columns[name].optional]
    if missing:
        listed = ", ".join(repr(name) for name in missing)
        raise BrokenSchemaError(f"declared columns are not in the file: {listed}", names)
    undeclared = dict.fromkeys(name for name in names if name not in declared)
    if undeclared and data.undeclared_columns == "refuse":
        listed = ", ".join(repr(name) for name in undeclared)
        raise BrokenSchemaError(f"the file has columns that are not declared: {listed}", names)
    return {name: names.index(name) for name in declared if name in counts}
