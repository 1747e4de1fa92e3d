"""Fields that our schema does not name, carried through JSON as marked attributes.

Law of this file: what JSON cannot say is not dropped. `otel_ext.unknown_fields` holds, as the last
attribute of a span, resource, scope, event or link, its encoded unknown fields; `otel_ext.raw_attribute`
follows an attribute that has such fields inside, and holds it whole. An attribute that is itself named so
gets a mark of its own after it, hence reading back is never ambiguous. Logs and metrics are written whole and
carry the same in JSON members of these names (`requestwrite`).
"""

from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from otel_ext.otlp.schema import KeyValue

UNKNOWN_FIELDS: Final = "otel_ext.unknown_fields"
RAW_ATTRIBUTE: Final = "otel_ext.raw_attribute"
RAW_MEMBER: Final = "otel_ext.raw_"
"""A member's name, less that of the member before it, which it holds whole."""


def unknown_fields(message: Message, data: bytes) -> bytes:
    """The encoded unknown fields of `message`; b"" when there are none.

    Those inside a span's status come as a status of these alone: merged into the one that JSON names,
    it is whole again.

    Args:
        message: `data` parsed; not changed.
        data: its encoding.
    """
    if not len(UnknownFieldSet(message)):
        # Of our messages only a span has a submessage that JSON keeps apart.
        status = getattr(message, "status", None)
        if status is None or not len(UnknownFieldSet(status)):
            return b""
    return _residue(type(message).FromString(data))


def is_residue(schema: type[Message], data: bytes) -> bool:
    """Whether `data` holds nothing but fields unknown to `schema`, as `unknown_fields` makes them.

    Guards the reader: a mark from elsewhere must not overwrite a span's id.
    """
    try:
        message = schema.FromString(data)
    except DecodeError:
        return False
    return len(_residue(message)) == len(data)


def is_key_value(data: bytes) -> bool:
    """Whether `data` is an encoded KeyValue."""
    try:
        KeyValue.FromString(data)
    except DecodeError:
        return False
    return True


def _residue(message: Any) -> bytes:
    _strip(message)
    left: bytes = message.SerializeToString()
    return left


def _strip(message: Any) -> None:
    """Clear every field that the schema names, but keep a status that holds unknown fields."""
    for field, value in message.ListFields():
        if field.name == "status":
            _strip(value)
            if value.ByteSize():
                continue
        message.ClearField(field.name)
