"""Admission: which spans of a request are spans at all.

Law of this file: a request whose envelope can be read is never refused for one of its spans; the span is
rejected, counted by reason, and the rest of the request goes on byte for byte. The full parse in C is
the test of everything but ids; only when it fails are spans looked at one by one.

Rules: trace ids have 16 bytes, span ids 8, not all zero (opentelemetry-proto `Span`); strings are UTF-8;
values are nested no deeper than protobuf reads (100 messages, request included). Unknown and deprecated
fields pass. A body in which every span is invalid is still a partial success (checklist item 20).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.diagnose import DEPTH, UNDECODABLE, UTF8, reason
from otel_ext.otlp.schema import RawSpan, Request, ResourceSpans, ScopeSpans

_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)

_WORDS: Final = {
    "trace_id": "with a trace_id that is not 16 bytes or all zero",
    "span_id": "with a span_id that is not 8 bytes or all zero",
    UTF8: "with a string that is not UTF-8 (in the span, its resource or its scope)",
    DEPTH: "with values nested deeper than protobuf reads (100 messages)",
    UNDECODABLE: "that cannot be decoded",
}


class Admitted(NamedTuple):
    """What admission made of a request.

    Attributes:
        body: the request without its rejected spans; the same object when none was rejected.
        received: spans in the request, rejected ones included.
        rejected: reason ("trace_id", "span_id", "utf8", "undecodable", "depth") -> spans.
        message: an English sentence for `partial_success.error_message`; "" when none was rejected.
    """

    body: bytes
    received: int
    rejected: dict[str, int]
    message: str


def admit(body: bytes) -> Admitted:
    """Check an encoded ExportTraceServiceRequest, span by span where that is needed.

    Raises:
        InvalidRequest: the envelope (request, ResourceSpans, ScopeSpans) cannot be decoded.
    """
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        return _one_by_one(body)
    received = 0
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans = scope_spans.spans
            received += len(spans)
            for span in spans:
                trace_id, span_id = span.trace_id, span.span_id
                if len(trace_id) != 16 or len(span_id) != 8 or trace_id == _NO_TRACE or span_id == _NO_SPAN:
                    return _one_by_one(body)
    return Admitted(body, received, {}, "")


def _one_by_one(body: bytes) -> Admitted:
    try:
        request = Request.FromString(body)
    except DecodeError:
        raise InvalidRequest(
            f"the body ({len(body)} bytes) is not an ExportTraceServiceRequest in protobuf encoding"
        ) from None
    received, rejected = 0, Counter[str]()
    for resource_spans in request.resource_spans:
        bad = _envelope_fault(resource=resource_spans.resource, url=resource_spans.schema_url)
        kept = []
        for scope_spans in resource_spans.scope_spans:
            received += len(scope_spans.spans)
            fault = bad or _envelope_fault(scope=scope_spans.scope, url=scope_spans.schema_url)
            if fault:
                rejected[fault] += len(scope_spans.spans)
                continue
            faults = [_span_fault(raw) for raw in scope_spans.spans]
            rejected.update(fault for fault in faults if fault)
            if any(faults):
                scope_spans.spans[:] = [r for r, f in zip(scope_spans.spans, faults, strict=True) if not f]
            kept.append(scope_spans)
        if bad:
            # Its bytes would make the whole request undecodable to whoever reads it next.
            resource_spans.Clear()
        elif len(kept) < len(resource_spans.scope_spans):
            copies = [scope_spans.SerializeToString() for scope_spans in kept]
            del resource_spans.scope_spans[:]
            resource_spans.scope_spans.extend(ScopeSpans.FromString(copy) for copy in copies)
    counts = {name: rejected[name] for name in _WORDS if rejected[name]}
    return Admitted(request.SerializeToString(), received, counts, _message(counts, received))


def _envelope_fault(resource: Sequence[bytes] = (), scope: Sequence[bytes] = (), url: bytes = b"") -> str:
    """What is wrong with a resource or a scope and its schema URL; "" when nothing is."""
    scope_spans = [ScopeSpans(scope=scope)] if scope else []
    envelope = ResourceSpans(resource=resource, scope_spans=scope_spans, schema_url=url)
    return _fault(Request(resource_spans=[envelope]).SerializeToString())


def _span_fault(raw: bytes) -> str:
    """The reason to reject the span; "" when there is none."""
    # Parsed at its true depth inside a request, so that it is judged as the full parse would.
    envelope = ResourceSpans(scope_spans=[ScopeSpans(spans=[raw])])
    fault = _fault(Request(resource_spans=[envelope]).SerializeToString())
    if fault:
        return fault
    span = RawSpan.FromString(raw)
    if len(span.trace_id) != 16 or span.trace_id == _NO_TRACE:
        return "trace_id"
    return "span_id" if len(span.span_id) != 8 or span.span_id == _NO_SPAN else ""


def _fault(request: bytes) -> str:
    try:
        ExportTraceServiceRequest.FromString(request)
    except DecodeError:
        return reason(request)
    return ""


def _message(rejected: dict[str, int], received: int) -> str:
    if not rejected:
        return ""
    parts = ", ".join(f"{count} {_WORDS[name]}" for name, count in rejected.items())
    return f"{sum(rejected.values())} of {received} spans were rejected: {parts}."
