"""The queue against a list, the hand-over's order on a moody journal, reasons, and open spans."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Span, SpanContext, TraceFlags

from otel_ext.errors import Busy, InvalidRequest
from otel_ext.sdk import live
from otel_ext.sdk.handover import Handover
from otel_ext.sdk.queue import Item, Queue
from otel_ext.sdk.reasons import LONGEST, reason_of
from otel_ext.sdk.recorder import Recorder
from otel_ext.sdk.settings import read
from otel_ext.stats import Stats

BOUND = 5000


def item(name: bytes, size: int = 0, spans: int = 1) -> Item:
    """An item that counts as `size` bytes."""
    return Item("ended", (name,), size or len(name), spans)


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "back"]), st.integers(1, 3000)), max_size=60))
def test_a_queue_is_a_list_with_a_bound(steps: list[tuple[str, int]]) -> None:
    """Order, size and evictions are those of a list that drops its head when it is over the bound."""
    queue, model, evicted, taken = Queue(BOUND), list[Item](), 0, None
    for number, (step, size) in enumerate(steps):
        if step == "put":
            one = item(b"%d" % number, size)
            model.append(one)
            while sum(each.size + 256 for each in model) > BOUND:
                evicted += model.pop(0).spans
            evicted -= queue.put(one)
            taken = None
        elif step == "take" and model:
            taken = queue.take()
            assert taken is model.pop(0)
        elif step == "back" and taken is not None:
            queue.give_back(taken)
            model.insert(0, taken)
            taken = None
        assert len(queue) == len(model)
        assert queue.size == sum(each.size + 256 for each in model)
    assert evicted == 0
    assert queue.clear() == sum(each.spans for each in model)
    assert len(queue) == queue.size == 0


class Moody:
    """Takes what an engine takes, when it likes to."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.took: list[bytes] = []
        self.well = False
        self.own = self.journal = self

    def spans(self, body: bytes, spans: int) -> None:
        """Take it, refuse it for now, or for good."""
        mood = 1.0 if self.well else self.random.random()
        if mood < 0.3:
            raise Busy("not now")
        if body.endswith(b"bad"):
            raise InvalidRequest("never")
        self.took.append(body)

    def sync(self) -> None:
        """Fail now and then."""
        if not self.well and self.random.random() < 0.3:
            raise Busy("not now")


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_each_threads_items_keep_their_order(seed: int, always: bool) -> None:
    """Whatever refuses when: nothing is lost, nothing overtakes, what is bad for good is counted."""
    engine, stats = Moody(seed), Stats()
    handover = Handover(1 << 20, stats, always=always)
    handover.engine = engine  # type: ignore[assignment]
    stop = threading.Event()

    def keep() -> None:
        while not stop.is_set():
            with handover.lock:
                handover.lock.wait(0.001)
            handover.drain()

    def work(thread: int) -> None:
        for number in range(200):
            handover.hand(item(b"%d %d%s" % (thread, number, b" bad" if number % 50 == 7 else b"")))

    keeper = threading.Thread(target=keep)
    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for each in (keeper, *threads):
        each.start()
    for each in threads:
        each.join()
    stop.set()
    keeper.join()
    engine.well = True
    assert handover.drain()
    assert stats.get("otel_ext.sdk.spans.dropped") == 16
    for thread in range(4):
        seen = [int(body.split()[1]) for body in engine.took if int(body.split()[0]) == thread]
        first = list(dict.fromkeys(seen))
        assert sorted(first) == [number for number in range(200) if number % 50 != 7]
        if not always:  # a failed flush hands over again: a duplicate, which the engine knows
            assert seen == first == sorted(first)
    assert Counter(engine.took).most_common(1)[0][1] == 1 or always


def raised(script: str) -> BaseException:
    """The exception that a script ends with."""
    try:
        exec(script, {})
    except Exception as error:  # noqa: BLE001 - whatever the script raises
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("raise ValueError('a')", "ValueError: a"),
        ("raise ValueError", "ValueError"),
        (
            "try:\n  1/0\nfinally:\n  {}['x']",
            "ZeroDivisionError: division by zero; cleanup failed: KeyError: 'x'",
        ),
        ("try:\n  1/0\nexcept Exception:\n  raise ValueError('a') from None", "ValueError: a"),
        (
            "try:\n  1/0\nexcept Exception as e:\n  raise ValueError('a') from e",
            "ValueError: a (caused by ZeroDivisionError: division by zero)",
        ),
        (
            "raise ExceptionGroup('g', [ValueError('a'), KeyError('b')])",
            "ExceptionGroup: g (2 sub-exceptions)",
        ),
        ("class E(Exception):\n  def __str__(self): 1/0\nraise E", "E"),
        ("raise ValueError('x' * 10000)", "ValueError: " + "x" * (LONGEST - 13) + "…"),
    ],
)
def test_reasons(script: str, expected: str) -> None:
    """The first failure leads, what failed after it stands beside it, nothing raises, texts are bounded."""
    assert reason_of(raised(script)).replace("None.", "") == expected


def test_a_chain_of_failures_without_end() -> None:
    """Exceptions that point at one another in a circle, or a very long chain."""
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    assert len(reason_of(first)) <= LONGEST
    error: BaseException = ValueError("0")
    for number in range(1000):
        error, error.__context__ = ValueError(str(number)), None
    assert reason_of(error) == "ValueError: 999"


def opened(count: int) -> tuple[live.Live, list[Span]]:
    """Open spans that are watched."""
    tracer, watched = TracerProvider(shutdown_on_exit=False).get_tracer("x"), live.Live()
    spans: list[Any] = [tracer.start_span(f"{number}") for number in range(count)]
    for span in spans:
        watched.began(span, {})
    return watched, spans


def test_open_spans_are_bounded_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound they are counted, not watched; spans that are dropped unended are not held."""
    monkeypatch.setattr(live, "MOST", 10)
    monkeypatch.setattr(live, "_SEARCH", 0)
    watched, spans = opened(12)
    assert (len(watched), watched.unwatched) == (10, 2)
    del spans[:4]
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("x")
    spans += [tracer.start_span(f"late {number}") for number in range(5)]
    for span in spans[8:]:
        watched.began(span, {})  # type: ignore[arg-type]
    assert (len(watched), watched.unwatched) == (10, 3)
    for span in spans:
        watched.ended(span)  # type: ignore[arg-type]
    assert len(watched) == 0
    assert watched._traces == {}


def test_a_span_has_grown_once_for_each_change() -> None:
    """Attributes, name, status and events; a value that is replaced by an equal one is no change."""
    watched, (span, *_) = opened(3)
    assert list(watched.grown()) == []
    changes: list[Callable[[], None]] = [
        lambda: span.set_attribute("a", 1),
        lambda: span.set_attribute("a", 2),
        lambda: span.update_name("b"),
        lambda: span.add_event("e"),
    ]
    for change in changes:
        change()
        assert [each for _, each in watched.grown()] == [span]
        assert list(watched.grown()) == []
    span.set_attribute("a", 2)
    assert list(watched.grown()) == []


class Interrupting:
    """A door at which a signal handler raises as soon as somebody is in."""

    def __init__(self, door: Any) -> None:
        self.door, self.calm = door, False

    def acquire(self, timeout: float) -> bool:
        """Enter, and be interrupted."""
        entered: bool = self.door.acquire(timeout=timeout)
        if not self.calm:
            raise KeyboardInterrupt
        return entered

    def release(self) -> None:
        """Leave."""
        self.door.release()


def test_an_interrupt_at_the_door_leaves_it_open() -> None:
    """Ctrl-C between entering and what follows it: the item waits in the queue, the door is free."""
    engine, stats = Moody(0), Stats()
    engine.well = True
    handover = Handover(1 << 20, stats, always=False)
    handover.engine = engine  # type: ignore[assignment]
    assert handover.drain()
    door = Interrupting(handover._door)
    handover._door = door  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        handover.hand(item(b"interrupted"))
    free: list[bool] = []
    other = threading.Thread(target=lambda: free.append(door.door.acquire(blocking=False)))
    other.start()
    other.join()
    assert free == [True]


def test_a_span_that_a_signal_handler_ends_inside_the_door_waits() -> None:
    """The journal is not entered twice by one thread; what comes from inside is queued, nothing is slow."""
    stats = Stats()
    handover = Handover(1 << 20, stats, always=False)

    class Handling(Moody):
        def spans(self, body: bytes, spans: int) -> None:
            if body == b"outer":
                assert handover.hand(item(b"inner")) > 0
                assert self.took == []
            super().spans(body, spans)

    engine = Handling(0)
    engine.well = True
    handover.engine = engine  # type: ignore[assignment]
    assert handover.drain()
    assert handover.hand(item(b"outer")) == 0
    assert handover.drain()
    assert engine.took == [b"outer", b"inner"]
    assert stats.get("otel_ext.sdk.disk.slow") == 0


def test_only_spans_with_their_ids_pass_unchecked(tmp_path: Path) -> None:
    """What this process encoded is not decoded again; a span without ids is rejected and counted."""
    recorder = Recorder(read(data=tmp_path, min_free_mib=0))
    named = ReadableSpan("named", SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1)))
    assert recorder.ended((named,))
    assert recorder.ended(
        (ReadableSpan("nameless"), ReadableSpan("zero", SpanContext(0, 0, is_remote=False)))
    )
    assert recorder.close(60.0)
    assert recorder.stats.get("otelcol_receiver_accepted_spans") == 1
    assert recorder.stats.get("otelcol_receiver_refused_spans") == 2
