"""Messages that are OTLP on the wire and cheaper to read than OTLP's own.

Law of this file: every message here reads and writes the wire format of opentelemetry-proto 1.x (trace,
common and resource; field numbers are the standard's); only the *types* differ. A submessage declared as
`bytes` is carried, not parsed; a singular submessage declared as `repeated bytes` is joined by its
reader, because concatenating two encodings is how protobuf merges them. Every field not named here is an
unknown field and survives parsing and serialising.

The descriptors are built at import in a pool of their own, so nothing is generated and nothing can
collide with the registered OpenTelemetry messages.
"""

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE: Final = "otel_ext.otlp"

_SCALARS: Final = {
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "int64": FieldDescriptorProto.TYPE_INT64,
    # OTLP's enums: an int32 has the same wire form and keeps numbers that we do not know.
    "enum": FieldDescriptorProto.TYPE_INT32,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "fixed32": FieldDescriptorProto.TYPE_FIXED32,
    "fixed64": FieldDescriptorProto.TYPE_FIXED64,
}

_MESSAGES: Final = {
    "Request": "1 resource_spans *ResourceSpans",
    "ResourceSpans": "1 resource *bytes, 2 scope_spans *ScopeSpans, 3 schema_url bytes",
    "ScopeSpans": "1 scope *bytes, 2 spans *bytes, 3 schema_url bytes",
    "Resource": "1 attributes *bytes, 2 dropped_attributes_count uint32",
    "Scope": "1 name string, 2 version string, 3 attributes *bytes, 4 dropped_attributes_count uint32",
    "Span": (
        "1 trace_id bytes, 2 span_id bytes, 3 trace_state string, 4 parent_span_id bytes, 5 name string, "
        "6 kind enum, 7 start_time_unix_nano fixed64, 8 end_time_unix_nano fixed64, 9 attributes *bytes, "
        "10 dropped_attributes_count uint32, 11 events *bytes, 12 dropped_events_count uint32, "
        "13 links *bytes, 14 dropped_links_count uint32, 15 status Status, 16 flags fixed32"
    ),
    # The fields that nearly every span has: one with more has unknown fields, which is asked for at once.
    "PlainSpan": (
        "1 trace_id bytes, 2 span_id bytes, 4 parent_span_id bytes, 5 name string, 6 kind enum, "
        "7 start_time_unix_nano fixed64, 8 end_time_unix_nano fixed64, 9 attributes *bytes, "
        "15 status Status, 16 flags fixed32"
    ),
    "Log": (
        "1 time_unix_nano fixed64, 5 body *bytes, 6 attributes *bytes, 9 trace_id bytes, 10 span_id bytes, "
        "11 observed_time_unix_nano fixed64, 12 event_name bytes"
    ),
    "Status": "2 message string, 3 code enum",
    "Event": (
        "1 time_unix_nano fixed64, 2 name string, 3 attributes *bytes, 4 dropped_attributes_count uint32"
    ),
    "Link": (
        "1 trace_id bytes, 2 span_id bytes, 3 trace_state string, 4 attributes *bytes, "
        "5 dropped_attributes_count uint32, 6 flags fixed32"
    ),
    "KeyValue": "1 key string, 2 value AnyValue",
    "AnyValue": (
        "1 string_value |string, 2 bool_value |bool, 3 int_value |int64, 4 double_value |double, "
        "5 array_value |ArrayValue, 6 kvlist_value |KeyValueList, 7 bytes_value |bytes"
    ),
    "ArrayValue": "1 values *AnyValue",
    "KeyValueList": "1 values *KeyValue",
}
"""Message -> its fields, each "number name type"; `*` repeated, `|` in the oneof."""


def add_message(file: FileDescriptorProto, name: str, fields: str) -> None:
    """Add message `name` with `fields` (written as in `_MESSAGES`) to `file`."""
    message = file.message_type.add(name=name)
    for text in fields.split(", "):
        number, field_name, kind = text.split()
        mark, kind = (kind[0], kind[1:]) if kind[0] in "*|" else ("", kind)
        label = FieldDescriptorProto.LABEL_REPEATED if mark == "*" else FieldDescriptorProto.LABEL_OPTIONAL
        field = message.field.add(name=field_name, number=int(number), label=label)
        if mark == "|":
            if not message.oneof_decl:
                message.oneof_decl.add(name="value")
            field.oneof_index = 0
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{PACKAGE}.{kind}"


def new_file(name: str) -> FileDescriptorProto:
    """An empty proto3 file of our package."""
    return FileDescriptorProto(name=name, package=PACKAGE, syntax="proto3")


def message_class(file: FileDescriptorProto, name: str) -> Any:
    """The class of message `name`, from `file` in a pool of its own."""
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


if TYPE_CHECKING:
    from collections.abc import MutableSequence

    from google.protobuf.internal.containers import RepeatedScalarFieldContainer
    from google.protobuf.message import Message

    class _Wire(Message):
        def __init__(self, **fields: Any) -> None: ...

    class Request(_Wire):
        """ExportTraceServiceRequest or TracesData down to the spans, which stay bytes."""

        resource_spans: MutableSequence["ResourceSpans"]

    class ResourceSpans(_Wire):
        """ResourceSpans; the parts of `resource` are to be joined."""

        resource: MutableSequence[bytes]
        scope_spans: MutableSequence["ScopeSpans"]
        schema_url: bytes

    class ScopeSpans(_Wire):
        """ScopeSpans; the parts of `scope` are to be joined."""

        scope: MutableSequence[bytes]
        spans: MutableSequence[bytes]
        schema_url: bytes

    class Resource(_Wire):
        """Resource with attributes as bytes."""

        attributes: MutableSequence[bytes]
        dropped_attributes_count: int

    class Scope(_Wire):
        """InstrumentationScope with attributes as bytes."""

        name: str
        version: str
        attributes: MutableSequence[bytes]
        dropped_attributes_count: int

    class Status(_Wire):
        """Status; both fields typed."""

        message: str
        code: int

    class PlainSpan(_Wire):
        """Span with attributes as bytes as far as nearly every span goes; times in ns since the epoch."""

        trace_id: bytes
        span_id: bytes
        parent_span_id: bytes
        name: str
        kind: int
        start_time_unix_nano: int
        end_time_unix_nano: int
        attributes: RepeatedScalarFieldContainer[bytes]
        status: Status
        flags: int

    class RawSpan(PlainSpan):
        """The whole of a Span, events and links as bytes, too."""

        trace_state: str
        dropped_attributes_count: int
        events: MutableSequence[bytes]
        dropped_events_count: int
        links: MutableSequence[bytes]
        dropped_links_count: int

    class RawLog(_Wire):
        """LogRecord; attributes and the parts of its body as bytes, times in ns since the epoch."""

        time_unix_nano: int
        body: MutableSequence[bytes]
        attributes: MutableSequence[bytes]
        trace_id: bytes
        span_id: bytes
        observed_time_unix_nano: int
        event_name: bytes

    class RawEvent(_Wire):
        """Span.Event with attributes as bytes; time in ns since the epoch."""

        time_unix_nano: int
        name: str
        attributes: MutableSequence[bytes]
        dropped_attributes_count: int

    class RawLink(_Wire):
        """Span.Link with attributes as bytes."""

        trace_id: bytes
        span_id: bytes
        trace_state: str
        attributes: MutableSequence[bytes]
        dropped_attributes_count: int
        flags: int

    class AnyValue(_Wire):
        """AnyValue, parsed to the bottom."""

        string_value: str
        bool_value: bool
        int_value: int
        double_value: float
        array_value: "ArrayValue"
        kvlist_value: "KeyValueList"
        bytes_value: bytes

    class ArrayValue(_Wire):
        """ArrayValue."""

        values: MutableSequence[AnyValue]

    class KeyValue(_Wire):
        """KeyValue, parsed to the bottom."""

        key: str
        value: AnyValue

    class KeyValueList(_Wire):
        """KeyValueList."""

        values: MutableSequence[KeyValue]

else:
    _file = new_file("otel_ext/otlp.proto")
    for _name, _fields in _MESSAGES.items():
        add_message(_file, _name, _fields)
    _pool = DescriptorPool()
    _pool.AddSerializedFile(_file.SerializeToString())

    def _class(name):
        return GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))

    Request, ResourceSpans, ScopeSpans = _class("Request"), _class("ResourceSpans"), _class("ScopeSpans")
    Resource, Scope, Status, RawSpan = _class("Resource"), _class("Scope"), _class("Status"), _class("Span")
    PlainSpan = _class("PlainSpan")
    RawEvent, RawLink, RawLog = _class("Event"), _class("Link"), _class("Log")
    KeyValue, AnyValue = _class("KeyValue"), _class("AnyValue")
    ArrayValue, KeyValueList = _class("ArrayValue"), _class("KeyValueList")
