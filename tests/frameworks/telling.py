"""What the agents' programs share: where their spans go, and what they say of them on stdout.

Run as `python -m tests.frameworks.<framework> MODEL_URL OTLP_URL DATA`. Every span goes to the receiver at
OTLP_URL by the stock exporter, and through our processor into the folder DATA; a third copy stays in memory,
and the program prints it, so that a test knows what was sent without asking us.
"""

import json
import sys
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_ext.sdk.processor import AgentSpanProcessor
from tests.frameworks.model import SCRIPTS

Ask: TypeAlias = Callable[[str], object]
"""Runs an agent whose model has the given name, which is that of a script; its answer."""


class Arguments(NamedTuple):
    """The command line."""

    model: str
    otlp: str
    data: str


def tell(service: str, prepare: Callable[[str, TracerProvider], Ask]) -> None:
    """Run every script with an agent and print a JSON object: per script its spans and how it ended.

    Args:
        service: the framework, for the resource.
        prepare: takes the model server's URL and the tracer provider; returns the agent.
    """
    arguments = Arguments(*sys.argv[1:])
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{arguments.otlp}/v1/traces")))
    provider.add_span_processor(AgentSpanProcessor(data=arguments.data))
    trace.set_tracer_provider(provider)
    ask = prepare(arguments.model, provider)
    told = {}
    for script in SCRIPTS:
        try:
            ended = str(ask(script))
        except Exception as error:  # noqa: BLE001 - an agent that dies is a course, too
            ended = f"{type(error).__name__}: {error}"
        told[script] = {"ended": ended, "spans": [_plain(span) for span in memory.get_finished_spans()]}
        memory.clear()
    provider.shutdown()
    print(json.dumps(told))


def _plain(span: ReadableSpan) -> dict[str, object]:
    assert span.context is not None
    return {
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "parent": f"{span.parent.span_id:016x}" if span.parent else "",
        "name": span.name,
        "start": span.start_time,
        "status": span.status.status_code.name,
        "attributes": {key: str(value) for key, value in (span.attributes or {}).items()},
        "events": [event.name for event in span.events],
    }
