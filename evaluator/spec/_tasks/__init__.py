"""The tasks that there are, each in a file of its own."""

from typing import Final

from evaluator.errors import UsageError
from evaluator.spec._columns import ColumnSpec
from evaluator.spec._tasks._binary import BinaryTask, likely_positive
from evaluator.spec._tasks._multiclass import MulticlassTask, classes_of
from evaluator.spec._tasks._ranking import RankingTask
from evaluator.spec._tasks._regression import RegressionTask
from evaluator.spec._tasks._task import (
    ABSTAINED,
    SEVERAL_LABELS,
    UNKNOWN_LABEL,
    AnswersError,
    FoundColumn,
    LabelSpec,
    Likely,
    Loss,
    RecordedColumns,
    Task,
    TaskName,
    numbers_of,
)

__all__ = [
    "ABSTAINED",
    "SEVERAL_LABELS",
    "TASKS",
    "UNKNOWN_LABEL",
    "AnswersError",
    "BinaryTask",
    "FoundColumn",
    "LabelSpec",
    "Likely",
    "Loss",
    "RecordedColumns",
    "Task",
    "TaskName",
    "declared_task",
    "find_task",
    "likely_positive",
    "numbers_of",
    "task_of",
]

TASKS: Final[dict[TaskName, type[Task]]] = {
    task.key: task for task in (BinaryTask, MulticlassTask, RankingTask, RegressionTask)
}


def task_of(
    name: TaskName,
    label: LabelSpec,
    classes: tuple[str, ...] = (),
    limits_level: float | None = None,
) -> Task:
    """Make the task of this name."""
    return TASKS[name](label, classes, limits_level)


def declared_task(
    name: TaskName, label: LabelSpec, column: ColumnSpec, limits_level: float | None = None
) -> Task:
    """Make the task of this name as label and column declare it."""
    has_classes = "classes" in TASKS[name].label_keys
    classes = classes_of(label, column) if has_classes else ()
    return task_of(name, label, classes, limits_level)


def find_task(found: FoundColumn, said: TaskName | None = None) -> tuple[type[Task], Likely | None]:
    """Choose the task that a label's column is of: the first in order that likely is.

    Parameters
    ----------
    found
        The label's column.
    said
        The task that somebody named.

    Returns
    -------
    tuple
        The task, and why it was chosen where nobody named it.

    Raises
    ------
    UsageError
        Where the column can be no label, or none of the task that was named.
    """
    values = found.texts
    if values is not None and len(values) < 2:  # noqa: PLR2004 - whatever is asked
        lacks = f"all its values are {values[0]!r}" if values else "it has no values"
        raise _no_label(found, f"{lacks}, and a label has at least two")
    if said is not None:
        said_lacks = TASKS[said].lacks(found)
        if said_lacks is None:
            return TASKS[said], None
        raise _no_label(found, f"{said_lacks}; so it is no label of a {said} task")
    for task in TASKS.values():
        likely = task.likely(found)
        if likely is not None:
            return task, likely
    if found.is_time:
        raise _no_label(found, f"it is a {found.type}, which is neither class nor number")
    if values is None:
        raise _no_label(found, "it has more different texts than there can be classes")
    raise _no_label(
        found,
        f"its {len(values)} different texts hardly repeat{found.such_as}, so that they are no"
        " classes",
        "; with --task multiclass each is a class all the same",
    )


def _no_label(found: FoundColumn, what: str, more: str = "") -> UsageError:
    return UsageError(
        what,
        culprit=f"--label {found.name}",
        fix="name the column that holds the truth, as one of two values, a class that other rows"
        f" have, too, or a number; a text or a date has to become one of them first{more}",
    )
