"""The journal against a plain list, whatever happens in whatever order."""

import contextlib
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from otel_ext.errors import Busy
from otel_ext.journal import Journal, Record, scan
from otel_ext.testing import CrashableFiles, FailingFiles, ManualClock, PowerCut, read_all

WRITING = {"append", "sync", "create", "sync_directory", "remove"}


class JournalMachine(RuleBasedStateMachine):
    """`model` is every acknowledged record from `released` on; `doubt` may or may not be there."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = CrashableFiles()
        self.clock = ManualClock()
        self.model: list[tuple[bytes, int]] = []
        self.doubt: tuple[bytes, int] | None = None
        self.count = 0
        self.may_be_gone = 0
        self.open()

    def open(self) -> None:
        """A new process on the present disk; what is in doubt is decided by what it finds."""
        self.failing = FailingFiles(self.disk, on=WRITING)
        self.journal = Journal.open(self.failing, "/j", clock=self.clock, segment_bytes=350)
        found = self.records()
        if self.doubt is not None and found[-1:] == [self.doubt]:
            self.model.append(self.doubt)
        self.doubt = None

    def records(self) -> list[tuple[bytes, int]]:
        """All records as the model knows them; no loss is ever told."""
        records = read_all(self.journal, max_bytes=200)
        assert all(record.lost_items == 0 for record in records)
        return [(record.payload, record.items) for record in records]

    @rule(size=st.integers(0, 120), items=st.integers(0, 5), step=st.integers(-5, 5))
    def append(self, size: int, items: int, step: int) -> None:
        """An append is acknowledged, or refused and then void after the reopen."""
        self.clock.set(self.clock.now() + step)
        self.count += 1
        record = (b"%d:" % self.count + b"x" * size, items)
        stopped = self.journal.stopped
        try:
            self.journal.append(1, record[0], items=items)
        except Busy:
            assert self.journal.stopped
            if not stopped:
                self.doubt = record
        else:
            assert not stopped
            self.model.append(record)

    @rule(after=st.integers(1, 3), short=st.booleans())
    def break_disk(self, after: int, short: bool) -> None:
        """One of the next writing operations fails."""
        self.failing.fail_at = self.failing.operations + after
        self.failing.short = short

    @rule()
    def reopen(self) -> None:
        """Going on after a stop takes the refused record back for good."""
        try:
            self.journal.reopen()
        except Busy:
            assert self.journal.stopped
        else:
            assert self.journal.stopped is None
            self.doubt = None

    @rule(share=st.floats(0, 1))
    def release(self, share: float) -> None:
        """Releasing removes only what ends before the position."""
        records = read_all(self.journal)
        if not records:
            return
        keep_from = records[min(int(share * len(records)), len(records) - 1)]
        try:
            freed = self.journal.release(keep_from.start)
        except Busy:
            freed = None
        left = read_all(self.journal)
        assert [r for r in left if r.start >= keep_from.start] == [
            r for r in records if r.start >= keep_from.start
        ]
        assert freed is None or bool(freed) >= (len(left) < len(records))
        self.may_be_gone += len(records) - len(left)

    @rule()
    def restart_cleanly(self) -> None:
        """Closing and opening changes nothing."""
        with contextlib.suppress(Busy):
            self.journal.close()
        self.open()

    @rule()
    def kill(self) -> None:
        """A killed process loses nothing that was acknowledged."""
        self.disk = self.disk.restart()
        self.open()

    @rule(seed=st.one_of(st.none(), st.integers(0, 2**32)))
    def cut_power(self, seed: int | None) -> None:
        """Nor does a power cut, whatever survives of the rest."""
        self.disk = self.disk.crash(None if seed is None else Random(seed))
        self.open()

    @precondition(lambda self: self.journal.stopped is None)
    @rule(after=st.integers(1, 4), seed=st.integers(0, 2**32))
    def cut_power_while_appending(self, after: int, seed: int) -> None:
        """The append during which the power went may be there or not."""
        self.disk.crash_at = self.disk.operations + after
        try:
            while True:
                self.append(10, 1, 0)
                if self.journal.stopped is not None:
                    self.disk.crash_at = None
                    return
        except PowerCut:
            assert self.disk.crashed
            self.doubt = (b"%d:" % self.count + b"x" * 10, 1)
        self.disk = self.disk.crash(Random(seed))
        self.open()

    @invariant()
    def reads_as_the_list(self) -> None:
        """What is readable is the newest part of the list, at least all that was not released."""
        found = self.records()
        assert found == self.model[len(self.model) - len(found) :]
        assert len(found) >= len(self.model) - self.may_be_gone

    @invariant()
    def totals(self) -> None:
        """Items are exact, engine time never decreases, sizes are those of the disk, nothing is damaged."""
        if self.journal.stopped is None:
            assert self.journal.items == sum(items for _, items in self.model)
        records: list[Record] = read_all(self.journal)
        assert [r.engine for r in records] == sorted(r.engine for r in records)
        assert self.journal.engine_time >= max((r.engine for r in records), default=0)
        found = scan(self.disk, "/j")
        # A hole in what was never acknowledged may look like damage, where a header was lost beside it.
        for region in (*self.journal.recovery.damaged_regions, *found.damaged_regions):
            assert not region.promised
            assert not region.lost_items
        assert not found.missing_segments
        assert not found.lost_items


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
