"""SDK spans as what the journal takes: packed one by one, or as one encoded ExportTraceServiceRequest.

Law of this file: what it writes decodes to the message of the stock encoder
(`opentelemetry.exporter.otlp.proto.common.trace_encoder.encode_spans`), at a fraction of its cost; a span
that has not ended has end time 0. Resources and scopes are encoded once for each pair of objects (a bounded
memo that keeps the objects, so that their ids are not given to others).

Field numbers are those of opentelemetry-proto `trace.proto`.
"""

from collections.abc import Container, Sequence
from struct import Struct
from typing import Any, Final

import msgspec
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.status import Status

from otel_ext.otlp.packed import VERSION, PackedSpan, group, pack, request, resource_spans, shared
from otel_ext.otlp.packed import encode as encode_packed
from otel_ext.otlp.wire import attributes, field, plain_dict, utf8, varint

_MEMO: Final = 64
"""Pairs of resource and scope remembered at most."""

_KINDS: Final = {
    SpanKind.SERVER: b"\x30\x02",
    SpanKind.CLIENT: b"\x30\x03",
    SpanKind.PRODUCER: b"\x30\x04",
    SpanKind.CONSUMER: b"\x30\x05",
}
_STATUS: Final = {StatusCode.OK: b"\x18\x01", StatusCode.ERROR: b"\x18\x02"}
_INTERNAL, _UNSET = SpanKind.INTERNAL, StatusCode.UNSET  # members of an enum are slow to look up by
# start and end as fixed64 fields 7 and 8
_TIMES: Final = Struct("<cQcQ")
_TIME: Final = Struct("<Q")
_LATEST: Final = (1 << 64) - 1

# field 16, fixed32: "has is_remote" (0x100), and "is remote" (0x200)
_FLAGS_LOCAL: Final = b"\x85\x01\x00\x01\x00\x00"
_FLAGS_REMOTE: Final = b"\x85\x01\x00\x03\x00\x00"
_LINK_LOCAL: Final = b"\x35\x00\x01\x00\x00"
_LINK_REMOTE: Final = b"\x35\x00\x03\x00\x00"
_NO_STATUS: Final = b"\x7a\x00"

Parents = Container[tuple[int, int]]
"""`(trace id, span id)` of spans that live in another process though their context does not say so: a fork
copies the open spans of its parent."""

_groups: Final[dict[tuple[int, int], tuple[object, object, msgspec.Raw]]] = {}


def noted(span: ReadableSpan, remote: Parents = ()) -> tuple[bytes, dict[str, Any]]:
    """One span, ended or open, for the journal, and the attributes that it has in there."""
    found = _packed(span, remote)
    return pack(found) or request(found), found.attributes


def encode(spans: Sequence[ReadableSpan], remote: Parents = ()) -> bytes:
    """The request that carries these spans, in order, those of one resource and scope together."""
    resources: dict[tuple[bytes, bytes], dict[tuple[bytes, bytes], list[bytes]]] = {}
    for span in spans:
        found = _packed(span, remote)
        resource, url, scope, scope_url = shared(found)
        scopes = resources.setdefault((resource, url), {})
        scopes.setdefault((scope, scope_url), []).append(encode_packed(found))
    return b"".join(
        resource_spans(*resource, ((*scope, encoded) for scope, encoded in scopes.items()))
        for resource, scopes in resources.items()
    )


def _packed(span: ReadableSpan, remote: Parents) -> PackedSpan:
    context, parent, kind = span.get_span_context(), span.parent, span.kind
    times = _TIMES.pack(b"\x39", _time(span.start_time), b"\x41", _time(span.end_time))
    links_up = _trace_state(context) if context and context.trace_state else b""
    flags = _FLAGS_LOCAL
    if parent:
        links_up += b"\x22\x08" + parent.span_id.to_bytes(8, "big")
        if parent.is_remote or (parent.trace_id, parent.span_id) in remote:
            flags = _FLAGS_REMOTE
    return PackedSpan(
        VERSION,
        context.trace_id.to_bytes(16, "big") if context else bytes(16),
        context.span_id.to_bytes(8, "big") if context else bytes(8),
        links_up,
        span.name,
        (b"\x30\x01" if kind is _INTERNAL else _KINDS.get(kind, b"")) + times,
        plain_dict(span.attributes),
        _rest(span) + flags,
        _group(span.resource, span.instrumentation_scope),
    )


def _rest(span: ReadableSpan) -> bytes:
    """The fields after the attributes and before the flags."""
    parts = []
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
    text = status.description
    if status.status_code is _UNSET and not text:
        return _NO_STATUS
    code = _STATUS.get(status.status_code, b"")
    if text:
        return field(b"\x7a", field(b"\x12", utf8(text)) + code)
    return b"\x7a\x02" + code if code else _NO_STATUS


def _group(resource: Resource, scope: InstrumentationScope | None) -> msgspec.Raw:
    key = (id(resource), id(scope))
    known = _groups.get(key)
    if known is None:
        if len(_groups) >= _MEMO:
            _groups.clear()
        known = _groups[key] = (resource, scope, group((*_resource(resource), *_scope(scope))))
    return known[2]


def _resource(resource: Resource) -> tuple[bytes, bytes]:
    return attributes(resource.attributes, b"\x0a"), utf8(resource.schema_url or "")


def _scope(scope: InstrumentationScope | None) -> tuple[bytes, bytes]:
    if scope is None:
        return b"", b""
    name, version = utf8(scope.name or ""), utf8(scope.version or "")
    parts = [field(b"\x0a", name) if name else b"", field(b"\x12", version) if version else b""]
    parts.append(attributes(scope.attributes, b"\x1a"))
    return b"".join(parts), utf8(scope.schema_url or "")
