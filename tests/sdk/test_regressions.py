"""The predecessor's regression table, on the SDK side: one test a row, named after it."""

import threading
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from otel_ext import AgentSpanProcessor, FileSpanExporter, mark_crashed, mark_ended
from tests.bench.sdk import measure
from tests.sdk.agents import names, sessions

DEFAULT = "the process exited before the session completed"


def traced(data: Path) -> tuple[TracerProvider, Tracer]:
    """A provider with our processor."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(AgentSpanProcessor(data))
    return provider, provider.get_tracer("test")


def turn(tracer: Tracer, session: str, tools: int = 1) -> None:
    """One turn of a session."""
    with tracer.start_as_current_span("turn", attributes={"session.id": session}):
        for number in range(tools):
            with tracer.start_as_current_span(f"tool-{number}"):
                pass


def test_burst(tmp_path: Path) -> None:
    """M2, burst: fifty bursts of spans, each written while the one before is processed; nothing lost."""
    provider, tracer = traced(tmp_path)
    for number in range(50):
        turn(tracer, f"s{number}", tools=40)
    provider.shutdown()
    assert names(tmp_path) == {"turn": 50, **{f"tool-{number}": 50 for number in range(40)}}


@pytest.mark.parametrize("trial", range(3))
def test_m3_natural(tmp_path: Path, trial: int) -> None:
    """M3: a large session ends while somebody marks it crashed; the crash stands, whoever was first."""
    provider, tracer = traced(tmp_path)
    with tracer.start_as_current_span("turn", attributes={"session.id": "s"}):
        for number in range(300):
            tracer.start_span("tool", attributes={"n": number, "text": "x" * 5000}).end()
    crash = threading.Thread(target=mark_crashed, args=("s", "killed"))
    end = threading.Thread(target=mark_ended, args=("s",))
    for thread in (crash, end) if trial % 2 else (end, crash):
        thread.start()
    for thread in (crash, end):
        thread.join()
    provider.shutdown()
    row = sessions(tmp_path)["s"]
    assert (row["state"], row["reason"], row["spans"]) == ("crashed", "killed", 301)


def test_shared_exporter(tmp_path: Path) -> None:
    """Sessions A and B share one exporter: A crashes, B goes on and completes."""
    provider, tracer = traced(tmp_path)
    turn(tracer, "a")
    assert mark_crashed("a", "killed")
    turn(tracer, "b")
    provider.shutdown()
    rows = sessions(tmp_path)
    assert (rows["a"]["state"], rows["b"]["state"], rows["b"]["spans"]) == ("crashed", "completed", 2)


@pytest.mark.parametrize(
    "session",
    ["weird:session/with.unsafe:chars", "../../etc/passwd", "x" * 10_000, "a.b", "\N{PILE OF POO}", "nul\0"],
    ids=["unsafe", "traversal", "long", "dot", "emoji", "nul"],
)
def test_id_parity(tmp_path: Path, session: str) -> None:
    """Any id: the mark finds the session under the id that its spans carry, and stays inside the folder."""
    data = tmp_path / "data"
    provider, tracer = traced(data)
    turn(tracer, session)
    assert mark_crashed(session, "killed")
    turn(tracer, session + "2")
    provider.shutdown()
    rows = sessions(data)
    assert (rows[session]["state"], rows[session]["reason"]) == ("crashed", "killed")
    assert rows[session + "2"]["state"] == "completed"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_order_1(tmp_path: Path) -> None:
    """The crash mark first, then the end: crashed."""
    provider, tracer = traced(tmp_path)
    turn(tracer, "s")
    assert mark_crashed("s", "killed")
    assert mark_ended("s", "done")
    provider.shutdown()
    assert sessions(tmp_path)["s"]["state"] == "crashed"


def test_order_2(tmp_path: Path) -> None:
    """The end first, then the crash mark: crashed."""
    provider, tracer = traced(tmp_path)
    turn(tracer, "s")
    assert mark_ended("s", "done")
    assert mark_crashed("s", "killed")
    provider.shutdown()
    assert sessions(tmp_path)["s"]["state"] == "crashed"


def test_no_op(tmp_path: Path) -> None:
    """Nothing was started: marks answer False, shutdown and flush do nothing, no folder appears."""
    assert (mark_crashed("s"), mark_ended("s")) == (False, False)
    provider, _ = traced(tmp_path / "data")
    assert provider.force_flush()
    provider.shutdown()
    exporter = FileSpanExporter(tmp_path / "data")
    exporter.shutdown()
    assert list(tmp_path.iterdir()) == []


def test_default(tmp_path: Path) -> None:
    """A crash without a reason has the default text."""
    provider, tracer = traced(tmp_path)
    turn(tracer, "s")
    assert mark_crashed("s", None)
    provider.shutdown()
    assert sessions(tmp_path)["s"]["reason"] == DEFAULT


def test_repeat(tmp_path: Path) -> None:
    """Several marks: the first reason stays the primary one, the others stand beside it."""
    provider, tracer = traced(tmp_path)
    turn(tracer, "s")
    for reason in ("first", "second", "second", "third"):
        assert mark_crashed("s", reason)
    provider.shutdown()
    assert sessions(tmp_path)["s"]["reason"] == "first; beside it: second; beside it: third"


def test_concurrency(tmp_path: Path) -> None:
    """Ten tracers at once, five shutdowns at once: all good, no cross-talk."""
    provider, _ = traced(tmp_path)
    threads = [
        threading.Thread(target=turn, args=(provider.get_tracer(f"t{n}"), f"s{n}", 20)) for n in range(10)
    ]
    threads += [threading.Thread(target=provider.force_flush) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ends = [threading.Thread(target=provider.shutdown) for _ in range(5)]
    for thread in ends:
        thread.start()
    for thread in ends:
        thread.join()
    provider.shutdown()
    rows = sessions(tmp_path)
    assert {(row["state"], row["spans"]) for row in rows.values()} == {("completed", 21)}
    assert len(rows) == 10


def test_bad_dir(tmp_path: Path) -> None:
    """A folder that cannot be written: nothing raised, the answers say so."""
    (tmp_path / "file").write_text("")
    provider, tracer = traced(tmp_path / "file" / "data")
    turn(tracer, "s")
    assert mark_crashed("s") is False
    assert provider.force_flush(100) is False
    provider.shutdown()


def test_status(tmp_path: Path) -> None:
    """From active to completed, visible on the disk while the process lives."""
    provider, tracer = traced(tmp_path)
    processor = AgentSpanProcessor(tmp_path)
    span = tracer.start_span("turn", attributes={"session.id": "s"})
    turn(tracer, "other")
    journals = b"".join(path.read_bytes() for path in tmp_path.glob("engines/*/journal/*"))
    assert b"turn" in journals
    span.end()
    processor.shutdown()
    provider.shutdown()
    assert sessions(tmp_path)["s"]["state"] == "completed"


def test_perf_gates(tmp_path: Path) -> None:
    """`on_end`, durable, against the stock encoder and a write that is not: a ratio within one run.

    The bound is wide because the machine is shared; `python -m tests.bench.sdk` prints the figures.
    """
    figures = measure(tmp_path, spans=1500)
    assert figures.on_end.p50 < 1.5 * figures.stock.p50
    assert figures.encode.p50 < 0.6 * figures.stock.p50
