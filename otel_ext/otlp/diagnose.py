"""Why a span could not be parsed.

Law of this file: it runs only for spans that the full parse has refused, and finds the reason by parsing
the same bytes with weaker schemas, in C and in bounded depth. It never reads an error's text, which
differs between protobuf releases.
"""

from functools import cache
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from otel_ext.otlp.schema import add_message, message_class, new_file

UTF8: Final = "utf8"
DEPTH: Final = "depth"
UNDECODABLE: Final = "undecodable"

_CUT: Final = 24
"""Levels of nested values that the cut schema reads. Fewer than the 31 levels that protobuf's own limit
of 100 nested messages leaves to key-value lists, so whatever is wrong beneath is wrong by depth."""


def reason(request: bytes) -> str:
    """Why `request`, an encoded ExportTraceServiceRequest, is refused by the full parse.

    Returns:
        "utf8" when a string is not UTF-8, "depth" when values are nested deeper than protobuf reads
        (100 messages), "undecodable" when it is not such a message.
    """
    if _parses(_without_text(), request):
        return UTF8
    return DEPTH if _parses(_without_depth(), request) else UNDECODABLE


def _parses(schema: Any, data: bytes) -> bool:
    try:
        schema.FromString(data)
    except DecodeError:
        return False
    return True


@cache
def _without_text() -> Any:
    """OTLP's own schema with every string declared as bytes, so that UTF-8 is not looked at."""
    pool = DescriptorPool()
    for module in (common_pb2, resource_pb2, trace_pb2, trace_service_pb2):
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            _forget_text(message)
        pool.AddSerializedFile(file.SerializeToString())
    name = trace_service_pb2.ExportTraceServiceRequest.DESCRIPTOR.full_name
    return GetMessageClass(pool.FindMessageTypeByName(name))


def _forget_text(message: Any) -> None:
    for field in message.field:
        if field.type == FieldDescriptorProto.TYPE_STRING:
            field.type = FieldDescriptorProto.TYPE_BYTES
    for nested in message.nested_type:
        _forget_text(nested)


@cache
def _without_depth() -> Any:
    """A request down to `_CUT` levels of nested values, strings as bytes; what is deeper stays bytes."""
    file = new_file("otel_ext/otlp_cut.proto")
    for level in range(_CUT):
        below = level + 1
        add_message(file, f"Value{level}", f"1 s |bytes, 5 array |List{below}, 6 pairs |Pairs{below}")
        add_message(file, f"List{below}", f"1 values *Value{below}")
        add_message(file, f"Pairs{below}", f"1 values *Pair{below}")
        add_message(file, f"Pair{level}", f"1 key bytes, 2 value Value{level}")
    add_message(file, f"Value{_CUT}", "1 s bytes")
    add_message(file, f"Pair{_CUT}", f"1 key bytes, 2 value Value{_CUT}")
    add_message(file, "Status", "2 message bytes, 3 code enum")
    add_message(file, "Event", "1 time fixed64, 2 name bytes, 3 attributes *Pair0")
    add_message(file, "Link", "1 trace_id bytes, 2 span_id bytes, 3 state bytes, 4 attributes *Pair0")
    ids, parts = "1 trace_id bytes, 2 span_id bytes", "11 events *Event, 13 links *Link, 15 status Status"
    add_message(file, "Span", f"{ids}, 9 attributes *Pair0, {parts}")
    add_message(file, "Resource", "1 attributes *Pair0")
    add_message(file, "Scope", "1 name bytes, 2 version bytes, 3 attributes *Pair0")
    add_message(file, "ScopeSpans", "1 scope Scope, 2 spans *Span")
    add_message(file, "ResourceSpans", "1 resource Resource, 2 scope_spans *ScopeSpans")
    add_message(file, "Request", "1 resource_spans *ResourceSpans")
    return message_class(file, "Request")
