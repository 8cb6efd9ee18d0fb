"""The tasks that there are, each in a file of its own."""

from typing import Final

from evaluator.spec._columns import ColumnSpec
from evaluator.spec._tasks._binary import BinaryTask
from evaluator.spec._tasks._multiclass import MulticlassTask, classes_of
from evaluator.spec._tasks._ranking import RankingTask
from evaluator.spec._tasks._regression import RegressionTask
from evaluator.spec._tasks._task import (
    ABSTAINED,
    UNKNOWN_LABEL,
    AnswersError,
    LabelSpec,
    Loss,
    RecordedColumns,
    Task,
    TaskName,
    numbers_of,
)

__all__ = [
    "ABSTAINED",
    "TASKS",
    "UNKNOWN_LABEL",
    "AnswersError",
    "BinaryTask",
    "LabelSpec",
    "Loss",
    "RecordedColumns",
    "Task",
    "TaskName",
    "declared_task",
    "numbers_of",
    "task_of",
]

TASKS: Final[dict[TaskName, type[Task]]] = {
    task.key: task for task in (BinaryTask, MulticlassTask, RankingTask, RegressionTask)
}


def task_of(name: TaskName, label: LabelSpec, classes: tuple[str, ...] = ()) -> Task:
    """Make the task of this name."""
    return TASKS[name](label, classes)


def declared_task(name: TaskName, label: LabelSpec, column: ColumnSpec) -> Task:
    """Make the task of this name as label and column declare it."""
    return task_of(name, label, classes_of(label, column))
