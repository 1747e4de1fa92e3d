"""What a power cut does to a file's content and to names: the rules behind `CrashableFiles`.

Law of this file: it promises no more than POSIX does. Of content that was not synced any part may have
reached the disk, in any order of blocks.
"""

import os
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import PurePosixPath
from random import Random

_BLOCK = 16
"""Bytes that get to the disk together; small, so that small tests see holes and torn writes."""


class Node:
    """A file's content as processes see it, and as of its last sync."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.synced = data
        self._forgotten: list[tuple[int, int]] = []

    def sync(self) -> None:
        """Make the content durable, but for what a failed sync forgot: that stays zeros."""
        on_disk = bytearray(self.data)
        for start, end in self._forgotten:
            on_disk[start:end] = bytes(len(on_disk[start:end]))
        self.synced = bytes(on_disk)

    def forget(self) -> None:
        """A sync failed: what was written since the last one will never reach the disk."""
        if len(self.synced) < len(self.data):
            self._forgotten.append((len(self.synced), len(self.data)))

    def truncate(self, size: int) -> None:
        """Cut, or grow with zeros; what is written there anew is not forgotten."""
        self.data = self.data[:size].ljust(size, b"\0")
        self._forgotten = [(start, min(end, size)) for start, end in self._forgotten if start < size]


Names = MutableMapping[str, Node | None]
"""Absolute paths; None is a folder."""


def error_of(number: int, path: str) -> OSError:
    """An error as the operating system would raise it."""
    return OSError(number, os.strerror(number), path)


def parent(path: str) -> str:
    """The folder that holds a name."""
    return str(PurePosixPath(path).parent)


def apply(names: Names, added: Mapping[str, Node | None], removed: Iterable[str]) -> None:
    """Change names: first take away, then add."""
    for path in removed:
        names.pop(path, None)
    names.update(added)


def surviving(node: Node, random: Random | None) -> bytes:
    """What of a file's content is there after a power cut.

    Without `random` only what was synced. With it, of the rest: none, all, a prefix, a prefix and zeros,
    or all with holes of zeros.
    """
    synced, data = node.synced, bytes(node.data)
    if random is None:
        return synced
    if not data.startswith(synced):  # it was cut: before or after
        return random.choice((synced, data))
    tail = data[len(synced) :]
    fate = random.randrange(5)
    if fate == 0 or not tail:
        return synced
    if fate == 1:
        return data
    keep = random.randrange(len(tail) + 1)
    if fate == 2:
        return synced + tail[:keep]
    if fate == 3:
        return synced + tail[:keep] + b"\0" * (len(tail) - keep)
    blocks = (tail[at : at + _BLOCK] for at in range(0, len(tail), _BLOCK))
    return synced + b"".join(each if random.random() < 0.5 else b"\0" * len(each) for each in blocks)
