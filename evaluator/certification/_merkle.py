"""Merkle trees over digests.

Source: RFC 6962, section 2.1.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import Final

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


def leaf_of(content: bytes) -> bytes:
    """Digest what a leaf is made of."""
    return hashlib.sha256(_LEAF + content).digest()


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Give the root over leaves; of none, the digest of nothing."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    row = list(leaves)
    while len(row) > 1:
        row = _row_above(row)
    return row[0]


def tree_paths(leaves: Sequence[bytes], places: Collection[int]) -> dict[int, list[bytes]]:
    """Give the nodes beside the way from each of some leaves to the root, from below."""
    paths: dict[int, list[bytes]] = {place: [] for place in places}
    row, height = list(leaves), 0
    while len(row) > 1:
        for place, path in paths.items():
            beside = (place >> height) ^ 1
            if beside < len(row):
                path.append(row[beside])
        row, height = _row_above(row), height + 1
    return paths


def root_by_path(leaf: bytes, place: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Give the root that a leaf leads to, or None where such a tree has no such path."""
    if not 0 <= place < size:
        return None
    node, last, waiting = leaf, size - 1, list(path)
    while last:
        # A lone node at the end of its row goes up as it is.
        if place % 2 or place < last:
            if not waiting:
                return None
            beside = waiting.pop(0)
            node = _joined(beside, node) if place % 2 else _joined(node, beside)
        place, last = place // 2, last // 2
    return None if waiting else node


def _row_above(row: Sequence[bytes]) -> list[bytes]:
    above = [_joined(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
    return [*above, *row[len(above) * 2 :]]


def _joined(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
