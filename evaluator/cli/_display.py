"""What a command shows while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from evaluator.orchestration import Advance, Display


@contextmanager
def progress_display(*, quiet: bool = False) -> Iterator["Display"]:
    """Show what runs, what is left, and how long each part took; where quiet, nothing."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[note]}", style="dim"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        display = _RichDisplay(progress)
        yield display
        display.close()


class _RichDisplay:
    """A row for each stage, from its announcement on."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._rows: dict[str, TaskID] = {}

    def plan(self, *stages: str) -> None:
        for name in stages:
            self._rows[name] = self._progress.add_task(name, total=1, start=False, note="to come")

    @contextmanager
    def stage(self, name: str, parts: int) -> Iterator["Advance"]:
        if name not in self._rows:
            self.plan(name)
        row = self._rows[name]
        count = f"{parts} parts" if parts > 1 else ""
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            self._progress.update(row, note=f"{done} of {count}")

        self._progress.start_task(row)
        self._progress.update(row, completed=0, note=f"running {count}")
        yield advance
        self._progress.update(row, completed=1, note=count)

    def close(self) -> None:
        for row in self._rows.values():
            if not self._progress.tasks[row].finished:
                self._progress.update(row, completed=1, note="up to date")
