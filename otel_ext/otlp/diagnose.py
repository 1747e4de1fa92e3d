"""Why an item of a request could not be parsed.

Law of this file: it runs only for what the full parse has refused, and finds the reason by parsing the
same bytes with weaker schemas, in C and in bounded depth. It never reads an error's text, which differs
between protobuf releases.
"""

from functools import cache
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1 import common_pb2

from otel_ext.otlp.exports import changed_schema
from otel_ext.telemetry import Telemetry

UTF8: Final = "utf8"
DEPTH: Final = "depth"
UNDECODABLE: Final = "undecodable"

_CUT: Final = 24
"""Levels of nested values that the cut schema reads. Fewer than the 31 levels that protobuf's own limit
of 100 nested messages leaves to key-value lists, so whatever is wrong beneath is wrong by depth."""
_VALUES: Final = ("AnyValue", "ArrayValue", "KeyValueList", "KeyValue")
"""The messages that hold one another."""


def reason(request: bytes, telemetry: Telemetry) -> str:
    """Why `request`, an encoded export request, is refused by the full parse.

    Returns:
        "utf8" when a string is not UTF-8, "depth" when values are nested deeper than protobuf reads
        (100 messages), "undecodable" when it is not such a message.
    """
    if _parse(without_text(telemetry), request) is not None:
        return UTF8
    return UNDECODABLE if without_depth(telemetry, request) is None else DEPTH


def without_depth(telemetry: Telemetry, request: bytes) -> Any:
    """The request down to `_CUT` levels of nested values, strings as bytes; None when it is none."""
    return _parse(_without_depth(telemetry), request)


def _parse(schema: Any, data: bytes) -> Any:
    try:
        return schema.FromString(data)
    except DecodeError:
        return None


@cache
def without_text(telemetry: Telemetry) -> Any:
    """OTLP's own schema with every string declared as bytes, so that UTF-8 is not looked at."""
    return changed_schema(telemetry, _forget_texts)


@cache
def _without_depth(telemetry: Telemetry) -> Any:
    """The same, where values nested deeper than `_CUT` stay bytes."""
    return changed_schema(telemetry, _cut_values)


def _forget_texts(file: FileDescriptorProto) -> None:
    for message in file.message_type:
        _forget_text(message)


def _forget_text(message: Any) -> None:
    for field in message.field:
        if field.type == FieldDescriptorProto.TYPE_STRING:
            field.type = FieldDescriptorProto.TYPE_BYTES
    for nested in message.nested_type:
        _forget_text(nested)


def _cut_values(file: FileDescriptorProto) -> None:
    _forget_texts(file)
    if file.name == common_pb2.DESCRIPTOR.name:
        _cut(file)


def _cut(file: FileDescriptorProto) -> None:
    """Unroll nested values: each level refers to messages of the next, the last one's fields are bytes."""
    originals = {message.name: message for message in file.message_type if message.name in _VALUES}
    for level in range(1, _CUT + 1):
        for name, original in originals.items():
            copy = file.message_type.add()
            copy.CopyFrom(original)
            copy.name = f"{name}{level}"
            _lower(copy, file.package, level + (name == "AnyValue"))
    _lower(originals["AnyValue"], file.package, 1)


def _lower(message: Any, package: str, level: int) -> None:
    """Let a message's values be those of `level`."""
    for field in message.field:
        if field.type == FieldDescriptorProto.TYPE_MESSAGE:
            if level > _CUT:
                field.type = FieldDescriptorProto.TYPE_BYTES
                field.ClearField("type_name")
            else:
                field.type_name = f".{package}.{field.type_name.rpartition('.')[2]}{level}"
