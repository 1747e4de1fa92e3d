"""OTLP/JSON as it arrives at a door, for each telemetry; and lines of logs and metrics back from files.

Law of this file: the same tolerance for all three, the Collector's: lowerCamelCase and snake_case keys,
numbers as strings and the reverse, enum names, unknown keys ignored at every level, null as absent. Ids are
hex only: base64 is passed on as what it is, no id, so that admission rejects its item alone. What is not one
JSON object in UTF-8 without byte order mark, names a key twice, or nests too deeply is refused as a whole.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.jsonattributes import attribute_pairs, encoded_value
from otel_ext.otlp.jsonread import read_object, read_traces
from otel_ext.otlp.jsonscalars import (
    SPAN_ID,
    TRACE_ID,
    Fault,
    Json,
    base64,
    boolean,
    double,
    each,
    enumeration,
    identifier,
    inside,
    integer,
    kind_of,
    text,
)
from otel_ext.otlp.requests import ANY_VALUE, repeated, request_class
from otel_ext.otlp.unknown import RAW_MEMBER, UNKNOWN_FIELDS, is_residue
from otel_ext.telemetry import Telemetry

_INTEGERS: Final = {
    **dict.fromkeys((Field.TYPE_INT64, Field.TYPE_SINT64, Field.TYPE_SFIXED64), (-(2**63), 2**63 - 1)),
    **dict.fromkeys((Field.TYPE_UINT64, Field.TYPE_FIXED64), (0, 2**64 - 1)),
    **dict.fromkeys((Field.TYPE_INT32, Field.TYPE_SINT32, Field.TYPE_SFIXED32), (-(2**31), 2**31 - 1)),
    **dict.fromkeys((Field.TYPE_UINT32, Field.TYPE_FIXED32), (0, 2**32 - 1)),
}
_IDS: Final = {"trace_id": TRACE_ID, "span_id": SPAN_ID}
_MARK: Final = b"\xef\xbb\xbf"


def read_json(telemetry: Telemetry, body: bytes, *, instant: Callable[[object], int] | None = None) -> bytes:
    """The JSON body of a request as an encoded request; an empty body is an empty request.

    Args:
        telemetry: what the request carries.
        body: one JSON object in UTF-8.
        instant: reads the times of spans, as in `read_traces`; whole numbers and their strings otherwise.

    Raises:
        InvalidRequest: the body is not such an object, or a field in it cannot be read.
    """
    if not body:
        return b""
    if body.startswith(_MARK):
        raise InvalidRequest("not JSON: it begins with a byte order mark")
    if telemetry is Telemetry.TRACES:
        return read_traces(body, instant=instant or _whole, base64_ids=False)
    return read_object(body, partial(_request, request_class(telemetry)))


def _whole(value: object) -> int:
    return integer(value, "time", 0, 2**64 - 1)


def _request(schema: Any, obj: Json) -> bytes:
    message = schema()
    _fill(message, obj)
    encoded: bytes = message.SerializeToString()
    return encoded


def _fill(message: Any, obj: Json) -> None:
    schema: Any = type(message)
    readers = _readers(schema)
    for key, value in obj.items():
        read = readers.get(key)
        if read is not None and value is not None:
            read(message, value)


_Read = Callable[[Any, Any], None]


@cache
def _readers(schema: Any) -> dict[str, _Read]:
    """Key -> what puts the member's value into a message."""
    lists, found = repeated(schema), dict[str, _Read]()
    found[UNKNOWN_FIELDS] = _unknown
    for field in schema.DESCRIPTOR.fields:
        name, key = field.name, field.json_name
        if field.type == Field.TYPE_MESSAGE and field.message_type.full_name == ANY_VALUE:
            found[RAW_MEMBER + key] = partial(_raw_value, name, key)
            read: _Read = partial(_value, name, key)
        elif field.type == Field.TYPE_MESSAGE:
            read = partial(_messages if field.number in lists else _message, name, key)
        elif field.type == Field.TYPE_BYTES and field.number in lists:
            read = partial(_attributes, name, key)
        elif field.number in lists:
            read = partial(_scalars, name, key, _scalar(field))
        else:
            read = partial(_single, name, key, _scalar(field))
        found[key] = found[name] = read
    return found


def _scalar(field: Any) -> Callable[[object, str], Any]:
    """Reads one value of a field; gets the name for faults."""
    kind = field.type
    if kind in _INTEGERS:
        low, high = _INTEGERS[kind]
        return lambda value, key: integer(value, key, low, high)
    if kind == Field.TYPE_ENUM:
        names = {item.name: item.number for item in field.enum_type.values}
        return lambda value, key: enumeration(value, key, names)
    if kind in (Field.TYPE_DOUBLE, Field.TYPE_FLOAT):
        return double
    if kind == Field.TYPE_BOOL:
        return boolean
    if kind == Field.TYPE_STRING:
        return text
    size = _IDS.get(field.name)
    if size is None:
        return base64
    return lambda value, key: identifier(value, key, size, allow_base64=False)


def _single(name: str, key: str, scalar: Callable[[object, str], Any], message: Any, value: object) -> None:
    setattr(message, name, scalar(value, key))


def _scalars(name: str, key: str, scalar: Callable[[object, str], Any], message: Any, value: object) -> None:
    if not isinstance(value, list):
        raise Fault(f".{key}: expected an array, found {kind_of(value)}")
    getattr(message, name).extend([scalar(item, f"{key}[{index}]") for index, item in enumerate(value)])


def _message(name: str, key: str, message: Any, value: object) -> None:
    child = getattr(message, name)
    child.SetInParent()
    inside(f".{key}", partial(_fill, child), value)


def _messages(name: str, key: str, message: Any, value: object) -> None:
    items = getattr(message, name)
    each({key: value}, key, "", lambda obj: _fill(items.add(), obj))


def _attributes(name: str, key: str, message: Any, value: object) -> None:
    try:
        pairs, unknown = attribute_pairs(value, type(message))
    except Fault as fault:
        raise Fault(str(fault).replace(".attributes", f".{key}", 1)) from None
    getattr(message, name).extend(pairs)
    message.MergeFromString(unknown)


def _value(name: str, key: str, message: Any, value: object) -> None:
    try:
        data = encoded_value(value)
    except Fault as fault:
        raise fault.inside(f".{key}") from None
    child = getattr(message, name)
    child.SetInParent()
    child.MergeFromString(data)


def _raw_value(name: str, key: str, message: Any, value: object) -> None:
    child, data = getattr(message, name), base64(value, RAW_MEMBER + key)
    try:
        whole = type(child).FromString(data)
    except DecodeError:
        return
    child.CopyFrom(whole)


def _unknown(message: Any, value: object) -> None:
    data = base64(value, UNKNOWN_FIELDS)
    if is_residue(type(message), data):
        message.MergeFromString(data)
