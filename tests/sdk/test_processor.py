"""The processor and the exporter inside one process: what they take, share, refuse and count."""

import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import Tracer

import otel_ext
from otel_ext import AgentSpanProcessor, FileSpanExporter, mark_crashed
from otel_ext.errors import ConfigError
from otel_ext.sdk import registry, warn
from tests.sdk.agents import keys, names, sessions, spans, unfinished
from tests.support import PATIENCE


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Every test gets its warnings, and leaves no recorder behind."""
    warn._last.clear()
    yield
    assert registry.recorders() == []


def traced(*processors: Any, **options: Any) -> tuple[TracerProvider, Tracer]:
    """A provider with these processors, and a tracer of it."""
    provider = TracerProvider(shutdown_on_exit=False, **options)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider, provider.get_tracer("test")


def test_spans_come_to_files(tmp_path: Path) -> None:
    """The simplest use: one line, and sessions are there after shutdown."""
    provider, tracer = traced(AgentSpanProcessor(tmp_path))
    with (
        tracer.start_as_current_span("turn", attributes={"session.id": "s"}),
        tracer.start_as_current_span("x"),
    ):
        pass
    provider.shutdown()
    assert names(tmp_path) == {"turn": 1, "x": 1}
    assert sessions(tmp_path)["s"]["state"] == "completed"


def test_each_span_is_in_the_kernel_when_on_end_returns(tmp_path: Path) -> None:
    """The bytes can be read from the journal's file at once, before any flush."""
    provider, tracer = traced(AgentSpanProcessor(tmp_path))
    for number in range(20):
        tracer.start_span(f"span-{number}").end()
        journal = b"".join(path.read_bytes() for path in tmp_path.glob("engines/*/journal/*"))
        assert journal.count(b"span-%d" % number) >= 2  # its start and its end
    provider.shutdown()


class Partly(Sampler):
    """Records everything and samples nothing."""

    def should_sample(self, *arguments: Any, **keywords: Any) -> SamplingResult:
        """Record, do not sample."""
        return SamplingResult(Decision.RECORD_ONLY)

    def get_description(self) -> str:
        """Its name."""
        return "partly"


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, Partly()], ids=["off", "record-only"])
def test_unsampled_spans_are_ignored(tmp_path: Path, sampler: Sampler) -> None:
    """They cost nothing: not even the data folder is made."""
    provider, tracer = traced(AgentSpanProcessor(tmp_path / "data"), sampler=sampler)
    tracer.start_span("x").end()
    assert provider.force_flush()
    provider.shutdown()
    assert not (tmp_path / "data").exists()


def test_the_processor_and_the_exporter_share_one_engine(tmp_path: Path) -> None:
    """Each span is handed over once, whichever of them sees it first; the last one closes the engine."""
    for order in ((0, 1, 2), (2, 1, 0)):
        data = tmp_path / str(order[0])
        processors = [
            SimpleSpanProcessor(FileSpanExporter(data)),
            AgentSpanProcessor(data),
            BatchSpanProcessor(FileSpanExporter(data)),
        ]
        provider, tracer = traced(*[processors[n] for n in order])
        for number in range(50):
            tracer.start_span(f"span-{number}").end()
        assert provider.force_flush()
        (recorder,) = registry.recorders()
        assert recorder.stats.get("otel_ext.sdk.spans.journalled") == 50
        provider.shutdown()
        assert set(names(data).values()) == {1}
        assert len(names(data)) == 50
        assert len(list(data.glob("engines/*"))) == 1


def test_the_exporter_alone(tmp_path: Path) -> None:
    """SUCCESS once the batch is in the journal; FAILURE after shutdown."""
    exporter = FileSpanExporter(tmp_path)
    provider, tracer = traced(BatchSpanProcessor(exporter))
    for number in range(1000):
        tracer.start_span(f"span-{number % 7}").end()
    assert provider.force_flush()
    memory = InMemorySpanExporter()
    provider.shutdown()
    assert sum(names(tmp_path).values()) == 1000
    other, tracer = traced(SimpleSpanProcessor(memory))
    tracer.start_span("late").end()
    assert exporter.export(memory.get_finished_spans()) is SpanExportResult.FAILURE
    exporter.shutdown()
    other.shutdown()


def test_ten_threads_and_two_providers(tmp_path: Path) -> None:
    """Nothing is lost, doubled or mixed between sessions; two processors on one folder share it."""
    pairs = [traced(AgentSpanProcessor(tmp_path)) for _ in range(2)]

    def work(number: int) -> None:
        tracer = pairs[number % 2][1]
        with tracer.start_as_current_span("turn", attributes={"session.id": f"s{number}"}):
            for step in range(100):
                with tracer.start_as_current_span(f"{number}-{step}"):
                    pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for provider, _ in pairs:
        provider.shutdown()
    assert names(tmp_path) == {"turn": 10, **{f"{n}-{s}": 1 for n in range(10) for s in range(100)}}
    rows = sessions(tmp_path)
    assert {name: (row["state"], row["spans"]) for name, row in rows.items()} == {
        f"s{number}": ("completed", 101) for number in range(10)
    }


def test_shutdown_and_after(tmp_path: Path) -> None:
    """A second shutdown is none; later spans are counted, not taken; an open span is marked."""
    processor = AgentSpanProcessor(tmp_path)
    provider, tracer = traced(processor)
    held = tracer.start_span("held", attributes={"session.id": "s"})
    provider.shutdown()
    processor.shutdown()
    held.end()
    tracer.start_span("late").end()
    assert processor.stats.get("otel_ext.sdk.spans.after_shutdown") == 2
    assert processor.force_flush()
    assert unfinished(tmp_path) == ["held"]
    assert sessions(tmp_path)["s"]["state"] == "interrupted"


def test_a_shared_folder_outlives_its_first_borrower(tmp_path: Path) -> None:
    """Shutting one provider down does not end the other one's sessions."""
    first, a = traced(AgentSpanProcessor(tmp_path))
    second, b = traced(AgentSpanProcessor(tmp_path))
    a.start_span("a", attributes={"session.id": "a"}).end()
    first.shutdown()
    b.start_span("b", attributes={"session.id": "b"}).end()
    second.shutdown()
    assert {name: row["state"] for name, row in sessions(tmp_path).items()} == {
        "a": "completed",
        "b": "completed",
    }


def test_a_session_for_roots_that_have_none(tmp_path: Path) -> None:
    """OTEL_EXT_SESSION names the session of a program that knows nothing of sessions."""
    provider, tracer = traced(AgentSpanProcessor(tmp_path, session="given"))
    with tracer.start_as_current_span("root"), tracer.start_as_current_span("child"):
        pass
    tracer.start_span("own", attributes={"gen_ai.conversation.id": "mine"}).end()
    provider.shutdown()
    given = {span["name"]: keys(span).get("session.id") for span in spans(tmp_path)}
    assert given == {"root": "given", "child": None, "own": None}
    assert {name: row["spans"] for name, row in sessions(tmp_path).items()} == {"given": 2, "mine": 1}


def looping(tracer: Tracer) -> None:
    """An agent that calls one tool with the same arguments until somebody stops it."""
    names = {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "s"}
    call = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "read_file",
        "gen_ai.tool.call.arguments": '{"path": "a.py"}',
        "gen_ai.tool.call.result": "x = 1",
    }
    with tracer.start_as_current_span("invoke_agent", attributes=names):
        for _ in range(6):
            with tracer.start_as_current_span("execute_tool read_file", attributes=call):
                pass


def test_derived_spans_go_to_an_exporter_and_to_the_files(tmp_path: Path) -> None:
    """Findings and ends, with their links, in the trace that they speak of; never the originals."""
    memory = InMemorySpanExporter()
    processor = AgentSpanProcessor(tmp_path, exporter=memory)
    provider, tracer = traced(processor)
    looping(tracer)
    shut = []
    memory.shutdown = lambda: shut.append(True)  # type: ignore[method-assign]
    provider.shutdown()
    found = memory.get_finished_spans()
    assert shut == [True]
    assert {span.instrumentation_scope.name for span in found if span.instrumentation_scope} == {"otel_ext"}
    loop = [span for span in found if span.name == "detect loop.exact_repeat"][-1]
    (trace,) = {span["traceId"] for span in spans(tmp_path)}
    assert f"{loop.get_span_context().trace_id:032x}" == trace  # type: ignore[union-attr]
    assert len(loop.links) == 6
    assert dict(loop.attributes or {})["otel_ext.loop.repeat_count"] == 6
    assert any(span.name.startswith("termination.") or "termination" in span.name for span in found)
    assert processor.stats.get("otel_ext.sdk.derived.exported") == len(found)


def test_our_own_database_calls_are_not_traced(tmp_path: Path) -> None:
    """An instrumented sqlite3 sees that it is not wanted in our threads.

    What it does there all the same is ignored, or each checkpoint would make spans and so the next one.
    """
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value  # noqa: PLC0415

    seen: list[tuple[str, object]] = []
    provider, tracer = traced()

    class Looking(InMemorySpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            """Note in which thread and context."""
            seen.append((threading.current_thread().name, get_value(_SUPPRESS_INSTRUMENTATION_KEY)))
            return super().export(spans)

    processor = AgentSpanProcessor(tmp_path, exporter=Looking())

    def in_pipeline(body: bytes) -> None:
        seen.append((threading.current_thread().name, get_value(_SUPPRESS_INSTRUMENTATION_KEY)))
        tracer.start_span("SELECT").end()

    processor._recorder.sinks.append(in_pipeline)
    provider.add_span_processor(processor)
    looping(tracer)
    provider.shutdown()
    assert set(seen) == {("otel-ext-pipeline", True), ("otel-ext-derived", True)}
    assert "SELECT" not in names(tmp_path)


class Failing(SpanExporter):
    """Fails in every way."""

    def __init__(self) -> None:
        self.calls = 0

    def export(self, spans: Any) -> SpanExportResult:
        """Raise, or say no."""
        self.calls += 1
        if self.calls % 2:
            raise RuntimeError("no backend")
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Raise."""
        raise RuntimeError("no shutdown either")


def test_a_failing_exporter_is_counted_and_harms_nobody(tmp_path: Path) -> None:
    """The files have what the exporter did not take."""
    processor = AgentSpanProcessor(tmp_path, exporter=Failing())
    provider, tracer = traced(processor)
    looping(tracer)
    provider.shutdown()
    assert processor.stats.get("otel_ext.sdk.derived.failed") >= 1
    assert processor.stats.get("otel_ext.sdk.derived.exported") == 0
    assert sessions(tmp_path)["s"]["signals"] >= 1


class Odd(ReadableSpan):
    """A span of which nothing can be read."""

    @property
    def attributes(self) -> Any:
        """Raise."""
        raise RuntimeError("no attributes")


def test_nothing_is_raised_into_the_program(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is handed over: it is counted, and warned of once a minute."""
    processor = AgentSpanProcessor(tmp_path)
    memory = InMemorySpanExporter()
    provider, tracer = traced(processor, SimpleSpanProcessor(memory))
    tracer.start_span("good").end()
    context = memory.get_finished_spans()[0].get_span_context()
    with caplog.at_level(logging.WARNING, "otel_ext"):
        for _ in range(5):
            processor.on_end(Odd("odd", context))
            processor.on_end(ReadableSpan("none"))
            processor.on_start(None)  # type: ignore[arg-type]
    assert processor.stats.get("otel_ext.sdk.spans.dropped") == 5
    assert Counter(record.getMessage().split(":")[1] for record in caplog.records) == {
        " a span is lost": 1,
        " the start of a span is not recorded": 1,
    }
    provider.shutdown()
    assert names(tmp_path) == {"good": 1}


def test_marks_without_an_engine() -> None:
    """Nobody listens: False, and nothing raised."""
    assert mark_crashed("s") is False
    assert mark_crashed(None) is False  # type: ignore[arg-type]


def test_settings_by_keyword_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Keyword over variable over default; a bad keyword is an error, a bad variable a warning."""
    monkeypatch.setenv("OTEL_EXT_DATA", str(tmp_path / "environment"))
    monkeypatch.setenv("OTEL_EXT_SYNC", "sometimes")
    monkeypatch.setenv("OTEL_EXT_IDLE_TIMEOUT", "60.5")
    monkeypatch.setenv("OTEL_EXT_CRASH_HOOKS", "off")
    with caplog.at_level(logging.WARNING, "otel_ext"):
        exporter = FileSpanExporter(queue_mib="3")
    settings = exporter.settings
    assert (settings.data, settings.sync) == (str(tmp_path / "environment"), "interval")
    assert (settings.idle_timeout, settings.crash_hooks, settings.queue_mib) == (60.5, False, 3)
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == ["OTEL_EXT_SYNC='sometimes'"]
    exporter.shutdown()
    for keywords in (
        {"sync": "sometimes"},
        {"queue_mib": 0},
        {"crash_signals": "SIGNONE"},
        {"shutdown_timeout": "soon"},
        {"sink": 1},
    ):
        with pytest.raises(ConfigError, match=next(iter(keywords))):
            AgentSpanProcessor(tmp_path, **keywords)
    AgentSpanProcessor(tmp_path, crash_signals=[]).shutdown()


def test_a_folder_is_where_it_was_when_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A relative folder stays where it is when the program goes elsewhere; no home is no reason to fail."""
    monkeypatch.chdir(tmp_path)
    provider, tracer = traced(AgentSpanProcessor("here"))
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    tracer.start_span("x").end()
    provider.shutdown()
    assert names(tmp_path / "here") == {"x": 1}
    with pytest.raises(ConfigError, match="data='~nobody-has-this-name/x'"):
        AgentSpanProcessor("~nobody-has-this-name/x")
    monkeypatch.setattr(Path, "home", lambda: Path("~nobody-has-this-name").expanduser())
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("OTEL_EXT_DATA", raising=False)
    with caplog.at_level(logging.WARNING, "otel_ext"):
        processor = AgentSpanProcessor()
    processor.shutdown()
    assert "no default data folder" in caplog.text


def test_no_new_threads_at_the_end_of_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python 3.12 on none can be started then: late spans are journalled, the next process goes on."""
    provider, tracer = traced(AgentSpanProcessor(tmp_path))
    other = BatchSpanProcessor(FileSpanExporter(tmp_path))
    provider.add_span_processor(other)
    tracer.start_span("early").end()
    for recorder in registry.recorders():
        assert recorder.close(60)

    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        tracer.start_span("late").end()
        journal = b"".join(path.read_bytes() for path in tmp_path.glob("engines/*/journal/*"))
        assert b"late" in journal
        provider.shutdown()
    assert sorted(row["state"] for row in sessions(tmp_path).values()) == ["completed", "completed"]
    assert names(tmp_path) == {"early": 1, "late": 1}


def test_the_names_are_where_the_readme_says() -> None:
    """Everything public is importable from the package, and nothing else is."""
    for name in otel_ext.__all__:
        assert getattr(otel_ext, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        otel_ext.nothing  # noqa: B018
    assert {"AgentSpanProcessor", "FileSpanExporter", "mark_crashed", "mark_ended"} <= set(otel_ext.__all__)


def test_a_full_fork_of_this_process_shares_nothing(tmp_path: Path) -> None:
    """A child of the test process itself: its recorder is empty and its spans are its own."""
    provider, tracer = traced(AgentSpanProcessor(tmp_path))
    tracer.start_span("parent").end()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            tracer.start_span("child").end()
            provider.shutdown()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    provider.shutdown()
    assert names(tmp_path) == {"parent": 1, "child": 1}


def test_a_span_of_the_program_may_end_in_our_threads(tmp_path: Path) -> None:
    """The garbage collector runs the program's finalizers in any thread; who began a span decides."""
    processor = AgentSpanProcessor(tmp_path)
    provider, tracer = traced(processor)
    spans_of_program = [tracer.start_span(name) for name in ("first", "second")]
    spans_of_program[0].end()

    def finalizer() -> None:
        spans_of_program[1].end()
        tracer.start_span("a statement of our own database").end()

    thread = threading.Thread(target=finalizer, name="otel-ext-keeper")
    thread.start()
    thread.join()
    provider.shutdown()
    assert names(tmp_path) == {"first": 1, "second": 1}
    assert processor.stats.get("otel_ext.sdk.spans.journalled") == 2


def test_a_claim_inside_a_claim(tmp_path: Path) -> None:
    """A signal handler or finalizer that ends a span while another is claimed: no lock to wait for."""
    provider, tracer = traced(AgentSpanProcessor(tmp_path), SimpleSpanProcessor(FileSpanExporter(tmp_path)))
    (recorder,) = registry.recorders()
    waited: list[bool] = []

    class Interrupted(dict[Any, Any]):
        def interrupt(self) -> None:
            if not waited:
                waited.append(False)
                inner = threading.Thread(target=lambda: tracer.start_span("inner").end(), daemon=True)
                inner.start()
                inner.join(PATIENCE / 10)
                waited.append(inner.is_alive())

        def __contains__(self, key: object) -> bool:
            self.interrupt()
            return super().__contains__(key)

        def setdefault(self, key: Any, default: Any = None) -> Any:
            self.interrupt()
            return super().setdefault(key, default)

    recorder._claimed = Interrupted()
    tracer.start_span("outer").end()
    provider.shutdown()
    assert waited == [False, False]
    assert names(tmp_path) == {"outer": 1, "inner": 1}


class Timeout(Exception):
    """What a program's own signal handler raises."""


@pytest.mark.parametrize("sharing", [False, True], ids=["alone", "with an exporter"])
def test_what_a_signal_handler_raises_goes_on_to_the_program(tmp_path: Path, sharing: bool) -> None:
    """A tool's timeout that fires inside us is not swallowed; the span that it interrupted is kept."""
    processor = AgentSpanProcessor(tmp_path)
    shared = [SimpleSpanProcessor(FileSpanExporter(tmp_path))] if sharing else []
    provider, tracer = traced(processor, *shared)
    (recorder,) = registry.recorders()
    tracer.start_span("first").end()
    raised: list[int] = []

    def handler(*_: Any) -> None:
        if not raised:
            raised.append(1)
            raise Timeout

    for place, name in ((recorder._handover, "_append"), (recorder.live, "ended"), (recorder, "claim")):
        work = getattr(place, name)

        def interrupted(*given: Any, work: Callable[..., Any] = work, place: Any = place) -> Any:
            signal.raise_signal(signal.SIGUSR1)
            return work(*given)

        before = signal.signal(signal.SIGUSR1, handler)
        span = tracer.start_span(name)
        setattr(place, name, interrupted)
        try:
            with pytest.raises(Timeout):
                span.end()
        finally:
            delattr(place, name)
            signal.signal(signal.SIGUSR1, before)
        raised.clear()
    assert provider.force_flush()
    provider.shutdown()
    assert names(tmp_path) == {"first": 1, "_append": 1, "ended": 1, "claim": 1}
    assert processor.stats.get("otel_ext.sdk.spans.dropped") == 0
