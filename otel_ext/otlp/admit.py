"""Admission: which spans, log records and metrics of a request are such at all.

Law of this file: a request whose envelope can be read is never refused for one of its items; the item is
rejected, counted by reason, and the rest of the request goes on byte for byte. Only where nobody vouches for
the request as a whole (`vouch`) are items looked at one by one.

Rules: strings are UTF-8; values are nested no deeper than protobuf reads (100 messages, request included).
A span's trace id has 16 bytes, its span id 8, not all zero (opentelemetry-proto `Span`). A log record need
not have them: zeros and nothing mean that it belongs to no span (`LogRecord`), another length is rejected,
because no reader of OTLP JSON takes the line in which it would stand. A metric is one item with as many
data points as it has, and is rejected as a whole. Unknown and deprecated fields pass. A body in which every
item is invalid is still a partial success (checklist item 20).
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.diagnose import DEPTH, UNDECODABLE, UTF8, reason, without_depth
from otel_ext.otlp.exports import EXPORTS
from otel_ext.otlp.schema import Request, ResourceSpans, ScopeSpans
from otel_ext.otlp.vouch import ANYHOW, NO_SPAN, NO_TRACE, data_points, vouched
from otel_ext.telemetry import Telemetry

_WORDS: Final = {
    "trace_id": "with a trace_id that is all zero or not 16 bytes long",
    "span_id": "with a span_id that is all zero or not 8 bytes long",
    UTF8: "with a string that is not UTF-8 (in them, their resource or their scope)",
    DEPTH: "with values nested deeper than protobuf reads (100 messages)",
    UNDECODABLE: "that cannot be decoded",
}


class Admitted(NamedTuple):
    """What admission made of a request.

    Attributes:
        body: the request without its rejected items; the same object when none was rejected.
        received: spans, log records or data points in the request, rejected ones included.
        rejected: reason ("trace_id", "span_id", "utf8", "undecodable", "depth") -> how many of them.
        message: an English sentence for `partial_success.error_message`; "" when none was rejected.
    """

    body: bytes
    received: int
    rejected: dict[str, int]
    message: str


def admit(
    body: bytes,
    telemetry: Telemetry = Telemetry.TRACES,
    *,
    alone: AbstractContextManager[Any] = ANYHOW,
) -> Admitted:
    """Check an encoded export request, item by item where that is needed.

    Args:
        body: the request.
        telemetry: of what it is.
        alone: see `vouched`.

    Raises:
        InvalidRequest: the envelope (request, resource, scope) cannot be decoded.
    """
    received = vouched(body, telemetry, alone)
    return _one_by_one(body, telemetry) if received is None else Admitted(body, received, {}, "")


def _one_by_one(body: bytes, telemetry: Telemetry) -> Admitted:
    try:
        request = Request.FromString(body)
    except DecodeError:
        name = EXPORTS[telemetry].schema.DESCRIPTOR.name
        raise InvalidRequest(f"the body ({len(body)} bytes) is not an {name} in protobuf encoding") from None
    received, rejected = 0, Counter[str]()
    for resource_spans in request.resource_spans:
        bad = _envelope_fault(telemetry, resource=resource_spans.resource, url=resource_spans.schema_url)
        kept = []
        for scope_spans in resource_spans.scope_spans:
            sizes = [_size(raw, telemetry) for raw in scope_spans.spans]
            received += sum(sizes)
            fault = bad or _envelope_fault(telemetry, scope=scope_spans.scope, url=scope_spans.schema_url)
            if fault:
                rejected[fault] += sum(sizes)
                continue
            faults = [_item_fault(raw, telemetry) for raw in scope_spans.spans]
            for each, size in zip(faults, sizes, strict=True):
                if each:
                    rejected[each] += size
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
    message = _message(counts, received, EXPORTS[telemetry].noun)
    return Admitted(request.SerializeToString(), received, counts, message)


def _envelope_fault(
    telemetry: Telemetry, resource: Sequence[bytes] = (), scope: Sequence[bytes] = (), url: bytes = b""
) -> str:
    """What is wrong with a resource or a scope and its schema URL; "" when nothing is."""
    scope_spans = [ScopeSpans(scope=scope)] if scope else []
    envelope = ResourceSpans(resource=resource, scope_spans=scope_spans, schema_url=url)
    return _fault(Request(resource_spans=[envelope]).SerializeToString(), telemetry)


def _item_fault(raw: bytes, telemetry: Telemetry) -> str:
    """The reason to reject an item; "" when there is none."""
    request = _alone(raw)
    fault = _fault(request, telemetry)
    if fault or telemetry is Telemetry.METRICS:
        return fault
    item = _only(EXPORTS[telemetry].schema.FromString(request), telemetry)
    free = telemetry is Telemetry.LOGS
    for name, value, none in (("trace_id", item.trace_id, NO_TRACE), ("span_id", item.span_id, NO_SPAN)):
        if (len(value) != len(none) or value == none) and not (free and value in {b"", none}):
            return name
    return ""


def _size(raw: bytes, telemetry: Telemetry) -> int:
    """How much an item counts; a metric that cannot be read counts as one data point."""
    if telemetry is not Telemetry.METRICS:
        return 1
    request = without_depth(telemetry, _alone(raw))
    return 1 if request is None else data_points(_only(request, telemetry))


def _alone(raw: bytes) -> bytes:
    """A request of one item: at its true depth, so that it is judged as the full parse would."""
    envelope = ResourceSpans(scope_spans=[ScopeSpans(spans=[raw])])
    return Request(resource_spans=[envelope]).SerializeToString()


def _only(request: Any, telemetry: Telemetry) -> Any:
    """The item of such a request."""
    export = EXPORTS[telemetry]
    return getattr(getattr(getattr(request, export.groups)[0], export.scopes)[0], export.items)[0]


def _fault(request: bytes, telemetry: Telemetry) -> str:
    try:
        EXPORTS[telemetry].schema.FromString(request)
    except DecodeError:
        return reason(request, telemetry)
    return ""


def _message(rejected: dict[str, int], received: int, noun: str) -> str:
    if not rejected:
        return ""
    parts = ", ".join(f"{count} {_WORDS[name]}" for name, count in rejected.items())
    return f"{sum(rejected.values())} of {received} {noun} were rejected: {parts}."
