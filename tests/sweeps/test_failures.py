"""The n-th operation of the whole engine fails, once or from then on; it goes on without restart (L1-L6)."""

import errno
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_ext.errors import Busy, DataFolderError
from otel_ext.pipeline import Engine, EngineSettings, consumer
from otel_ext.stats import Stats
from otel_ext.testing import CrashableFiles, FailingFiles, ManualClock
from tests.builders import START, looping_run, request, span
from tests.support import findings_set, until
from tests.sweeps.workload import Machine, Outcome, spans_of

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
    *(request(span(4, 4000 + n, session__id="c", note="x" * 900)) for n in range(5)),
    request(*looping_run(3, "a", rounds=4)),
]
SPANS = 23
PATIENT = 20
"""How often a client tries while everything fails, before the disk is mended."""


class Troubled:
    """One engine on a disk of which the n-th operation fails."""

    def __init__(self, folder: Path, nth: int | None, number: int, *, short: bool, lasting: bool) -> None:
        self.folder, self.stats = folder, Stats()
        self.disk = CrashableFiles()
        self.failing = FailingFiles(
            self.disk, fail_at=nth, number=number, short=short, lasting=lasting, forgetful=True
        )

    def live(self) -> Outcome:
        """Start, send everything, close; what the disk holds when the power then goes."""
        engine = self._open()
        engine.start()
        for body in BODIES:
            self._send(engine, body)
        until_quick(lambda: self._seen(engine), "a pause, or everything stored")
        self.failing.heal()
        if not engine.close(over=True):  # the failure met the last checkpoint: the next start reads on
            assert self.failing.fired
            again = self._open()
            again.start()
            assert again.close(over=True)
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
                engine.intake.accept(body)
            except Busy:
                if next(tries) == PATIENT:
                    self.failing.heal()
                return False
            return True

        until_quick(accepted, "the engine to accept again")

    def _seen(self, engine: Engine) -> bool:
        # A failure of the outputs makes no request fail: the pipeline pauses, and this is how it tells.
        if self.failing.lasting and self.stats.get("otel_ext.pipeline.pauses"):
            self.failing.heal()
        ledger = engine.ledger
        return bool(ledger["stored"] + ledger["waiting"] == SPANS)


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


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline tries again after 5 ms instead of a second."""
    monkeypatch.setattr(consumer, "_PAUSE", 0.005)


@pytest.mark.parametrize("stride", [2, pytest.param(1, marks=pytest.mark.long)])
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
    calm = Troubled(ram / "calm", None, number, short=False, lasting=False).live()
    spared = 0
    for nth in itertools.count(1 + number % stride, stride):
        troubled = Troubled(ram / str(nth), nth, number, short=short, lasting=lasting)
        check(troubled.live(), calm)
        points["failure"] += bool(troubled.failing.fired)
        spared = 0 if troubled.failing.fired else spared + 1
        if spared == 3:  # how many operations there are depends on how the threads meet
            break
    assert points["failure"] * stride > 60
