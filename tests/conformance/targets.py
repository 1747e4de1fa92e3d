"""What is tested: a real `otel-ext serve`, or the real Collector with its otlp receiver and file exporter.

Law of this file: a target is a process on loopback with a folder of its own; what it stored is read from its
files by `otlpjson`. A Collector is looked for in `OTELCOL_BIN`, on the PATH, and where `.ci/collector` keeps
the one that it built.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.builders import request, span
from tests.conformance import otlpjson
from tests.conformance.wire import JSON, Door, Grpc, Http
from tests.support import until

NAMES: Final = ("otel_ext", "collector")
Tree = dict[str, Any]


class Stored(NamedTuple):
    """A span as a target's file has it: decoded, and as the JSON object."""

    span: Span
    resource: Resource
    resource_url: str
    scope: InstrumentationScope
    scope_url: str
    json: Tree


class Store:
    """Everything in a target's files, read as they grow."""

    def __init__(self, folder: Path, pattern: str) -> None:
        self._folder, self._pattern = folder, pattern
        self._read: dict[Path, int] = {}
        self.spans: dict[bytes, list[Stored]] = {}

    @property
    def files(self) -> list[Path]:
        """The files, in the order of their names."""
        return sorted(self._folder.glob(self._pattern))

    def of(self, trace_id: bytes) -> list[Stored]:
        """Stored spans of one trace; otel_ext's derived spans left out."""
        for path in self.files:
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                lines, end, _ = file.read().rpartition(b"\n")
            self._read[path] = self._read.get(path, 0) + len(lines) + len(end)
            for line in lines.split(b"\n"):
                if line:
                    with contextlib.suppress(
                        RecursionError
                    ):  # a target that took 2,000 levels wrote them too
                        self._add(json.loads(line))
        return self.spans.get(trace_id, [])

    def _add(self, tree: Tree) -> None:
        spans = [
            s
            for r in tree.get("resourceSpans", [])
            for g in r.get("scopeSpans", [])
            for s in g.get("spans", [])
        ]
        shown = iter([json.loads(json.dumps(span)) for span in spans])
        for group in otlpjson.decode(tree).resource_spans:
            for scope in group.scope_spans:
                for span_ in scope.spans:
                    found = Stored(
                        span_, group.resource, group.schema_url, scope.scope, scope.schema_url, next(shown)
                    )
                    if not scope.scope.name.startswith("otel_ext"):
                        self.spans.setdefault(span_.trace_id, []).append(found)


class Target:
    """A running process under test.

    Attributes:
        name: `otel_ext` or `collector`.
        grpc_endpoint, http_endpoint: `host:port`.
        store: what it stored.
    """

    name: str

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        self.grpc_endpoint = self.http_endpoint = self.metrics_endpoint = ""
        self.process: subprocess.Popen[str] | None = None
        self.log = folder / "log"
        self._grpc: Grpc | None = None

    @property
    def ours(self) -> bool:
        """Whether it is otel_ext."""
        return self.name == "otel_ext"

    @property
    def grpc(self) -> Grpc:
        """The gRPC door; one connection for all."""
        if self._grpc is None:
            self._grpc = Grpc(self.grpc_endpoint)
        return self._grpc

    @property
    def http(self) -> Http:
        """The HTTP door, protobuf."""
        return Http(self.http_endpoint)

    @property
    def json(self) -> Http:
        """The HTTP door, JSON."""
        return Http(self.http_endpoint, JSON)

    @property
    def doors(self) -> list[Door]:
        """All three ways in."""
        return [self.grpc, self.http, self.json]

    def trace(self) -> bytes:
        """A trace id that this target has not seen, and of which no part is the id of a span."""
        return b"conf" + os.urandom(12)

    def spans(self, count: int = 1, trace: bytes | None = None) -> list[Span]:
        """Valid spans of one new trace, with a session."""
        trace = trace or self.trace()
        made = [span(session__id="conformance") for _ in range(count)]
        for one in made:
            one.trace_id = trace
        return made

    def stored(self, trace: bytes, count: int = 1) -> list[Stored]:
        """Spans of a trace, once there are `count` of them."""
        until(lambda: len(self.store.of(trace)) >= count, f"{count} spans of {trace.hex()}, see {self.log}")
        return self.store.of(trace)

    def settled(self, trace: bytes) -> list[Stored]:
        """Spans of a trace after everything that was sent before is stored."""
        (marker,) = self.spans()
        answer = self.grpc.send(request(marker))
        assert answer.ok, answer
        self.stored(marker.trace_id)
        return self.store.of(trace)

    @property
    def status(self) -> Mapping[str, str]:
        """`/proc/PID/status`."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    def peak(self) -> int:
        """Highest resident memory since `forget_peak`, in MiB."""
        return int(self.status["VmHWM"].split()[0]) // 1024

    def forget_peak(self) -> int:
        """Begin a new measurement; resident memory now, in MiB."""
        assert self.process is not None
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return int(self.status["VmRSS"].split()[0]) // 1024

    def failed(self) -> float | None:
        """Spans that a destination will not get, as the target's own metrics count them; None without any."""
        if not self.metrics_endpoint:
            return None
        host, _, port = self.metrics_endpoint.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        named = [
            line
            for line in text.splitlines()
            if line.startswith("otel_ext_exporter_outcomes_total{") and 'outcome="sent"' not in line
        ]
        return sum(float(line.rpartition(" ")[2]) for line in named)

    def alive(self) -> bool:
        """Whether the process runs and answers."""
        assert self.process is not None
        return self.process.poll() is None and self.grpc.send(request(*self.spans())).ok

    def stop(self, *, kill: bool = True) -> None:
        """End the process, politely or at once."""
        if self._grpc is not None:
            self._grpc.close()
            self._grpc = None
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(60)
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None


def merged(base: Tree, more: Tree) -> Tree:
    """`more` laid over `base`, mapping by mapping."""
    both = dict(base)
    for key, value in more.items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def quiet() -> Tree:
    """Settings under which several servers can run at one time: no fixed ports but the doors'."""
    return {
        "extensions": {"health_check": {"enabled": False}},
        "service": {"telemetry": {"metrics": {"address": "127.0.0.1:0"}}},
    }


class OtelExt(Target):
    """`otel-ext serve` with a fresh data folder, or with one that is there."""

    name = "otel_ext"

    def __init__(self, folder: Path, config: Tree | None = None) -> None:
        self.data = folder / "data"
        super().__init__(folder, Store(self.data, "engines/*/sessions/*[0-9].jsonl"))
        base: Tree = {
            "processors": {"sessions": {"hold": "100ms"}},
            "service": {"checkpoint_interval": "200ms"},
        }
        self.config = merged(merged(base, quiet()), config or {})

    def start(self) -> None:
        """Start it and wait until it is ready."""
        call = [
            sys.executable,
            "-m",
            "otel_ext",
            "serve",
            "--data",
            str(self.data),
            "--config",
            "env:CONFORMANCE",
        ]
        call += ["--grpc", self.grpc_endpoint or "127.0.0.1:0", "--http", self.http_endpoint or "127.0.0.1:0"]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                call,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "CONFORMANCE": json.dumps(self.config)},
            )
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        assert ready.startswith("ready "), self.log.read_text()[-3000:]
        said = dict(word.split("=", 1) for word in ready.split()[1:])
        self.grpc_endpoint, self.http_endpoint = said["grpc"], said["http"]
        self.metrics_endpoint = said.get("metrics", "")


class Collector(Target):
    """The real Collector: otlp receiver -> file exporter, or other exporters."""

    name = "collector"

    def __init__(self, folder: Path, config: Tree | None = None) -> None:
        super().__init__(folder, Store(folder, "traces.jsonl"))
        self.grpc_endpoint, self.http_endpoint = free_endpoint(), free_endpoint()
        protocols = {"grpc": {"endpoint": self.grpc_endpoint}, "http": {"endpoint": self.http_endpoint}}
        base: Tree = {
            "receivers": {"otlp": {"protocols": protocols}},
            "exporters": {
                "file": {"path": str(folder / "traces.jsonl"), "flush_interval": "50ms"},
                "file/others": {"path": str(folder / "others.jsonl")},
            },
            "service": {
                "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
                "pipelines": {
                    "traces": {"receivers": ["otlp"], "exporters": ["file"]},
                    "logs": {"receivers": ["otlp"], "exporters": ["file/others"]},
                    "metrics": {"receivers": ["otlp"], "exporters": ["file/others"]},
                },
            },
        }
        self.config = merged(base, config or {})

    def start(self) -> None:
        """Start it and wait until it listens."""
        path = self.folder / "collector.yaml"
        path.write_text(json.dumps(self.config))
        binary = collector()
        assert binary is not None
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [binary, "--config", str(path)], stdout=log, stderr=log, text=True
            )
        for endpoint in (self.grpc_endpoint, self.http_endpoint):
            until(lambda endpoint=endpoint: listens(endpoint), f"the Collector, see {self.log}")  # type: ignore[misc]


def free_endpoint() -> str:
    """An address on loopback that was free a moment ago."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{made.getsockname()[1]}"


def listens(endpoint: str) -> bool:
    """Whether something accepts connections there."""
    host, _, port = endpoint.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=5):
        return True
    return False


def collector() -> str | None:
    """The Collector's binary, or None."""
    named = os.environ.get("OTELCOL_BIN")
    if named:
        return named
    for name in ("otelcol", "otelcol-contrib"):
        if (found := shutil.which(name)) is not None:
            return found
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "otel_ext"
    built = sorted(
        path for path in cache.glob("collector-*/otelcol*") if os.access(path, os.X_OK) and path.is_file()
    )
    return str(built[-1]) if built else None


def collector_version() -> str | None:
    """The Collector's version, e.g. `0.158.0`; None when there is none."""
    binary = collector()
    if binary is None:
        return None
    said = subprocess.run(
        [binary, "--version"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    found = re.search(r"\d+\.\d+\.\d+", said)
    return found[0] if found else said.strip()


@contextlib.contextmanager
def running(
    name: str, folder: Path, ours: Tree | None = None, theirs: Tree | None = None
) -> Iterator[Target]:
    """A started target of that name with its own configuration; gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    made: OtelExt | Collector
    if name == "otel_ext":
        made = OtelExt(folder, ours)
    else:
        if collector() is None:
            pytest.skip("no Collector: set OTELCOL_BIN, or run .ci/collector")
        made = Collector(folder, theirs)
    try:
        made.start()
        yield made
    finally:
        made.stop()
