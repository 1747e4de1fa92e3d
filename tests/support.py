"""What several test folders share: the corpus, a real server process, the stock exporter."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel_ext.exporters.grpc import METHOD as METHOD  # noqa: PLC0414 - tests take it from here
from otel_ext.sessions import Catalog, Session, State

ROOT = Path(__file__).parents[1]
CORPUS = Path(os.environ.get("OTEL_EXT_CORPUS", ROOT.parent / "shared" / "corpus"))
RAM = next((path for path in [Path("/dev/shm")] if os.access(path, os.W_OK)), None)
"""A disk in memory, where the machine has one."""
PATIENCE = 120.0
"""Seconds after which a wait is a failure, whatever the machine."""


def corpus_files() -> list[Path]:
    """The corpus' trace files; the test is skipped where they are absent."""
    files = sorted(CORPUS.glob("*.otlp.jsonl.zst"))
    if not files:
        pytest.skip(f"no corpus in {CORPUS}; set OTEL_EXT_CORPUS")
    return files


def lines(path: Path) -> Iterator[bytes]:
    """Decompressed lines of a .zst file."""
    zstd = pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")
    with zstd.ZstdFile(path) as stream:
        yield from io.BufferedReader(stream)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition of another process, looking every 50 ms."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.05)):
        if condition():
            return
        pause.wait(0.05)
    pytest.fail(f"waited {PATIENCE:.0f} s for {what}")


def run(*arguments: str | Path, code: int = 0, stdin: bytes | None = None) -> str:
    """Run `otel-ext ...` as a process; its stdout, after its exit code was checked."""
    done = subprocess.run(
        [sys.executable, "-m", "otel_ext", *map(str, arguments)],
        capture_output=True,
        check=False,
        input=stdin,
        timeout=300,
    )
    assert done.returncode == code, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.stdout.decode()


def objects(text: str) -> list[dict[str, Any]]:
    """JSON lines as objects; a line ends at a newline only, where Python's own `splitlines` has ten ends."""
    return [json.loads(line) for line in text.split("\n") if line]


@contextlib.contextmanager
def child(call: Sequence[str | Path], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A process that is killed and reaped afterwards, whatever happens; `options` are Popen's."""
    with subprocess.Popen(call, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def serve(data: Path, grpc: str = "127.0.0.1:0", http: str = "127.0.0.1:0") -> list[str]:
    """The command of a server with both doors at these addresses; without one, as its configuration says."""
    doors = ["--grpc", grpc, "--http", http] if grpc else []
    return [sys.executable, "-m", "otel_ext", "serve", "--data", str(data), *doors]


class ServerProcess:
    """A real `otel-ext serve`, restarted on the same port and folder; after `with` it is gone."""

    def __init__(self, data: Path, config: str = "", environment: Mapping[str, str] | None = None) -> None:
        self.data, self.config, self.environment = data, config, environment or {}
        self.endpoint = self.http = "127.0.0.1:0"
        self.ready: dict[str, str] = {}
        self.process: subprocess.Popen[str] | None = None
        self.log = data.parent / f"{data.name}.log"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process is not None:
            self.kill()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        call = serve(self.data, self.endpoint, self.http)
        # A drain waits for senders; tests end their own. What they ask for in `config` wins.
        call += ["--config", "yaml:service::drain_idle: 0s"]
        environment = {**os.environ, **self.environment, "OTEL_EXT_TEST_CONFIG": self.config}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*call, "--config", "env:OTEL_EXT_TEST_CONFIG"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        assert self.process.stdout is not None
        try:
            ready = self.process.stdout.readline()
            if not ready:  # it has something to say by its exit code
                self.process.wait(PATIENCE)
            assert ready.startswith("ready "), self.log.read_text()[-3000:]
        except BaseException:
            self.kill()
            raise
        self.ready = dict(word.partition("=")[::2] for word in ready.split()[1:])
        self.endpoint, self.http = self.ready["grpc"], self.ready["http"]

    def kill(self) -> None:
        """SIGKILL, now, unless it has ended."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self, number: int = signal.SIGTERM, *, patience: float = PATIENCE) -> None:
        """A polite end; exit code 0 is asserted."""
        self.signal(number)
        code = self.wait(patience)
        assert code == 0, self.log.read_text()[-3000:]

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait for its end; the exit code."""
        assert self.process is not None
        code = self.process.wait(timeout=patience)
        self._close()
        return code

    def _close(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.stdout.close()

    def sessions(self) -> list[dict[str, Any]]:
        """What `otel-ext sessions` says now."""
        return objects(run("sessions", self.data, "--json"))

    def looked_up(self) -> list[Session]:
        """Every session as its catalog has it, without a process: for who looks again and again."""
        found = []
        for path in self.data.glob("engines/*/catalog.sqlite"):
            with contextlib.closing(Catalog(path, read_only=True)) as catalog:
                found += catalog.sessions()
        return found

    def wait_for_ends(self, spans: int) -> None:
        """Wait until all `spans` are stored and no session is active."""

        def ended() -> bool:
            rows = self.looked_up()
            return sum(row.spans for row in rows) >= spans and all(
                row.state is not State.ACTIVE for row in rows
            )

        until(ended, f"{spans} spans in ended sessions")


@contextlib.contextmanager
def server(
    data: Path, config: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """A running server that is gone afterwards, whatever happens."""
    with ServerProcess(data, config, environment) as process:
        process.start()
        yield process


def _value(value: dict[str, Any]) -> Any:
    kind: str = next(iter(value), "")
    inner: Any = value.get(kind)
    match kind:
        case "intValue":
            return int(inner)
        case "arrayValue":
            return [_value(v) for v in inner.get("values", [])]
        case "kvlistValue":
            return {v["key"]: _value(v["value"]) for v in inner.get("values", [])}
    return inner


def _attributes(items: list[dict[str, Any]] | None) -> dict[str, Any]:
    return {item["key"]: _value(item.get("value") or {}) for item in items or []}


def readable_spans(line: bytes) -> list[ReadableSpan]:
    """One line's spans as the SDK has them when it exports."""
    found = []
    for resource_spans in json.loads(line)["resourceSpans"]:
        resource = Resource(_attributes(resource_spans.get("resource", {}).get("attributes")))
        for scope_spans in resource_spans["scopeSpans"]:
            scope = scope_spans.get("scope", {})
            library = InstrumentationScope(scope.get("name", ""), scope.get("version", ""))
            found += [_readable(span, resource, library) for span in scope_spans["spans"]]
    return found


def _readable(span: dict[str, Any], resource: Resource, library: InstrumentationScope) -> ReadableSpan:
    trace_id, parent, status = int(span["traceId"], 16), span.get("parentSpanId"), span.get("status", {})
    code = StatusCode(int(status.get("code", 0)))
    return ReadableSpan(
        name=span.get("name", ""),
        context=SpanContext(trace_id, int(span["spanId"], 16), is_remote=False, trace_flags=TraceFlags(1)),
        parent=SpanContext(trace_id, int(parent, 16), is_remote=False) if parent else None,
        resource=resource,
        attributes=_attributes(span.get("attributes")),
        events=[
            Event(e.get("name", ""), _attributes(e.get("attributes")), int(e.get("timeUnixNano", 0)))
            for e in span.get("events", [])
        ],
        links=[
            Link(
                SpanContext(int(link["traceId"], 16), int(link["spanId"], 16), is_remote=False),
                _attributes(link.get("attributes")),
            )
            for link in span.get("links", [])
        ],
        kind=SpanKind(max(0, int(span.get("kind", 1)) - 1)),
        status=Status(code, status.get("message") or None if code is StatusCode.ERROR else None),
        start_time=int(span.get("startTimeUnixNano", 0)),
        end_time=int(span.get("endTimeUnixNano", 0)),
        instrumentation_scope=library,
    )


def findings_set(signals: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    """Findings as runs that differ in batching are compared (law L7); ends depend on when silence fell."""
    return {
        (f["signal"], f["lane"], tuple(f["evidence"]), f["count"], f["status"])
        for f in signals
        if not f["signal"].startswith("termination.")
    }
