"""The re-delivery window against a plain model, dumped and loaded at any moment."""

import struct
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from otel_ext.dedup import Verdict, Window, block_range
from otel_ext.dedup.window import MAX_DIGESTS
from otel_ext.errors import DamageError


def key(number: int) -> bytes:
    """A key of 24 bytes."""
    return struct.pack(">24s", b"k%d" % number)


def digest(number: int) -> bytes:
    """A digest of 16 bytes."""
    return struct.pack(">16s", b"d%d" % number)


class WindowMachine(RuleBasedStateMachine):
    """The window beside a dict and a list."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window(1)
        self.order: list[bytes] = []
        self.seen: dict[bytes, list[bytes]] = {}
        self.evicted = 0
        self.blocks: list[bytes] = []

    @initialize(capacity=st.integers(1, 5))
    def start(self, capacity: int) -> None:
        """Any small capacity."""
        self.window = Window(capacity)

    @rule(k=st.integers(0, 7), d=st.integers(0, 12))
    def check(self, k: int, d: int) -> None:
        """The verdict is the model's."""
        assert self.window.check(key(k), digest(d)) is self.expected(key(k), digest(d))

    def expected(self, k: bytes, d: bytes) -> Verdict:
        """What the model says, and its change."""
        if k not in self.seen:
            self.seen[k] = [d]
            self.order.append(k)
            if len(self.order) > self.window.capacity:
                del self.seen[self.order.pop(0)]
                self.evicted += 1
            return Verdict.NEW
        if d in self.seen[k]:
            return Verdict.DUPLICATE
        if len(self.seen[k]) < MAX_DIGESTS:
            self.seen[k].append(d)
        return Verdict.CONFLICT

    @rule()
    def take(self) -> None:
        """Blocks follow one another without a gap, and those wholly evicted are dropped."""
        first = self.window.first_index
        block = self.window.take_block()
        assert block is not None or first == self.window.next_index
        if block is not None:
            assert block_range(block) == (first, self.window.next_index)
            self.blocks.append(block)
        self.blocks = [b for b in self.blocks if block_range(b)[1] > self.window.live_from]

    @rule()
    def reload(self) -> None:
        """A window dumped and loaded is the same window."""
        self.take()
        before = self.window
        self.window = Window.load(self.blocks, before.capacity)
        for name in ("evicted", "first_index", "next_index", "live_from"):
            assert getattr(self.window, name) == getattr(before, name), name

    @rule(capacity=st.integers(1, 5))
    def resize(self, capacity: int) -> None:
        """A load into another capacity keeps the newest keys."""
        self.take()
        self.window = Window.load(self.blocks, capacity)
        while len(self.order) > capacity:
            del self.seen[self.order.pop(0)]
            self.evicted += 1

    @invariant()
    def counts_agree(self) -> None:
        """Length and evictions are the model's."""
        assert len(self.window) == len(self.seen)
        assert self.window.evicted == self.evicted
        assert self.window.live_from <= self.window.next_index


TestWindow: Any = WindowMachine.TestCase
TestWindow.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_being_seen_again_does_not_keep_a_key() -> None:
    """Eviction is by first arrival: what a duplicate says changes nothing."""
    window = Window(2)
    window.check(key(1), digest(1))
    window.check(key(2), digest(1))
    assert window.check(key(1), digest(1)) is Verdict.DUPLICATE
    window.check(key(3), digest(1))
    assert window.check(key(2), digest(1)) is Verdict.DUPLICATE
    assert window.check(key(1), digest(1)) is Verdict.NEW
    assert window.evicted == 2


def test_a_conflict_row_does_not_bring_an_evicted_key_back() -> None:
    """A conflict recorded after its key's block, of a key evicted since, is not taken for a first arrival."""
    window = Window(2)
    blocks = []
    for k, d in ((1, 1), (2, 1), (1, 2), (3, 1)):
        window.check(key(k), digest(d))
        blocks.append(window.take_block() or b"")
    assert window.live_from == 1
    loaded = Window.load(blocks[1:], 2)
    assert loaded.check(key(1), digest(2)) is Verdict.NEW


def test_one_key_with_ever_new_content_stays_small() -> None:
    """Conflicts beyond the limit are told but not recorded."""
    window = Window(4)
    verdicts = [window.check(key(1), digest(n)) for n in range(1000)]
    assert verdicts.count(Verdict.CONFLICT) == 999
    assert window.next_index == MAX_DIGESTS


def test_damaged_blocks_are_named() -> None:
    """A cut block, a foreign one, a missing one and a newer version raise DamageError."""
    window = Window(4)
    blocks = []
    for n in range(3):
        window.check(key(n), digest(n))
        blocks.append(window.take_block() or b"")
    for bad in (
        [blocks[0][:-1]],
        [b""],
        [b"\x02" + blocks[0][1:]],
        [blocks[0], blocks[2]],
        [blocks[1], blocks[2]],
        [blocks[0][:25] + b"\xff\xff\xff\xff" + blocks[0][29:]],
    ):
        with pytest.raises(DamageError):
            Window.load(bad, 4)


def test_an_empty_window_has_nothing_to_take() -> None:
    """No rows, no block; loading nothing gives an empty window; a capacity of zero is refused."""
    window = Window.load([], 3)
    window.check(key(1), digest(1))
    assert window.take_block() is not None
    window.check(key(1), digest(1))
    assert window.take_block() is None
    with pytest.raises(ValueError, match="at least one"):
        Window(0)
