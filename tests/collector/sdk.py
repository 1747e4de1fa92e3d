"""An agent's run made with the OpenTelemetry SDK: whatever a span can hold, and a loop to be found."""

import json

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

SESSION = "sdk-session"
_CALLS = 6


def agent_run() -> list[ReadableSpan]:
    """Spans of one agent: the same tool call again and again, a failure, and a span with everything."""
    kept = InMemorySpanExporter()
    resource = Resource({"service.name": "agent", "list": ["a", "b"], "größe": 1.5})
    provider = TracerProvider(resource=resource, span_limits=SpanLimits(max_span_attributes=200))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("agents", "1.2", "https://opentelemetry.io/schemas/1.28.0", {"scope": True})
    remote = SpanContext(
        0xABCDEF, 0x1234, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("v", "1")])
    )
    named = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a", "session.id": SESSION}
    with tracer.start_as_current_span(
        "invoke_agent",
        trace.set_span_in_context(trace.NonRecordingSpan(remote)),
        SpanKind.SERVER,
        named,
        [Link(remote, {"why": "a link"})],
    ):
        for _ in range(_CALLS):
            with tracer.start_as_current_span("execute_tool search", kind=SpanKind.INTERNAL) as call:
                call.set_attributes(
                    {
                        "gen_ai.operation.name": "execute_tool",
                        "gen_ai.tool.name": "search",
                        "gen_ai.tool.call.arguments": json.dumps({"q": "same"}),
                        "gen_ai.tool.call.result": "nothing found",
                        "session.id": SESSION,
                    }
                )
        with tracer.start_as_current_span("chat 🙂", kind=SpanKind.CLIENT) as chat:
            chat.set_attributes(
                {
                    "empty": "",
                    "text": 'ä\n\t"\\\u0000 \u2028 \U0001f600',
                    "big": (1 << 63) - 1,
                    "small": -(1 << 63),
                    "double": 0.1,
                    "infinite": float("inf"),
                    "no": False,
                    "texts": ["a", ""],
                    "numbers": [1, -2],
                    "doubles": [1e300, -0.0],
                    "session.id": SESSION,
                }
            )
            chat.add_event("token", {"n": 1}, timestamp=1_790_000_000_000_000_001)
            chat.record_exception(ValueError("not good"))
            chat.set_status(Status(StatusCode.ERROR, "it failed"))
    provider.shutdown()
    return list(kept.get_finished_spans())
