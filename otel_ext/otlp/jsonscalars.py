"""Single fields of OTLP/JSON, read with tolerance.

Law of this file: what producers are known to write is read (numbers as strings and the reverse, enum
names, ids as hex, base64 or arrays); what cannot be read raises `Fault`, which collects on its way up
where it was. A text that is no id never turns into bytes that pass for one.
"""

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from binascii import a2b_hex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

Json: TypeAlias = Mapping[str, Any]
_T = TypeVar("_T")

TRACE_ID, SPAN_ID = 16, 8
"""Bytes of an id."""
_BASE64_LENGTH: Final = {TRACE_ID: 24, SPAN_ID: 12}
_HEX: Final = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2})*)", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_KINDS: Final = dict(Span.SpanKind.items())
_CODES: Final = dict(Status.StatusCode.items())


class Fault(ValueError):
    """A field cannot be read; `str` says where and why."""

    def inside(self, place: str) -> "Fault":
        """The same fault as seen from the object that holds `place`."""
        text = str(self)
        return Fault(f"{place}{text}" if text.startswith((".", "[", ":")) else f"{place}: {text}")


def field(obj: Json, name: str, old: str = "") -> Any:
    """The member `name`, or its snake_case spelling `old`; None when absent or null."""
    value = obj.get(name)
    return obj.get(old) if value is None and old else value


def each(obj: Json, name: str, old: str, build: Callable[[Json], _T]) -> list[_T]:
    """`build` of each object in the array `name`; an absent array is empty."""
    items = field(obj, name, old)
    if items is None:
        return []
    if not isinstance(items, list):
        raise Fault(f".{name}: expected an array, found {kind_of(items)}")
    return [inside(f".{name}[{index}]", build, item) for index, item in enumerate(items)]


def inside(place: str, build: Callable[[Json], _T], item: object) -> _T:
    """`build(item)`, with faults located at `place`."""
    if not isinstance(item, dict):
        raise Fault(f"{place}: expected an object, found {kind_of(item)}")
    try:
        return build(item)
    except Fault as fault:
        raise fault.inside(place) from None


def kind_of(value: object) -> str:
    """JSON's word for the type of a decoded value."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def text(value: object, name: str) -> str:
    """A string; a number or boolean is taken as its JSON text, null as ""."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, dict | list):
        raise Fault(f".{name}: expected a string, found {kind_of(value)}")
    return json.dumps(value)


def integer(value: object, name: str, low: int, high: int) -> int:
    """An integer from `low` to `high`, as a number or a decimal string; null is 0."""
    if isinstance(value, str):
        value = int(value) if _INTEGER.fullmatch(value.strip()) else value
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else value
    elif value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise Fault(f".{name}: expected an integer, found {_shown(value)}")
    if not low <= value <= high:
        raise Fault(f".{name}: {_shown(value)} is out of range")
    return value


def unsigned32(value: object, name: str) -> int:
    """An integer of 32 bits without sign; null is 0."""
    return integer(value, name, 0, 2**32 - 1)


def double(value: object, name: str) -> float:
    """A double, as a number or a string ("NaN", "Infinity" and "-Infinity" included)."""
    try:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise Fault(f".{name}: expected a number, found {_shown(value)}")


def boolean(value: object, name: str) -> bool:
    """A boolean, also as a string."""
    if value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool):
        raise Fault(f".{name}: expected a boolean, found {kind_of(value)}")
    return value


def span_kind(value: object) -> int:
    """A SpanKind, as a number (unknown ones too), or by name with or without its prefix."""
    return enumeration(value, "kind", _KINDS, "SPAN_KIND_")


def status_code(value: object) -> int:
    """A StatusCode, as a number (unknown ones too), or by name with or without its prefix."""
    return enumeration(value, "code", _CODES, "STATUS_CODE_")


def enumeration(value: object, name: str, names: Mapping[str, int], prefix: str = "") -> int:
    """An enum's number (unknown ones too), or one of `names` with or without `prefix`; null is 0."""
    if isinstance(value, str) and not _INTEGER.fullmatch(value):
        key = value.upper()
        known = names.get(key, names.get(prefix + key))
        if known is None:
            raise Fault(f".{name}: unknown name {_shown(value)}")
        return known
    return integer(value, name, -(2**31), 2**31 - 1)


def base64(value: object, name: str) -> bytes:
    """Bytes as base64, standard or URL-safe, padded or not."""
    try:
        if isinstance(value, str):
            return _base64(value)
    except Base64Error:
        pass
    raise Fault(f".{name}: expected base64, found {_shown(value)}")


def _base64(value: str) -> bytes:
    standard = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError as error:
        raise Base64Error(str(error)) from None


def identifier(value: object, name: str, size: int, *, allow_base64: bool) -> bytes:
    """An id as bytes, valid or not: validity is decided at admission, span by span.

    Args:
        value: hex in any case, with or without `0x`; padded base64 of an id of `size` bytes when
            `allow_base64`; an array of byte values; Node's `{"type": "Buffer", "data": [...]}`.
        name: the field, for faults.
        size: bytes of a valid id.
        allow_base64: whether base64, which OTLP/JSON forbids for ids, is read all the same.
    """
    if value is None:
        return b""
    if isinstance(value, dict):
        value = value.get("data")
    if isinstance(value, list):
        return _octets(value, name)
    if not isinstance(value, str):
        raise Fault(f".{name}: expected an id in hex, found {_shown(value)}")
    if match := _HEX.fullmatch(value):
        return a2b_hex(match[1])
    if allow_base64 and len(value) == _BASE64_LENGTH[size] and value.endswith("="):
        try:
            return _base64(value)
        except Base64Error:
            pass
    octets = value.encode("utf-8", "surrogatepass")
    return octets + b"\0" if len(octets) in {TRACE_ID, SPAN_ID} else octets


def _octets(values: Iterable[object], name: str) -> bytes:
    try:
        return bytes(values)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise Fault(f".{name}: expected an id as an array of bytes") from None


def _shown(value: object) -> str:
    """The value in an error's text: its kind, and no payload."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        shown = repr(value)
        return shown if len(shown) <= 40 else "a number of that length"
    return kind_of(value)
