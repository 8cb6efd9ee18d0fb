"""How an example's files are written: a run may read them while a demo is stopped."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evaluator.evidence import temporary_beside


@contextmanager
def appearing_whole(path: Path) -> Iterator[Path]:
    """Give a name to write a file or folder under, which gets its own if that comes to an end."""
    temporary = temporary_beside(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)
