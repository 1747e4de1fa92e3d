"""Derived spans (findings, ends of sessions) to a SpanExporter of the program's choice.

Law of this file: the pipeline never waits for the exporter: at most `WAITING` requests wait, the oldest go
first and are counted, as are failed exports (they are not repeated: the files have them all).
"""

import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel_ext.sdk.warn import warn
from otel_ext.stats import Stats

WAITING: Final = 2048
"""Requests that may wait; one carries the derived spans of one finding or end."""


class DerivedExport:
    """Feeds an exporter from its own thread, which starts with the first derived span."""

    def __init__(self, exporter: SpanExporter, stats: Stats) -> None:
        self._exporter, self._stats = exporter, stats
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._busy = self._closed = False
        self._thread: threading.Thread | None = None

    def put(self, body: bytes) -> None:
        """Queue an encoded request; called by the pipeline's thread."""
        if self._process != os.getpid():
            self._reset()  # the parent exports what was waiting at the fork
        with self._lock:
            if len(self._queue) >= WAITING:
                self._queue.popleft()
                self._stats.add("otel_ext.sdk.derived.dropped")
            self._queue.append(body)
            self._lock.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="otel-ext-derived", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is ending: `close` exports what waits
                    self._thread = None

    def flush(self, timeout: float) -> bool:
        """Whether everything that came so far was given to the exporter within `timeout` seconds."""
        if self._process != os.getpid():
            return True
        with self._lock:
            return self._lock.wait_for(lambda: not self._queue and not self._busy, timeout)

    def close(self, timeout: float) -> None:
        """Export what waits, within `timeout` seconds, then shut the exporter down."""
        if self._process != os.getpid():
            self._reset()
        if self._thread is None:
            self._rounds(wait=False)
        else:
            self.flush(timeout)
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        self._exporter.shutdown()

    def _run(self) -> None:
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        self._rounds(wait=True)

    def _rounds(self, *, wait: bool) -> None:
        while True:
            with self._lock:
                self._busy = False
                self._lock.notify_all()
                while wait and not self._queue and not self._closed:
                    self._lock.wait()
                if not self._queue:
                    return
                bodies, self._busy = list(self._queue), True
                self._queue.clear()
            spans = [span for body in bodies for span in readable(body)]
            try:
                done = self._exporter.export(spans) is SpanExportResult.SUCCESS
            except Exception as error:  # noqa: BLE001 - an exporter of anybody's
                done = False
                warn("derived", "the exporter of derived spans failed", error)
            name = "otel_ext.sdk.derived.exported" if done else "otel_ext.sdk.derived.failed"
            self._stats.add(name, len(spans))


def readable(body: bytes) -> Iterator[ReadableSpan]:
    """The spans of an encoded ExportTraceServiceRequest as an SDK exporter takes them."""
    for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = Resource(_attributes(resource_spans.resource.attributes), resource_spans.schema_url)
        for scope_spans in resource_spans.scope_spans:
            library = scope_spans.scope
            scope = InstrumentationScope(library.name, library.version, scope_spans.schema_url)
            for span in scope_spans.spans:
                yield _readable(span, resource, scope)


def _readable(span: trace_pb2.Span, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    parent = _context(span.trace_id, span.parent_span_id) if span.parent_span_id else None
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=parent,
        resource=resource,
        attributes=_attributes(span.attributes),
        events=[
            Event(event.name, _attributes(event.attributes), event.time_unix_nano) for event in span.events
        ],
        links=[
            Link(_context(link.trace_id, link.span_id), _attributes(link.attributes)) for link in span.links
        ],
        kind=SpanKind(max(0, span.kind - 1)),
        status=Status(StatusCode(span.status.code), span.status.message or None),
        start_time=span.start_time_unix_nano,
        end_time=span.end_time_unix_nano,
        instrumentation_scope=scope,
    )


def _context(trace_id: bytes, span_id: bytes) -> SpanContext:
    return SpanContext(
        int.from_bytes(trace_id, "big"),
        int.from_bytes(span_id, "big"),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


def _attributes(items: Any) -> Mapping[str, Any]:
    return {item.key: _value(item.value) for item in items}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        pairs: list[KeyValue] = list(value.kvlist_value.values)
        return {item.key: _value(item.value) for item in pairs}
    return getattr(value, kind) if kind else None
