"""Requests changed on their way out: spans left out, marked, or sent in two halves.

Law of this file: what is not meant to change stays the producer's bytes. A mark or a repaired time is added
behind a span's own bytes, where protobuf lets the last value of a field win and adds to a list; so unknown
fields pass bit for bit (checklist item 58). Traces, logs and metrics have one layout down to their items
(resource, scope, item), so `halve` and the join of two requests know no difference.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel_ext.otlp.schema import (
    AnyValue,
    ArrayValue,
    KeyValue,
    RawSpan,
    Request,
    ResourceSpans,
    Scope,
    ScopeSpans,
)
from otel_ext.otlp.split import count
from otel_ext.span import Value
from otel_ext.telemetry import Telemetry

_TIME: Final = struct.Struct("<BQ")
_START_TAG: Final = 7 << 3 | 1
_END_TAG: Final = 8 << 3 | 1


def addition(
    marks: Iterable[tuple[str, Value]], *, start: int | None = None, end: int | None = None
) -> bytes:
    """What to put behind an encoded span so that it carries these attributes and times (ns) as well.

    Args:
        marks: attributes, added after its own; values are texts, truths or lists of texts.
        start: its start from now on; None leaves it. 0 is written out: nothing else undoes a value.
        end: its end, likewise.
    """
    span = RawSpan(
        attributes=[KeyValue(key=key, value=_any(value)).SerializeToString() for key, value in marks]
    )
    times = b"" if start is None else _TIME.pack(_START_TAG, start)
    times += b"" if end is None else _TIME.pack(_END_TAG, end)
    return times + span.SerializeToString()


def edit(body: bytes, edits: Mapping[int, bytes | None]) -> bytes:
    """A trace request without some spans, others with an `addition`.

    `edits` has, by a span's number in the request, its addition, or None to leave it out. What is left empty
    by that goes too.
    """
    request = Request.FromString(body)
    number = 0
    for resource_spans in request.resource_spans:
        emptied = []
        for place, scope_spans in enumerate(resource_spans.scope_spans):
            spans = scope_spans.spans
            here = range(number, number + len(spans))
            number += len(spans)
            if edits.keys().isdisjoint(here):
                continue
            changed = ((raw, edits.get(n, b"")) for n, raw in zip(here, spans, strict=True))
            spans[:] = [raw + more for raw, more in changed if more is not None]
            if not spans:
                emptied.append(place)
        for place in reversed(emptied):
            del resource_spans.scope_spans[place]
        if emptied and not resource_spans.scope_spans:
            resource_spans.Clear()
    for place in reversed(range(len(request.resource_spans))):
        if not request.resource_spans[place].ByteSize():
            del request.resource_spans[place]
    return request.SerializeToString()


def halve(body: bytes) -> tuple[bytes, bytes] | None:
    """A request of any telemetry as two, the first half of its items and the rest; None for a single item."""
    whole = Request.FromString(body)
    groups = [(r, s) for r in whole.resource_spans for s in r.scope_spans]
    total = sum(len(s.spans) for _, s in groups)
    if total < 2:
        return None
    first, second = Request(), Request()
    room = total // 2
    for resource_spans in whole.resource_spans:
        left, right = ResourceSpans(), ResourceSpans()
        for scope_spans in resource_spans.scope_spans:
            spans = list(scope_spans.spans)
            del scope_spans.spans[:]
            envelope = scope_spans.SerializeToString()  # with the fields that we do not know
            for half, part in ((left, spans[:room]), (right, spans[room:])):
                if part:
                    copy = ScopeSpans.FromString(envelope)
                    copy.spans.extend(part)
                    half.scope_spans.append(copy)
            room = max(0, room - len(spans))
        del resource_spans.scope_spans[:]
        envelope = resource_spans.SerializeToString()
        for request, half in ((first, left), (second, right)):
            if len(half.scope_spans):
                half.MergeFromString(envelope)
                request.resource_spans.append(half)
    del whole.resource_spans[:]
    envelope = whole.SerializeToString()
    return first.SerializeToString() + envelope, second.SerializeToString() + envelope


def only_scope(body: bytes, name: str) -> bytes:
    """What of a trace request stands under scopes of that name; b"" when nothing does."""
    request = Request.FromString(body)
    for resource_spans in request.resource_spans:
        scopes = resource_spans.scope_spans
        for place in reversed(range(len(scopes))):
            if Scope.FromString(b"".join(scopes[place].scope)).name != name:
                del scopes[place]
        if not scopes:
            resource_spans.Clear()
    return Request(resource_spans=[r for r in request.resource_spans if r.ByteSize()]).SerializeToString()


def items_of(telemetry: Telemetry, body: bytes) -> int:
    """How many items (spans, log records, data points) an encoded request holds."""
    if telemetry is not Telemetry.METRICS:
        return count(body)
    kinds = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
    return sum(
        len(getattr(metric, kind).data_points)
        for resource_metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
        for kind in kinds
    )


def _any(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    assert isinstance(value, list), "a mark is a text, a truth or a list of texts"
    return AnyValue(array_value=ArrayValue(values=[_any(each) for each in value]))
