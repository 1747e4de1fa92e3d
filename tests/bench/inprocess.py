"""What otel_ext costs inside an agent, beside the stock processors; and how long things take to start.

Each kind of processor runs in a process of its own, pinned to the clients' core, with the same spans at the
same pace; the receiver that the stock exporter sends to is on the other core. `call` is the wall time of
`span.end()` in µs, `call_cpu` all CPU time of the process per span, until it has nothing left to do, in µs;
`idle` what it uses from then on, as a share of a core.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import Tracer

from otel_ext.bench.cases import Case
from otel_ext.bench.figures import Middle, cut, middle
from otel_ext.bench.machine import CLIENT_CORE, on_core
from otel_ext.bench.servers import Bare
from otel_ext.bench.session import Figures
from tests.bench.sdk import attributes

KINDS = {
    "otel_ext": "AgentSpanProcessor, in the page cache when it returns",
    "batch": "BatchSpanProcessor, OTLP exporter over gRPC",
    "simple": "SimpleSpanProcessor, OTLP exporter over gRPC",
    "write": "stock encoder, then write",
    "none": "no processor",
}
RATE = 1000
"""Spans a second; few enough that the stock queue drops none."""

STARTS = {
    "python -c pass": ["-c", "pass"],
    "import otel_ext": ["-c", "import otel_ext"],
    "import AgentSpanProcessor": ["-c", "from otel_ext import AgentSpanProcessor"],
    "import the stock SDK": ["-c", "import opentelemetry.sdk.trace.export"],
    "import the stock OTLP exporter": [
        "-c",
        "import opentelemetry.sdk.trace.export, opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    ],
    "otel-ext --help": ["-m", "otel_ext", "--help"],
}


def processor(kind: str, folder: str, endpoint: str) -> SpanProcessor:
    """One that is measured; each process imports what it measures only."""
    if kind == "otel_ext":
        from otel_ext import AgentSpanProcessor  # noqa: PLC0415

        return AgentSpanProcessor(Path(folder) / "data", min_free_mib=0)
    if kind in {"batch", "simple"}:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        exporter = OTLPSpanExporter(endpoint=f"http://{endpoint}", insecure=True)
        return BatchSpanProcessor(exporter) if kind == "batch" else SimpleSpanProcessor(exporter)
    found = SpanProcessor()
    if kind == "write":
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415

        file = (Path(folder) / "spans").open("wb", buffering=0)

        def write(span: ReadableSpan) -> None:
            file.write(encode_spans((span,)).SerializeToString())

        found.on_end = write  # type: ignore[method-assign]
    return found


def child(kind: str, folder: str, endpoint: str, spans: int, idle: float) -> dict[str, float]:
    """Measure one kind in this process; a tenth of the spans before is the warm-up, discarded."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor(kind, folder, endpoint))
    tracer, warm, taken = provider.get_tracer("bench", "1"), spans // 10, list[float]()
    cpu, begun = time.process_time(), time.perf_counter()
    for number in range(warm + spans):
        if number == warm:
            cpu, begun, taken = time.process_time(), time.perf_counter(), []
        span = tracer.start_span("execute_tool read_file", attributes=attributes(number))
        before = time.perf_counter_ns()
        span.end()
        taken.append((time.perf_counter_ns() - before) / 1000)
        due = begun + (number - (warm if number >= warm else 0)) / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
    provider.force_flush()
    _quiet()
    used = time.process_time() - cpu
    rested, since = time.process_time(), time.perf_counter()
    time.sleep(idle)
    share = (time.process_time() - rested) / (time.perf_counter() - since)
    burst = _burst(tracer)
    provider.shutdown()
    taken.sort()
    told = {"call_p50": cut(taken, 0.5), "call_p99": cut(taken, 0.99), "call_cpu": used / spans * 1e6}
    return {**told, "burst_p50": burst[0], "burst_p99": burst[1], "idle": share}


def _quiet() -> None:
    """Wait, at most 60 s, until this process has done what it put off: half a second under 2 % of a core."""
    for _ in range(120):
        before = time.process_time()
        time.sleep(0.5)
        if time.process_time() - before < 0.01:
            return


def _burst(tracer: Tracer) -> tuple[float, float]:
    """Median and p99 of `span.end()`, µs, over a thousand spans without a pause."""
    taken = []
    for number in range(1000):
        span = tracer.start_span("execute_tool read_file", attributes=attributes(number))
        before = time.perf_counter_ns()
        span.end()
        taken.append((time.perf_counter_ns() - before) / 1000)
    taken.sort()
    return cut(taken, 0.5), cut(taken, 0.99)


def _start(call: list[str], compiled: str) -> float:
    """Seconds, with bytecode in the folder `compiled` as an installed package has it beside itself."""
    around = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
    around.pop("PYTHONDONTWRITEBYTECODE", None)
    with on_core(CLIENT_CORE):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *call], check=True, capture_output=True, env=around)
        return time.perf_counter() - begun


def measured(runs: int, scale: float, say: Callable[[str], None]) -> Figures:
    """Medians of every kind and of every start, by turns."""
    spans, idle = max(200, int(10_000 * scale)), max(0.2, 10 * scale)
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    starts: dict[str, list[float]] = {name: [] for name in STARTS}
    sink = Bare()
    sink.open(Case())
    compiled = tempfile.TemporaryDirectory(prefix="otel-ext-bench-")
    for call in STARTS.values():
        _start(call, compiled.name)
    try:
        for _ in range(runs):
            for kind in KINDS:
                with tempfile.TemporaryDirectory(prefix="otel-ext-bench-") as folder, on_core(CLIENT_CORE):
                    call = [
                        sys.executable,
                        "-m",
                        "tests.bench.inprocess",
                        kind,
                        folder,
                        sink.endpoints["grpc"],
                    ]
                    done = subprocess.run(
                        [*call, str(spans), str(idle)], check=True, stdout=subprocess.PIPE, text=True
                    )
                found[kind].append(json.loads(done.stdout))
            for name, call in STARTS.items():
                starts[name].append(_start(call, compiled.name))
    finally:
        compiled.cleanup()
        sink.close()
    for kind, told in found.items():
        say(f"    in process  {KINDS[kind]}: {statistics.median(one['call_p50'] for one in told):.1f} us")
    figures: Figures = {
        KINDS[kind]: {"span.end(), 12 attributes": {n: middle(t[n] for t in told) for n in told[0]}}
        for kind, told in found.items()
    }
    begins: dict[str, dict[str, Middle | None]] = {
        name: {"start": middle(values)} for name, values in starts.items()
    }
    return {**figures, "start": begins}


if __name__ == "__main__":
    _, its_kind, its_folder, its_endpoint, its_spans, its_idle = sys.argv
    print(json.dumps(child(its_kind, its_folder, its_endpoint, int(its_spans), float(its_idle))))
