"""SDK spans as one encoded ExportTraceServiceRequest.

Law of this file: what it writes decodes to the message of the stock encoder
(`opentelemetry.exporter.otlp.proto.common.trace_encoder.encode_spans`), at a fraction of its cost; a span
that has not ended has end time 0. Resources and scopes are encoded once for each object (a bounded memo that
keeps the object, so that its id is not given to another one).

Field numbers are those of opentelemetry-proto `trace.proto`.
"""

from collections.abc import Container, Sequence
from struct import Struct
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.status import Status

from otel_ext.sdk.wire import attributes, field, utf8, varint

_MEMO: Final = 64
"""Resources, and scopes, remembered at most."""

_KINDS: Final = {
    SpanKind.INTERNAL: b"\x30\x01",
    SpanKind.SERVER: b"\x30\x02",
    SpanKind.CLIENT: b"\x30\x03",
    SpanKind.PRODUCER: b"\x30\x04",
    SpanKind.CONSUMER: b"\x30\x05",
}
_STATUS: Final = {StatusCode.OK: b"\x18\x01", StatusCode.ERROR: b"\x18\x02"}
# start and end as fixed64 fields 7 and 8
_TIMES: Final = Struct("<cQcQ")
_TIME: Final = Struct("<Q")
_LATEST: Final = (1 << 64) - 1

# field 16, fixed32: "has is_remote" (0x100), and "is remote" (0x200)
_FLAGS_LOCAL: Final = b"\x85\x01\x00\x01\x00\x00"
_FLAGS_REMOTE: Final = b"\x85\x01\x00\x03\x00\x00"
_LINK_LOCAL: Final = b"\x35\x00\x01\x00\x00"
_LINK_REMOTE: Final = b"\x35\x00\x03\x00\x00"

_resources: Final[dict[int, tuple[object, bytes, bytes]]] = {}
_scopes: Final[dict[int, tuple[object, bytes, bytes]]] = {}


def encode(spans: Sequence[ReadableSpan], remote: Container[tuple[int, int]] = ()) -> bytes:
    """The request that carries these spans, in order, those of one resource and scope together.

    Args:
        spans: ended or open.
        remote: `(trace id, span id)` of spans that live in another process though their context does not say
            so: a fork copies the open spans of its parent.
    """
    if len(spans) == 1:
        return _one(spans[0], remote)
    groups: dict[int, dict[int, list[ReadableSpan]]] = {}
    for span in spans:
        scopes = groups.setdefault(id(span.resource), {})
        scopes.setdefault(id(span.instrumentation_scope), []).append(span)
    return b"".join(
        _request(next(iter(scopes.values()))[0].resource, scopes, remote) for scopes in groups.values()
    )


def _one(span: ReadableSpan, remote: Container[tuple[int, int]]) -> bytes:
    """The request of one span; what a processor hands over, so it goes the shortest way."""
    head, tail = _resource(span.resource)
    before, after = _scope(span.instrumentation_scope)
    encoded = encode_span(span, remote)
    length = varint(len(encoded))
    size = len(before) + 1 + len(length) + len(encoded) + len(after)
    inner = varint(size)
    whole = varint(len(head) + 1 + len(inner) + size + len(tail))
    return b"".join((b"\x0a", whole, head, b"\x12", inner, before, b"\x12", length, encoded, after, tail))


def _request(
    resource: Resource, scopes: dict[int, list[ReadableSpan]], remote: Container[tuple[int, int]]
) -> bytes:
    """One ResourceSpans as field 1; requests that follow one another are one request."""
    head, tail = _resource(resource)
    parts = [head]
    for spans in scopes.values():
        before, after = _scope(spans[0].instrumentation_scope)
        encoded = [encode_span(span, remote) for span in spans]
        size = len(before) + len(after)
        body = [before]
        for span in encoded:
            length = varint(len(span))
            size += 1 + len(length) + len(span)
            body += (b"\x12", length, span)
        parts += (b"\x12", varint(size), *body, after)
    parts.append(tail)
    return b"".join((b"\x0a", varint(sum(map(len, parts))), *parts))


def encode_span(span: ReadableSpan, remote: Container[tuple[int, int]] = ()) -> bytes:
    """The Span message; see `encode`."""
    context, parent = span.get_span_context(), span.parent
    name = utf8(span.name)
    times = _TIMES.pack(b"\x39", _time(span.start_time), b"\x41", _time(span.end_time))
    parts = [
        b"\x0a\x10",
        context.trace_id.to_bytes(16, "big") if context else bytes(16),
        b"\x12\x08",
        context.span_id.to_bytes(8, "big") if context else bytes(8),
    ]
    if context and context.trace_state:
        parts.append(_trace_state(context))
    if parent:
        parts += (b"\x22\x08", parent.span_id.to_bytes(8, "big"))
    parts += (
        b"\x2a",
        varint(len(name)),
        name,
        _KINDS.get(span.kind, b""),
        times,
        attributes(span.attributes, b"\x4a"),
    )
    if dropped := span.dropped_attributes:
        parts.append(b"\x50" + varint(dropped))
    if events := span.events:
        parts += [_event(event) for event in events]
    if dropped := span.dropped_events:
        parts.append(b"\x60" + varint(dropped))
    if links := span.links:
        parts += [_link(link) for link in links]
    if dropped := span.dropped_links:
        parts.append(b"\x70" + varint(dropped))
    if (status := span.status) is not None:
        parts.append(_status(status))
    far = parent and (parent.is_remote or (parent.trace_id, parent.span_id) in remote)
    parts.append(_FLAGS_REMOTE if far else _FLAGS_LOCAL)
    return b"".join(parts)


def _time(time: int | None) -> int:
    """What a fixed64 holds of a time; 0 for none."""
    return 0 if time is None or time < 0 else min(time, _LATEST)


def _trace_state(context: SpanContext) -> bytes:
    return field(b"\x1a", utf8(",".join(f"{key}={value}" for key, value in context.trace_state.items())))


def _event(event: Event) -> bytes:
    name = utf8(event.name)
    parts = [
        b"\x09",
        _TIME.pack(_time(event.timestamp)),
        b"\x12",
        varint(len(name)),
        name,
        attributes(event.attributes, b"\x1a"),
    ]
    if dropped := event.dropped_attributes:
        parts.append(b"\x20" + varint(dropped))
    return field(b"\x5a", b"".join(parts))


def _link(link: Link) -> bytes:
    context = link.context
    parts = [
        b"\x0a\x10",
        context.trace_id.to_bytes(16, "big"),
        b"\x12\x08",
        context.span_id.to_bytes(8, "big"),
        attributes(link.attributes, b"\x22"),
    ]
    if dropped := link.dropped_attributes:
        parts.append(b"\x28" + varint(dropped))
    parts.append(_LINK_REMOTE if context.is_remote else _LINK_LOCAL)
    return field(b"\x6a", b"".join(parts))


def _status(status: Status) -> bytes:
    code, text = _STATUS.get(status.status_code, b""), status.description
    if text:
        return field(b"\x7a", field(b"\x12", utf8(text)) + code)
    return b"\x7a\x02" + code if code else b"\x7a\x00"


def _resource(resource: Resource) -> tuple[bytes, bytes]:
    """A ResourceSpans' bytes before its scopes and after them."""
    known = _resources.get(id(resource))
    if known is None:
        head = field(b"\x0a", attributes(resource.attributes, b"\x0a"))
        known = (resource, head, _url(resource.schema_url))
        _remember(_resources, known)
    return known[1], known[2]


def _scope(scope: InstrumentationScope | None) -> tuple[bytes, bytes]:
    """A ScopeSpans' bytes before its spans and after them."""
    if scope is None:
        return b"\x0a\x00", b""
    known = _scopes.get(id(scope))
    if known is None:
        name, version = utf8(scope.name or ""), utf8(scope.version or "")
        parts = [field(b"\x0a", name) if name else b"", field(b"\x12", version) if version else b""]
        parts.append(attributes(scope.attributes, b"\x1a"))
        known = (scope, field(b"\x0a", b"".join(parts)), _url(scope.schema_url))
        _remember(_scopes, known)
    return known[1], known[2]


def _remember(memo: dict[int, tuple[object, bytes, bytes]], entry: tuple[object, bytes, bytes]) -> None:
    if len(memo) >= _MEMO:
        memo.clear()
    memo[id(entry[0])] = entry


def _url(text: str | None) -> bytes:
    return field(b"\x1a", utf8(text)) if text else b""
