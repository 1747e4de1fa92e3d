"""Whole requests of logs and metrics as OTLP/JSON lines (OTLP File Exporter specification).

Law of this file: what it writes `requestread` reads back to equal protobuf (a NaN's payload bits excepted).
Fields that the schema does not name are a member `otel_ext.unknown_fields` in base64 of the object they
belong to, not an attribute: readers ignore unknown keys, while an attribute more would make another metric
stream of the same one. A value that has such fields inside is followed by its raw form.
"""

from binascii import b2a_base64, hexlify
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.unknown_fields import UnknownFieldSet

from otel_ext.otlp.attributes import attribute_list
from otel_ext.otlp.jsonvalues import any_value, double_text, quote
from otel_ext.otlp.requests import ANY_VALUE, parse_request, repeated
from otel_ext.otlp.unknown import RAW_MEMBER, UNKNOWN_FIELDS, unknown_fields
from otel_ext.telemetry import Telemetry

_LONG: Final = frozenset(
    {Field.TYPE_INT64, Field.TYPE_UINT64, Field.TYPE_SINT64, Field.TYPE_FIXED64, Field.TYPE_SFIXED64}
)
"""64 bits: decimal strings."""
_IDS: Final = frozenset({"trace_id", "span_id"})


def json_line(telemetry: Telemetry, body: bytes) -> bytes:
    """One request as one JSON object and its newline: the `LogsData` or `MetricsData` of the same content.

    Args:
        telemetry: LOGS or METRICS (lines of spans are made of single spans: `jsonlines`).
        body: the encoded request.

    Raises:
        InvalidRequest: the bytes are not such a request.
    """
    message = parse_request(telemetry, body)
    return _object(message) + b"\n"


def _object(message: Any) -> bytes:
    schema: Any = type(message)
    writers = _writers(schema)
    members = []
    for field, value in message.ListFields():
        members += writers[field.number](value)
    if len(UnknownFieldSet(message)):
        unknown = unknown_fields(message, message.SerializeToString())
        members.append(_member(UNKNOWN_FIELDS, _base64(unknown)))
    return b"{%b}" % b",".join(members)


@cache
def _writers(schema: Any) -> dict[int, Callable[[Any], list[bytes]]]:
    """Field number -> what makes its members."""
    lists = repeated(schema)
    return {field.number: _writer(field, field.number in lists) for field in schema.DESCRIPTOR.fields}


def _writer(field: Any, many: bool) -> Callable[[Any], list[bytes]]:
    name = field.json_name
    if field.type == Field.TYPE_BYTES and many:
        return lambda pairs: [_member(name, b"[%b]" % attribute_list(pairs, b""))]
    if field.type == Field.TYPE_MESSAGE and field.message_type.full_name == ANY_VALUE:
        return lambda value: _value_members(name, value)
    write = _scalar(field)
    if many:
        return lambda items: [_member(name, b"[%b]" % b",".join(map(write, items)))]
    return lambda item: [_member(name, write(item))]


def _scalar(field: Any) -> Callable[[Any], bytes]:
    """The JSON of one value of a field."""
    kind = field.type
    if kind == Field.TYPE_MESSAGE:
        return _object
    if kind == Field.TYPE_STRING:
        return quote
    if kind == Field.TYPE_BYTES:
        return _hex if field.name in _IDS else _base64
    if kind in (Field.TYPE_DOUBLE, Field.TYPE_FLOAT):
        return double_text
    if kind == Field.TYPE_BOOL:
        return lambda item: b"true" if item else b"false"
    return (lambda item: b'"%d"' % item) if kind in _LONG else (lambda item: b"%d" % item)


def _value_members(name: str, value: Any) -> list[bytes]:
    raw = value.SerializeToString()
    value.DiscardUnknownFields()
    members = [_member(name, any_value(value))]
    if value.ByteSize() != len(raw):
        members.append(_member(RAW_MEMBER + name, _base64(raw)))
    return members


def _member(name: str, value: bytes) -> bytes:
    return b'"%b":%b' % (name.encode(), value)


def _hex(data: bytes) -> bytes:
    return b'"%b"' % hexlify(data)


def _base64(data: bytes) -> bytes:
    return b'"%b"' % b2a_base64(data, newline=False)
