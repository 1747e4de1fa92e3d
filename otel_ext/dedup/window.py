"""Which spans were seen before, and whether they said the same: a window over the latest spans.

Law of this file: the window is a pure function of the sequence of `check` calls. Keys leave strictly in the
order of their first arrival; being seen again neither renews a key nor delays it. What is dumped and loaded,
at any moment, behaves like what was never dumped.

Memory, measured with tracemalloc: about 155 bytes for each key (39 MiB for the default 262,144); rows not
yet taken by `take_block` add 16 bytes each. The window is stated in spans because its bytes hardly vary: a
key that met conflicts keeps at most `MAX_DIGESTS` digests.
"""

import struct
from collections import deque
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from otel_ext.errors import DamageError

KEY_SIZE: Final = 24
DIGEST_SIZE: Final = 16
ROW_SIZE: Final = KEY_SIZE + DIGEST_SIZE

MAX_DIGESTS: Final = 8
"""Digests remembered of one key. Further ones stay conflicts and are not recorded, so that one span id sent
forever with ever new content can neither fill the memory nor keep old blocks alive."""

DEFAULT_CAPACITY: Final = 262_144

# A block: version, index of its first row, then the state after its last row (live_from, evicted), the
# number of rows that are conflicts and their offsets (u32 each), then the rows. A conflict row must be told
# from a first one, as its key may have been evicted since and must not come back by being read.
_HEADER = struct.Struct("<BQQQI")
_VERSION = 1


class Verdict(StrEnum):
    """What `check` found."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """Same key, equal content: a re-delivery."""
    CONFLICT = "conflict"
    """Same key, other content than any seen before."""


_NEW, _DUPLICATE, _CONFLICT = Verdict.NEW, Verdict.DUPLICATE, Verdict.CONFLICT


class Window:
    """The latest `capacity` keys (trace id and span id, 24 bytes) and the digests (16 bytes) they came with.

    Every first arrival and every conflict is a *row*, numbered from 0. `take_block` hands out the rows since
    the last take; a block may be deleted once `block_range(block)[1] <= live_from`. Whoever persists must
    take regularly: rows that nobody takes stay in memory.

    Attributes:
        evicted: keys that left the window.
        first_index: number of the first row that no block holds yet.
        live_from: number of the oldest row that still matters.
    """

    __slots__ = (
        "_conflicts",
        "_conflicts_pending",
        "_order",
        "_pending",
        "_seen",
        "_shrunk",
        "capacity",
        "evicted",
        "first_index",
        "live_from",
    )

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        if capacity < 1:
            raise ValueError("a window holds at least one span")
        self.capacity = capacity
        self.evicted = 0
        self.first_index = 0
        self.live_from = 0
        self._seen: dict[bytes, bytes | tuple[bytes, ...]] = {}
        # A dict's own order would do, but finding its first key gets slow after many deletions.
        self._order = deque[bytes]()
        self._conflicts = deque[int]()  # numbers of live conflict rows, ascending
        self._pending: list[bytes] = []
        self._conflicts_pending: list[int] = []
        self._shrunk = False  # evicted by a load, which the blocks do not say yet

    def __len__(self) -> int:
        """Keys in the window."""
        return len(self._seen)

    @property
    def next_index(self) -> int:
        """Number that the next row will have."""
        return self.first_index + len(self._pending) // 2

    def check(self, key: bytes, digest: bytes) -> Verdict:
        """Look the key up and remember it: NEW, DUPLICATE (equal content) or CONFLICT (other content)."""
        known = self._seen.get(key)
        if known is None:
            self._seen[key] = digest
            self._order.append(key)
            self._pending.append(key)
            self._pending.append(digest)
            if len(self._order) > self.capacity:
                self._evict()
            return _NEW
        if known == digest or (isinstance(known, tuple) and digest in known):
            return _DUPLICATE
        digests = known if isinstance(known, tuple) else (known,)
        if len(digests) == MAX_DIGESTS:
            return _CONFLICT
        self._seen[key] = (*digests, digest)
        self._conflicts.append(self.next_index)
        self._conflicts_pending.append(self.next_index)
        self._pending += (key, digest)
        return _CONFLICT

    def _evict(self) -> None:
        del self._seen[self._order.popleft()]
        self.evicted += 1
        self.live_from += 1
        # On to the oldest key's first row: conflicts before it belong to evicted keys.
        conflicts = self._conflicts
        while conflicts and conflicts[0] <= self.live_from:
            self.live_from = conflicts.popleft() + 1

    def take_block(self) -> bytes | None:
        """Everything recorded since the last take, as one block to append to a store; None if nothing was.

        After a load into a smaller capacity it may hold no rows, only how far the window has moved.
        """
        if not self._pending and not self._shrunk:
            return None
        offsets = [index - self.first_index for index in self._conflicts_pending]
        header = _HEADER.pack(_VERSION, self.first_index, self.live_from, self.evicted, len(offsets))
        block = b"".join((header, struct.pack(f"<{len(offsets)}I", *offsets), *self._pending))
        self.first_index = self.next_index
        self._pending.clear()
        self._conflicts_pending.clear()
        self._shrunk = False
        return block

    @classmethod
    def load(cls, blocks: Iterable[bytes], capacity: int = DEFAULT_CAPACITY) -> "Window":
        """The window as it was when the last of the blocks was taken.

        Blocks come in order and without gaps; those that were wholly evicted may be missing. A smaller
        capacity than before evicts at once, a larger one has room.

        Raises:
            DamageError: a block is malformed, or one is missing.
        """
        kept = [(block, *_opened(block)) for block in blocks]
        window = cls(capacity)
        if not kept:
            return window
        *_, (_, _, live_from, evicted, _, _) = kept
        window.live_from, window.evicted = live_from, evicted
        expected: int | None = None
        for block, first, _, _, offsets, start in kept:
            if first != expected if expected is not None else first > live_from:
                raise DamageError(f"a block of the window is missing before row {first}")
            window._replay(block, first, set(offsets), start)
            expected = first + (len(block) - start) // ROW_SIZE
        assert expected is not None
        window.first_index = expected
        while len(window._order) > capacity:
            window._evict()
            window._shrunk = True
        return window

    def _replay(self, block: bytes, first: int, offsets: set[int], start: int) -> None:
        seen = self._seen
        for number, at in enumerate(range(start, len(block), ROW_SIZE)):
            if first + number < self.live_from:
                continue
            key, digest = block[at : at + KEY_SIZE], block[at + KEY_SIZE : at + ROW_SIZE]
            if number not in offsets:
                seen[key] = digest
                self._order.append(key)
                continue
            self._conflicts.append(first + number)
            if (known := seen.get(key)) is not None:
                seen[key] = (*(known if isinstance(known, tuple) else (known,)), digest)


def block_range(block: bytes) -> tuple[int, int]:
    """(number of a block's first row, number after its last): deletable once the latter is <= live_from."""
    first, _, _, _, start = _opened(block)
    return first, first + (len(block) - start) // ROW_SIZE


def _opened(block: bytes) -> tuple[int, int, int, tuple[int, ...], int]:
    """(first row, live_from, evicted, offsets of conflict rows, where the rows start)."""
    if len(block) < _HEADER.size or block[0] != _VERSION:
        raise DamageError("not a block of the window, or written by a newer version")
    _, first, live_from, evicted, count = _HEADER.unpack_from(block)
    start = _HEADER.size + 4 * count
    rows = len(block) - start
    if rows < 0 or rows % ROW_SIZE:
        raise DamageError("a block of the window is cut")
    offsets = struct.unpack_from(f"<{count}I", block, _HEADER.size)
    if any(offset >= rows // ROW_SIZE for offset in offsets):
        raise DamageError("a block of the window names rows that it does not hold")
    return first, live_from, evicted, offsets, start
