"""The n-th operation of the whole engine fails, once or from then on; it goes on without restart (L1-L6)."""

import errno
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from otel_ext.errors import Busy, DataFolderError
from otel_ext.journal import Position, Record
from otel_ext.pipeline import Engine, EngineSettings, consumer
from otel_ext.sessions import Catalog
from otel_ext.stats import Stats
from otel_ext.testing import CrashableFile, CrashableFiles, FailingFiles, ManualClock
from otel_ext.testing.failing_files import OPERATIONS
from tests.builders import START, log, logs, looping_run, metrics, request, series, span, telemetry_of
from tests.support import findings_set, until
from tests.sweeps.workload import Machine, Outcome, others_of, spans_of

SETTINGS = EngineSettings(
    idle_timeout=300.0,
    hold=0.02,
    min_free=0,
    checkpoint_interval=0.0,
    file_bytes=3000,
    segment_bytes=2500,
)
BODIES = [
    request(*looping_run(1, "a", rounds=4)),
    request(*(span(9, 9000 + n, parent=9000 if n else 0) for n in range(3))),
    request(*looping_run(2, "b", rounds=4)),
    logs(*(log(f"{n}", session__id="abc"[n % 3]) for n in range(5))),
    *(request(span(4, 4000 + n, session__id="c", note="x" * 900)) for n in range(5)),
    metrics(series("m", 1, 2, 3)),
    request(*looping_run(3, "a", rounds=4)),
]
SPANS = 23
PATIENT = 20
"""How often a client tries while everything fails, before the disk is mended."""


class Stubborn(CrashableFiles):
    """A disk whose cache is not dropped on request, as when somebody has mapped the file."""

    def open(self, path: str, *, read_only: bool = False) -> CrashableFile:
        """See `Files.open`."""
        file = super().open(path, read_only=read_only)
        setattr(file, "settle", lambda start=0: file.sync())  # noqa: B010 - a method of one object
        return file


class Troubled:
    """One engine on a disk of which the n-th operation fails.

    Attributes:
        restarts: how often the engine had to be started again.
    """

    def __init__(
        self,
        folder: Path,
        nth: int | None,
        number: int,
        *,
        short: bool = False,
        lasting: bool = False,
        disk: CrashableFiles | None = None,
        on: Collection[str] = OPERATIONS,
    ) -> None:
        self.folder, self.stats, self.restarts = folder, Stats(), 0
        self.disk = disk or CrashableFiles()
        self.failing = FailingFiles(
            self.disk, fail_at=nth, number=number, short=short, lasting=lasting, forgetful=True, on=on
        )

    def live(self) -> Outcome:
        """Start, send everything, close; what the disk holds when the power then goes."""
        engine = self._open()
        engine.start()
        for body in BODIES:
            self._send(engine, body)
        catalog = Catalog(self.folder / "engines/main/catalog.sqlite", read_only=True)
        until_quick(lambda: self._saved(catalog), "everything to be in a checkpoint")
        catalog.close()
        closed = engine.close(over=True)
        self.restarts += not closed
        if self.failing.fired:
            # Where the failure met the end, what was to be said there is said by the next start.
            self.failing.heal()
            again = self._open()
            again.start()
            assert again.close(over=True)
        assert closed or self.failing.fired
        return Machine(self.folder, self.disk.crash(), ()).outcome()

    def _open(self) -> Engine:
        """An engine; who is told that it cannot start tries again."""
        for _ in range(2):
            try:
                return Engine(self.folder, SETTINGS, files=self.failing, stats=self.stats)
            except (DataFolderError, Busy):
                assert self.failing.fired
                self.failing.heal()
        raise AssertionError("a healthy disk was refused")

    def _send(self, engine: Engine, body: bytes) -> None:
        """Send until it is accepted; the disk is mended when the client has had enough."""
        tries = itertools.count(1)

        def accepted() -> bool:
            try:
                engine.intake.accept(body, telemetry_of(body))
            except Busy:
                if next(tries) == PATIENT:
                    self.failing.heal()
                return False
            return True

        until_quick(accepted, "the engine to accept again")

    def _saved(self, catalog: Catalog) -> bool:
        """Whether a checkpoint holds everything; the disk is mended once the pipeline has paused."""
        # A failure of the outputs makes no request fail: the pipeline pauses, and this is how it tells.
        if self.failing.lasting and self.stats.get("otel_ext.pipeline.pauses"):
            self.failing.heal()
        return bool(catalog.meta().get("ledger", {}).get("received") == SPANS)


def until_quick(condition: Callable[[], bool], what: str) -> None:
    """As `until`, looking every millisecond at first: there are hundreds of points."""
    pause = threading.Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.001)
    until(condition, what)


def check(found: Outcome, calm: Outcome) -> None:
    """Nothing accepted was lost or doubled; findings are those of a healthy disk."""
    assert found.report["damage"] == []
    assert Counter(spans_of(found.files).values()) == {1: SPANS}
    assert (found.ledger["stored"], found.ledger["lost"], found.ledger["waiting"]) == (SPANS, {}, 0)
    assert others_of(found.files) == Counter([*"01234", "m=1", "m=2", "m=3"])
    assert (found.ledger["logs"]["stored"], found.ledger["metrics"]["stored"]) == (5, 3)
    assert findings_set(found.findings) == findings_set(calm.findings)


def test_a_disk_that_cannot_be_looked_at_is_no_error_of_the_client(ram: Path) -> None:
    """The look at the free space fails: the door answers Busy, and takes the next try."""
    clock = ManualClock(START)
    failing = FailingFiles(CrashableFiles(), on={"free_bytes"})
    engine = Engine(ram, SETTINGS, files=failing, clock=clock)
    failing.fail_at = failing.operations + 1
    clock.advance(10**9)
    with pytest.raises(Busy, match="cannot be looked at"):
        engine.intake.accept(BODIES[0])
    assert engine.intake.accept(BODIES[0]).received == 5
    engine.abandon()


def test_what_was_accepted_before_the_stop_is_processed(ram: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that comes between the pipeline's look at the journal and its stop is not left behind."""
    engine = Engine(ram, SETTINGS, files=CrashableFiles())
    read = engine.journal.read

    def overtaken(after: Position, most: int) -> list[Record]:
        records = read(after, most)
        if not engine.ledger["received"] and not records and engine.journal.items == 0:
            engine.intake.accept(BODIES[0])
            engine._consumer.stop()
        return records

    monkeypatch.setattr(engine.journal, "read", overtaken)
    while engine.step():
        pass
    assert engine.ledger["received"] == 5
    engine.abandon()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline tries again after 5 ms instead of a second."""
    monkeypatch.setattr(consumer, "_PAUSE", 0.005)


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize(
    ("number", "short"),
    [(errno.EIO, False), (errno.ENOSPC, False), (errno.ENOSPC, True)],
    ids=["EIO", "ENOSPC", "short"],
)
@pytest.mark.usefixtures("hasty")
def test_every_operation_fails(
    ram: Path, points: Counter[str], number: int, stride: int, *, short: bool, lasting: bool
) -> None:
    """Whatever operation fails, and however, everything accepted is stored once, without a restart."""
    calm = Troubled(ram / "calm", None, number).live()
    spared = 0
    for nth in itertools.count(1 + number % stride, stride):
        troubled = Troubled(ram / str(nth), nth, number, short=short, lasting=lasting)
        check(troubled.live(), calm)
        points["failure"] += bool(troubled.failing.fired)
        spared = 0 if troubled.failing.fired else spared + 1
        if spared == 3:  # how many operations there are depends on how the threads meet
            break
    assert points["failure"] * stride > 50


@pytest.mark.usefixtures("hasty")
def test_a_failed_sync_is_not_believed_by_who_saw_it(ram: Path, points: Counter[str]) -> None:
    """Even where the cache cannot be dropped: what it shows beyond the checkpoint is cut and written anew."""
    calm = Troubled(ram / "calm", None, errno.EIO).live()
    lived = 0
    for nth in range(1, 60):
        troubled = Troubled(ram / str(nth), nth, errno.EIO, disk=Stubborn(), on={"sync"})
        found = troubled.live()
        points["failure"] += bool(troubled.failing.fired)
        if troubled.failing.fired and not troubled.restarts:  # the next process cannot know
            check(found, calm)
            lived += bool(troubled.stats.get("otel_ext.pipeline.pauses"))
    assert lived > 3
