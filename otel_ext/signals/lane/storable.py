"""A step that can be dumped, whatever a producer put into it.

Law of this file: a step that is fine is returned as it is; in one that is not, only the values that cannot be
stored are changed. JSON inside attributes can spell lone surrogates and integers of any size.
"""

from typing import TypeVar

import msgspec

from otel_ext.step import Step

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
_ENCODER = msgspec.msgpack.Encoder()
_BUFFER = bytearray()


def storable(step: Step) -> Step:
    """The step, or a copy without what could not be stored."""
    try:
        _ENCODER.encode_into(step, _BUFFER)
    except (UnicodeError, OverflowError):
        return _plained(step)
    return step


def _plained(struct: _Struct) -> _Struct:
    values = {name: _plain(getattr(struct, name)) for name in struct.__struct_fields__}
    return msgspec.structs.replace(struct, **values)


def _plain(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return _plained(value)  # a step within the step, and what its digests say in words
    if type(value) is str:
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if type(value) is int and not -(1 << 63) <= value < 1 << 64:
        return 0
    return value
