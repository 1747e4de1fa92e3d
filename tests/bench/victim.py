"""The agent that `tests.bench.losses` kills: it ends spans and says how many, then meets its fate.

Run as `python -m tests.bench.victim SYSTEM TARGET FATE SPANS RATE`. Each ended span is reported as one byte
on stdout, after `end()` returned, so that the count is right whenever the process dies.
"""

import importlib
import os
import resource
import signal
import statistics
import sys
import time

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

ATTRIBUTES: dict[str, str | int] = {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.conversation.id": "losses",
    "gen_ai.tool.name": "search",
    "gen_ai.tool.call.result": "nothing found",
    "gen_ai.agent.name": "victim",
    "gen_ai.usage.input_tokens": 700,
    "gen_ai.usage.output_tokens": 35,
    "server.address": "127.0.0.1",
    "server.port": 8080,
    "code.function.name": "victim.main",
    "enduser.pseudo.id": "ada",
}
"""11 attributes; the twelfth, the call's arguments, differs from span to span."""


def processor(system: str, target: str) -> SpanProcessor:
    """The span processor of a system; `target` is an endpoint, a file or a folder."""
    if system == "otel_ext":
        from otel_ext import AgentSpanProcessor  # noqa: PLC0415 - each run loads only what it measures

        return AgentSpanProcessor(data=target, min_free_mib=0)
    if system == "json file":
        exporter = importlib.import_module("opentelemetry.exporter.otlp.json.file").FileSpanExporter
        return BatchSpanProcessor(exporter(target))
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return BatchSpanProcessor(OTLPSpanExporter(endpoint=target, insecure=True))


def main(system: str, target: str, fate: str, spans: int, rate: float) -> None:
    """End `spans` spans at `rate` a second, then die as told."""
    provider = TracerProvider(resource=Resource.create({"service.name": "victim"}))
    provider.add_span_processor(processor(system, target))
    tracer = provider.get_tracer("victim")
    costs, begin, cpu = [], time.monotonic(), time.process_time()
    for number in range(spans):
        ahead = begin + number / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        span = tracer.start_span("execute_tool search", attributes=ATTRIBUTES)
        span.set_attribute("gen_ai.tool.call.arguments", f'{{"n": {number}}}')
        before = time.perf_counter_ns()
        span.end()
        costs.append(time.perf_counter_ns() - before)
        os.write(1, b".")
    if fate in {"SIGKILL", "SIGTERM"}:
        os.kill(os.getpid(), getattr(signal, fate))
        signal.pause()
    if fate == "os._exit":
        os._exit(0)
    provider.shutdown()
    used = resource.getrusage(resource.RUSAGE_SELF)
    cuts = statistics.quantiles(costs, n=100)
    total = (time.process_time() - cpu) / spans * 1e6
    print(f"\n{cuts[49] / 1000:.1f} {cuts[98] / 1000:.1f} {total:.0f} {used.ru_maxrss // 1024}", flush=True)


if __name__ == "__main__":
    _, its_system, its_target, its_fate, its_spans, its_rate = sys.argv
    main(its_system, its_target, its_fate, int(its_spans), float(its_rate))
