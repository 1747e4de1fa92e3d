"""A door's threads: who waits for one is counted, and beyond a bound nobody more is read."""

import threading

import pytest

from otel_ext.errors import Busy
from otel_ext.receivers.threads import Threads
from tests.support import PATIENCE


def test_too_many_that_wait_are_busy_until_they_are_through() -> None:
    """One runs, two may wait; a third makes it Busy, and with it through there is room again."""
    gate, begun = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return gate.wait(PATIENCE)

    pool = Threads(1, "tests", waiting=2)
    calls = [pool.submit(work)]
    assert begun.wait(PATIENCE)
    calls += [pool.submit(work) for _ in range(2)]
    pool.check()
    calls.append(pool.submit(work))
    with pytest.raises(Busy):
        pool.check()
    gate.set()
    assert all(call.result(PATIENCE) for call in calls)
    pool.check()
    pool.shutdown()
