"""The pipeline rests while requests are inside, and never for ever."""

import threading
from pathlib import Path

import msgspec
import pytest

from otel_ext.files import RealFiles
from otel_ext.journal import Journal
from otel_ext.pipeline import EngineSettings
from otel_ext.pipeline.giveway import GiveWay
from otel_ext.testing import ManualClock

MS = 1_000_000


class Naps(threading.Event):
    """A stop event that nobody sets: waiting on it lets the clock go on and is noted."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.naps: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep by the clock."""
        assert timeout is not None
        self.naps.append(timeout)
        self._clock.advance(round(timeout * 1e9))
        return self.is_set()


class Made:
    """A `GiveWay`, its clock, and what it is told of requests."""

    def __init__(self, folder: Path, **changes: float) -> None:
        self.clock = ManualClock()
        self.stop = Naps(self.clock)
        self.pressing = [0.0]
        self.journal = Journal.open(RealFiles(), str(folder))
        settings = msgspec.structs.replace(EngineSettings(give_way=4.0), **changes)
        self.way = GiveWay(self.journal, settings, self._pressing, clock=self.clock, stop=self.stop)

    def _pressing(self) -> float:
        return self.pressing.pop(0) if len(self.pressing) > 1 else self.pressing[0]

    def rested(self, worked: int) -> int:
        """Work so many ns; how many ns of rest follow."""
        self.way.begin()
        self.clock.advance(worked)
        before = self.clock.monotonic()
        self.way.rest()
        return self.clock.monotonic() - before


def test_no_rest_while_nobody_is_inside(tmp_path: Path) -> None:
    """Work goes on at full speed where no request waits."""
    assert Made(tmp_path).rested(50 * MS) == 0


@pytest.mark.parametrize("pressing", [1.0, 0.5])
def test_a_rest_is_a_multiple_of_the_work_before_it(tmp_path: Path, pressing: float) -> None:
    """However long requests are inside, the pipeline has its share; a bigger one when more waits."""
    made = Made(tmp_path)
    made.pressing = [pressing]
    assert made.rested(10 * MS) == pytest.approx(40 * MS * pressing, abs=MS)


def test_short_work_needs_no_rest(tmp_path: Path) -> None:
    """Work is gathered until a rest is worth its cost, and then counts as a whole."""
    made = Made(tmp_path)
    made.pressing = [1.0]
    assert made.rested(MS) == 0
    made.clock.advance(MS)
    made.way.rest()
    assert len(made.stop.naps) == pytest.approx(8, abs=1)


def test_a_rest_ends_when_no_request_is_about(tmp_path: Path) -> None:
    """One that has been answered is not waited for, but one that came meanwhile is."""
    made = Made(tmp_path)
    made.pressing = [1.0, 0.0]
    assert made.rested(50 * MS) == MS
    made.pressing = [1.0, 0.0]
    wait = made.stop.wait
    made.stop.wait = lambda timeout=None: made.journal.append(1, b"x") is None or wait(timeout)  # type: ignore[method-assign]
    assert made.rested(50 * MS) == pytest.approx(200 * MS, abs=MS)


def test_a_stop_ends_every_rest(tmp_path: Path) -> None:
    """Who must end does not rest first."""
    made = Made(tmp_path)
    made.pressing = [1.0]
    made.stop.set()
    assert made.rested(50 * MS) == 0


def test_a_guest_takes_a_breath_whoever_is_there(tmp_path: Path) -> None:
    """In somebody else's process the interpreter is let go of after each piece of work."""
    made = Made(tmp_path, give_way=0.0, breath=0.000_05)
    assert made.rested(MS // 10) == 0
    assert made.rested(MS) == 50_000
