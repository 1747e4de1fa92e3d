"""A door's threads: who waits for one is counted, and beyond a bound nobody more is read."""

import threading

import pytest

from otel_ext.errors import Busy
from otel_ext.receivers.threads import CallThreads, Threads
from tests.support import PATIENCE, until


def test_too_many_that_wait_are_busy_until_they_are_through() -> None:
    """One runs, two may wait; nobody more is read until they are through."""
    gate, begun = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return gate.wait(PATIENCE)

    pool = Threads(1, "tests", waiting=2)
    calls = [pool.submit(work)]
    assert begun.wait(PATIENCE)
    pool.check()
    calls += [pool.submit(work) for _ in range(2)]
    with pytest.raises(Busy):
        pool.check()
    gate.set()
    assert all(call.result(PATIENCE) for call in calls)
    pool.check()
    pool.shutdown()


def test_calls_beyond_the_bound_are_refused_at_once() -> None:
    """One runs, two wait; a fourth is told so while these still do, and afterwards there is room again."""
    gate = threading.Event()
    pool = CallThreads(1, "tests", waiting=2)

    def work() -> bool:
        pool.check()
        return gate.wait(PATIENCE)

    begun = pool.submit(work)
    until(begun.running, "the first to begin")
    calls = [begun, *(pool.submit(work) for _ in range(2))]
    with pytest.raises(Busy) as caught:
        pool.submit(work).result(PATIENCE)
    assert caught.value.retry_after
    assert not any(call.done() for call in calls)
    gate.set()
    assert all(call.result(PATIENCE) for call in calls)
    assert pool.submit(work).result(PATIENCE)
    pool.shutdown()
