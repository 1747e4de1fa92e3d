"""Requests for tests: hypothesis strategies over the registered OpenTelemetry messages, and an oracle.

The oracle reads our JSON with protobuf's own `json_format`, after turning hex ids into the base64 that
protobuf's JSON mapping wants; it shares no code with the package.
"""

import base64
import json
import re
from typing import Any

from google.protobuf import json_format
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_ext import otlp

START = 1_749_650_492_598_000_000
TRACE, SPAN = bytes(range(1, 17)), bytes(range(1, 9))

_text = st.text(st.characters(codec="utf-8"), max_size=12)
_uint32 = st.integers(0, 2**32 - 1)
_fixed64 = st.integers(0, 2**64 - 1)
_ids = {size: st.binary(min_size=size, max_size=size).filter(any) for size in (8, 16)}

_leaves = st.one_of(
    st.just(AnyValue()),
    st.builds(AnyValue, string_value=_text),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    # A NaN's payload is the one thing that JSON cannot carry.
    st.builds(AnyValue, double_value=st.floats(allow_nan=False) | st.just(float("nan"))),
    st.builds(AnyValue, bytes_value=st.binary(max_size=8)),
)


def _nested(children: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    pairs = st.lists(st.builds(KeyValue, key=_text, value=children), max_size=3)
    arrays = st.builds(ArrayValue, values=st.lists(children, max_size=3))
    return st.one_of(
        st.builds(AnyValue, array_value=arrays),
        st.builds(AnyValue, kvlist_value=st.builds(KeyValueList, values=pairs)),
    )


values = st.recursive(_leaves, _nested, max_leaves=6)
key_values = st.one_of(
    st.builds(KeyValue, key=_text, value=values),
    st.builds(KeyValue, key=_text),
    st.builds(KeyValue, key=st.sampled_from(["same", "same too", "gen_ai.system"]), value=values),
)
attributes = st.lists(key_values, max_size=5)
_events = st.builds(
    Span.Event, time_unix_nano=_fixed64, name=_text, attributes=attributes, dropped_attributes_count=_uint32
)
_links = st.builds(
    Span.Link,
    trace_id=_ids[16],
    span_id=_ids[8],
    trace_state=_text,
    attributes=attributes,
    dropped_attributes_count=_uint32,
    flags=_uint32,
)
spans = st.builds(
    Span,
    trace_id=_ids[16],
    span_id=_ids[8],
    trace_state=_text,
    parent_span_id=st.just(b"") | _ids[8],
    flags=_uint32,
    name=_text,
    kind=st.sampled_from([0, 1, 2, 3, 4, 5]),
    start_time_unix_nano=_fixed64,
    end_time_unix_nano=_fixed64,
    attributes=attributes,
    dropped_attributes_count=_uint32,
    events=st.lists(_events, max_size=2),
    dropped_events_count=_uint32,
    links=st.lists(_links, max_size=2),
    dropped_links_count=_uint32,
    status=st.none() | st.builds(Status, message=_text, code=st.sampled_from([0, 1, 2])),
)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    """Requests of up to two resources with up to two scopes each."""
    request = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        group = request.resource_spans.add(schema_url=draw(_text))
        group.resource.attributes.extend(draw(attributes))
        group.resource.dropped_attributes_count = draw(_uint32)
        for _ in range(draw(st.integers(0, 2))):
            scope = group.scope_spans.add(schema_url=draw(_text))
            scope.scope.name, scope.scope.version = draw(_text), draw(_text)
            scope.scope.attributes.extend(draw(attributes))
            scope.spans.extend(draw(st.lists(spans, max_size=2)))
    return request


def span(**fields: Any) -> Span:
    """An ordinary span with `fields` in place of its own."""
    plain: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "name": "chat",
        "start_time_unix_nano": START,
        "end_time_unix_nano": START + 5,
    }
    return Span(**(plain | fields))


def status(code: Any, message: str = "") -> Status:
    """A status with a code given as a number."""
    return Status(code=code, message=message)


def request_of(*raw: bytes) -> bytes:
    """An encoded request of one resource and scope around encoded spans."""
    scope = b"\x0a\x03\x0a\x01s" + b"".join(sized(0x12, one) for one in raw)
    return sized(0x0A, b"\x0a\x00" + sized(0x12, scope))


def sized(tag: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return bytes((tag,)) + varint(len(data)) + data


def varint(number: int) -> bytes:
    """A base-128 number."""
    out = b""
    while number > 0x7F:
        out += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return out + bytes((number,))


def deep_span(levels: int, tag: int = 0x2A) -> bytes:
    """An encoded span with an attribute of `levels` nested arrays (0x2a) or key-value lists (0x32)."""
    value = b""
    for _ in range(levels):
        inner = value if tag == 0x2A else sized(0x12, value)
        value = sized(tag, sized(0x0A, inner))
    return span().SerializeToString() + sized(0x4A, b"\x0a\x01k" + sized(0x12, value))


def as_line(request: bytes) -> bytes:
    """The request as our JSON line."""
    resources: list[tuple[bytes, str, list[tuple[bytes, str, list[bytes]]]]] = []
    for resource, url, scope, scope_url, raws in otlp.split(request):
        spans_json = [otlp.span_json(raw) for raw in raws]
        resources.append((resource, url, [(scope, scope_url, spans_json)]))
    return otlp.line(resources)


def regrouped(request: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """The request with one scope a resource, and resource and scope present, as `as_line` groups it."""
    out = ExportTraceServiceRequest()
    for group in request.resource_spans:
        for scope in group.scope_spans:
            copy = out.resource_spans.add(schema_url=group.schema_url)
            copy.resource.CopyFrom(group.resource)
            added = copy.scope_spans.add()
            added.CopyFrom(scope)
            added.scope.SetInParent()
    return out


def oracle(line: bytes) -> ExportTraceServiceRequest:
    """Our line as protobuf's own JSON reader sees it."""
    data = json.loads(line)
    _ids_to_base64(data)
    return json_format.ParseDict(data, ExportTraceServiceRequest(), ignore_unknown_fields=True)


def _ids_to_base64(node: Any) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"traceId", "spanId", "parentSpanId"} and isinstance(value, str):
                assert re.fullmatch(r"(?:[0-9a-f]{2})*", value)
                node[key] = base64.b64encode(bytes.fromhex(value)).decode()
            else:
                _ids_to_base64(value)
    elif isinstance(node, list):
        for value in node:
            _ids_to_base64(value)


def instant(value: object) -> int:
    """Reads only what strict OTLP/JSON allows: the room's tests need no other."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("not an instant")  # noqa: TRY004
    return int(value)
