"""What `on_start` and `on_end` cost, beside the stock encoder and a plain write in the same run.

    python -m tests.bench.sdk [--spans N]

All five look at the same spans in the same process, one after the other, so their ratios can be compared
between machines. `cpu` is the calling thread's own time, the rest wall time.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from otel_ext import AgentSpanProcessor
from otel_ext.sdk.encode import encode


class Cost(NamedTuple):
    """µs a call."""

    p50: float
    p99: float
    cpu: float


class Figures(NamedTuple):
    """Of one run: ours, our encoder alone, the stock encoder and a write."""

    on_start: Cost
    on_end: Cost
    encode: Cost
    stock: Cost


class _Timed:
    def __init__(self, call: Callable[..., object]) -> None:
        self._call, self._wall, self._cpu = call, list[float](), list[float]()

    def __call__(self, *arguments: object, **keywords: object) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        self._call(*arguments, **keywords)
        self._cpu.append(time.thread_time() - cpu)
        self._wall.append(time.perf_counter() - wall)

    def cost(self) -> Cost:
        warm = len(self._wall) // 10
        cuts = statistics.quantiles(self._wall[warm:], n=100)
        return Cost(cuts[49] * 1e6, cuts[98] * 1e6, statistics.median(self._cpu[warm:]) * 1e6)


def attributes(number: int) -> dict[str, str | int | float | bool]:
    """Twelve attributes of a tool call, some the same on every span, some never."""
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "read_file",
        "gen_ai.tool.call.id": f"call_{number:x}",
        "gen_ai.tool.call.arguments": f'{{"path": "/src/module_{number}.py"}}',
        "gen_ai.tool.call.result": "r" * 200,
        "gen_ai.conversation.id": "conversation-1",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.usage.input_tokens": 1000 + number,
        "gen_ai.usage.output_tokens": number,
        "agent.cached": True,
        "agent.temperature": 0.5,
    }


def measure(folder: Path, spans: int) -> Figures:
    """Time `spans` spans through all of them."""
    provider = TracerProvider(shutdown_on_exit=False)
    ours = AgentSpanProcessor(folder / "data")
    start, end = _Timed(ours.on_start), _Timed(ours.on_end)
    ours.on_start, ours.on_end = start, end  # type: ignore[method-assign]
    with (folder / "stock").open("wb", buffering=0) as file:

        def write(span: ReadableSpan) -> None:
            os.write(file.fileno(), encode_spans((span,)).SerializeToString())

        stock, alone = _Timed(write), _Timed(lambda span: encode((span,)))
        provider.add_span_processor(ours)
        for timed in (alone, stock):
            other = SpanProcessor()
            other.on_end = timed  # type: ignore[method-assign]
            provider.add_span_processor(other)
        tracer = provider.get_tracer("bench", "1")
        for number in range(spans):
            tracer.start_span("execute_tool read_file", attributes=attributes(number)).end()
        provider.shutdown()
    return Figures(start.cost(), end.cost(), alone.cost(), stock.cost())


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sdk", description=__doc__)
    parser.add_argument("--spans", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="otel-ext-bench-") as name:
        figures = measure(Path(name), options.spans)
    print("                         p50 µs    p99 µs    CPU µs    stock/this")
    rows = {
        "on_start": "on_start",
        "on_end": "on_end",
        "encode": "our encoder",
        "stock": "stock encode+write",
    }
    for field, title in rows.items():
        cost: Cost = getattr(figures, field)
        ratio = figures.stock.cpu / cost.cpu
        print(f"{title:<20} {cost.p50:>10.1f} {cost.p99:>9.1f} {cost.cpu:>9.1f} {ratio:>13.1f}")


if __name__ == "__main__":
    main()
