"""A step that can be dumped, whatever a producer put into it.

Law of this file: a step that is fine is returned as it is; in one that is not, only the values that cannot be
stored are changed. JSON inside attributes can spell lone surrogates and integers of any size.
"""

import msgspec

from otel_ext.step import Step

_ENCODER = msgspec.msgpack.Encoder()
_BUFFER = bytearray()


def storable(step: Step) -> Step:
    """The step, or a copy without what could not be stored."""
    try:
        _ENCODER.encode_into(step, _BUFFER)
    except (UnicodeError, OverflowError):
        values = {name: _plain(getattr(step, name)) for name in step.__struct_fields__}
        return msgspec.structs.replace(step, **values)
    return step


def _plain(value: object) -> object:
    if type(value) is str:
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if type(value) is int and not -(1 << 63) <= value < 1 << 64:
        return 0
    return value
