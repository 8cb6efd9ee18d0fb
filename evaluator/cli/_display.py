"""What a command shows while it runs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from evaluator.orchestration import Advance, Display

_NOT_ALL: Final = "not all of it succeeded"


@contextmanager
def progress_display(*, quiet: bool = False) -> Iterator["Display"]:
    """Show what runs, what is left, and how long each part took; where quiet, nothing.

    Without a terminal it is a line a stage, when its end is known.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    # Rich would take a log for a terminal where it is told to use colours.
    if not (quiet or sys.stderr.isatty()):
        plain = _PlainDisplay()
        try:
            yield plain
        finally:
            plain.close()
        return
    columns = (
        SpinnerColumn(finished_text=""),
        TextColumn("{task.fields[sign]}"),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        display = _RichDisplay(progress)
        try:
            yield display
        finally:
            display.close()


class _RichDisplay:
    """A row for each stage, from its announcement on."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._rows: dict[str, TaskID] = {}
        self._failed: set[str] = set()

    def plan(self, *stages: str) -> None:
        for name in stages:
            self._rows[name] = self._progress.add_task(
                name, total=1, start=False, note="to come", sign=""
            )

    @contextmanager
    def stage(self, name: str, parts: int, thing: str) -> Iterator["Advance"]:
        from evaluator.certification import format_count

        if name not in self._rows:
            self.plan(name)
        row = self._rows[name]
        count = format_count(parts, thing)
        left = parts

        def advance() -> None:
            nonlocal left
            left -= 1
            self._progress.update(row, note=f"{left} of {count} left")

        self._progress.start_task(row)
        self._progress.update(row, completed=0, note=f"{count} left", sign="")
        try:
            yield advance
        except BaseException:
            self._progress.update(row, completed=1, note="stopped", sign="-")
            raise
        self._progress.update(row, completed=1, note=count, sign="[green]✓[/]")
        if name in self._failed:
            self.fail(name)

    def fail(self, name: str) -> None:
        # A stage may go on in parts, and what failed in one stays so.
        self._failed.add(name)
        self._progress.update(self._rows[name], note=_NOT_ALL, sign="[red]✗[/]")

    def skip(self, name: str, why: str) -> None:
        row = self._rows.get(name)
        if row is not None and not self._progress.tasks[row].started:
            # What never began would go on turning.
            self._progress.start_task(row)
            self._progress.update(row, completed=1, note=why, sign="-")

    def close(self) -> None:
        for name in self._rows:
            self.skip(name, "not begun")


class _PlainDisplay:
    """A line a stage, for logs: when another one begins, since a stage may go on in parts."""

    def __init__(self) -> None:
        self._planned: list[str] = []
        self._taken: dict[str, float] = {}
        self._ended: dict[str, str] = {}
        self._failed: set[str] = set()

    def plan(self, *stages: str) -> None:
        self._planned += stages

    @contextmanager
    def stage(self, name: str, parts: int, thing: str) -> Iterator["Advance"]:
        from evaluator.certification import format_count

        self._tell(but=name)
        began = monotonic()
        self._taken.setdefault(name, 0.0)
        try:
            yield lambda: None
        except BaseException:
            self._ended[name] = f"{name}: stopped"
            raise
        self._taken[name] = self._taken[name] + monotonic() - began
        self._ended[name] = f"{name}: {format_count(parts, thing)}, {self._taken[name]:.1f} s"

    def fail(self, name: str) -> None:
        self._failed.add(name)

    def skip(self, name: str, why: str) -> None:
        if name in self._planned and name not in self._taken:
            self._tell()
            self._taken[name] = 0.0
            typer.echo(f"{name}: {why}", err=True)

    def close(self) -> None:
        self._tell()
        for name in self._planned:
            self.skip(name, "not begun")

    def _tell(self, *, but: str = "") -> None:
        for name in [name for name in self._ended if name != but]:
            failed = f", {_NOT_ALL}" if name in self._failed else ""
            typer.echo(f"{self._ended.pop(name)}{failed}", err=True)
