"""What candidates say that they were trained on, as it lies there now."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluator.candidates import TrainedOn
from evaluator.errors import IntakeError
from evaluator.evidence import digest_of_file
from evaluator.intake import read_leniently
from evaluator.spec import AuditSpec, TrainingSpec

if TYPE_CHECKING:
    import polars as pl


def describe_training(spec: AuditSpec, root: Path) -> dict[str, Any]:
    """Describe by candidate what bears on which cases it saw in training, as JSON.

    Parameters
    ----------
    spec
        The audit.
    root
        Where relative paths begin.
    """
    return {
        candidate.name: {
            **candidate.training.model_dump(mode="json", exclude={"seen"}),
            "leave_out": candidate.training.seen == "leave_out",
            "features": list(candidate.features),
            "files": _files(candidate.training, root),
        }
        for candidate in spec.candidates
        if candidate.training is not None
    }


def trained_on(spec: AuditSpec, root: Path) -> dict[str, TrainedOn]:
    """Get ready to read by candidate what it was trained on; as `describe_training`."""
    known = {}
    for candidate in spec.candidates:
        if candidate.training is not None:
            files = _files(candidate.training, root)
            absent = [name for name, digest in files.items() if digest is None]
            known[candidate.name] = TrainedOn(
                files={name: digest for name, digest in files.items() if digest is not None},
                rows=_rows(spec, candidate.training, root, list(files)),
                problem=f"{absent[0]}: there is no such file, or nobody may read it"
                if absent
                else None,
            )
    return known


def _rows(
    spec: AuditSpec, training: TrainingSpec, root: Path, names: Sequence[str]
) -> "Iterator[tuple[pl.DataFrame, int]]":
    for name in names:
        try:
            for rows in read_leniently(root / name, spec.data, training.id_columns):
                yield rows.frame, rows.unread
        except IntakeError as error:
            # By the name that is declared, wherever the home is.
            raise IntakeError(error.what, culprit=name, fix=error.fix) from error


def _files(training: TrainingSpec, root: Path) -> Mapping[str, str | None]:
    """Find the files by their names as declared; None is the digest of what cannot be read."""
    names = [name for pattern in training.patterns for name in _matching(pattern, root)]
    return {name: _digest(root / name) for name in dict.fromkeys(names)}


def _matching(pattern: str, root: Path) -> list[str]:
    """List the files that a pattern stands for; where there is none, the pattern itself."""
    folder, slash, name = pattern.rpartition("/")
    named = re.compile(re.escape(name).replace(r"\*", ".*"), re.DOTALL)
    try:
        there = [one.name for one in (root / (folder + slash)).iterdir() if one.is_file()]
    except OSError:
        there = []
    return [folder + slash + one for one in sorted(there) if named.fullmatch(one)] or [pattern]


def _digest(path: Path) -> str | None:
    try:
        found = path.stat()
        return _digest_of(path, found.st_size, found.st_mtime_ns, found.st_ino)
    except OSError:
        return None


@lru_cache(maxsize=1024)
def _digest_of(path: Path, _size: int, _changed: int, _inode: int) -> str:
    return digest_of_file(path)
