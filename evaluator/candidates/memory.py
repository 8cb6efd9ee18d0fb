"""A limit to the memory of a candidate's own process, and the signs that it was met."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_SIGNS: Final = re.compile(
    r"bad_alloc|bad allocation|MemoryError|[Aa]llocate memory|[Mm]emory allocation"
)


def speaks_of_memory(words: str) -> bool:
    """Tell whether an error or a library's last words are about memory that was refused."""
    return bool(_SIGNS.search(words))


def limit_memory(limit: int) -> None:
    """Refuse this process memory beyond what it uses now and the limit.

    Linux counts what the process has for itself and may write to (`VmData`), touched or not; files
    and libraries that are mapped are not counted. Other systems do not hold a process to it.

    Parameters
    ----------
    limit
        Bytes.
    """
    if sys.platform == "linux":
        import resource

        status = Path("/proc/self/status").read_text(encoding="ascii")
        used = int(status.partition("VmData:")[2].split()[0]) * 1024
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = used + limit
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))


@contextmanager
def room_to_speak() -> Iterator[None]:
    """Lift the limit for a while: whoever has no memory left cannot say so."""
    import resource

    allowed, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))
