"""Agent runs on their way: through the SDK in this process, and through a real sidecar."""

import json
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.context import Context
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import Span as LiveSpan
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from otel_ext import AgentSpanProcessor
from otel_ext.testing import AgentRun, request
from tests.signals.vectors import CONFIGURED
from tests.support import METHOD, server

BATCH = 7
"""Spans of one export; a run comes in several."""
BASELINES = 4096
"""Agents and models whose usual is remembered: all stories run at once, each with its own."""
AT_ONCE = 8
"""Requests in flight."""


class _Given(IdGenerator):
    """Gives the ids of the span that is to be started."""

    def __init__(self) -> None:
        self.span = Span()

    def generate_span_id(self) -> int:
        """Its span id."""
        return int.from_bytes(self.span.span_id, "big")

    def generate_trace_id(self) -> int:
        """Its trace id."""
        return int.from_bytes(self.span.trace_id, "big")


def send_in_process(data: Path, runs: list[AgentRun]) -> None:
    """Begin and end every span in the order of the runs' own times, by the SDK, through our processor."""
    given = _Given()
    provider = TracerProvider(shutdown_on_exit=False, id_generator=given)
    signals = {"baselines": BASELINES, "rules": _rules()}
    processor = AgentSpanProcessor(data, crash_hooks=False, shutdown_timeout=60.0, signals=signals)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("an agent")
    live: dict[bytes, LiveSpan] = {}
    spans = [span for run in runs for span in run.spans()]
    begins = [(span.start_time_unix_nano, 1, number, span) for number, span in enumerate(spans)]
    # At one time what was open ends first, then comes what begins, then the end of what lasts no time.
    ends = [
        (
            span.end_time_unix_nano,
            0 if span.end_time_unix_nano > span.start_time_unix_nano else 2,
            -number,
            span,
        )
        for number, span in enumerate(spans)
    ]
    for time, phase, _, span in sorted([*begins, *ends], key=lambda one: one[:3]):
        if phase == 1:
            given.span = span
            started = tracer.start_span(
                span.name,
                context=_context(span),
                attributes={one.key: _value(one.value) for one in span.attributes},
                start_time=time,
            )
            assert isinstance(started, LiveSpan)
            live[span.span_id] = started
        else:
            if span.status.code == StatusCode.ERROR.value:
                live[span.span_id].set_status(Status(StatusCode.ERROR, span.status.message))
            live.pop(span.span_id).end(time)
    provider.shutdown()


def send_to_sidecar(data: Path, runs: list[AgentRun]) -> None:
    """Export every run to one real server over gRPC, children first, and wait until its sessions ended."""
    signals = json.dumps({"baselines": BASELINES, "rules": _rules()})
    config = f"processors: {{sessions: {{idle_timeout: 2s}}, signals: {signals}}}"
    with server(data, config) as process:
        with grpc.insecure_channel(process.endpoint) as channel:
            export = channel.unary_unary(METHOD)
            bodies = [
                request(*spans[at : at + BATCH])
                for run in runs
                for spans in [sorted(run.spans(), key=lambda span: span.end_time_unix_nano)]
                for at in range(0, len(spans), BATCH)
            ]
            for at in range(0, len(bodies), AT_ONCE):
                for answer in [export.future(body, timeout=60) for body in bodies[at : at + AT_ONCE]]:
                    answer.result()
        process.wait_for_ends(sum(len(run.spans()) for run in runs))
        process.stop()


def _rules() -> dict[str, Any]:
    return {name: {"limits": dict(told.limits)} for name, told in CONFIGURED.items()}


def _context(span: Span) -> Context:
    if not span.parent_span_id:
        return Context()
    parent = SpanContext(
        int.from_bytes(span.trace_id, "big"),
        int.from_bytes(span.parent_span_id, "big"),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _value(value: AnyValue) -> Any:
    if value.HasField("array_value"):
        return [_value(item) for item in value.array_value.values]
    return getattr(value, value.WhichOneof("value") or "string_value")
