"""The canonical text of plain JSON, written in C.

Law of this file: exactly what `arguments.canonical` writes, or None. Plain is what nearly every call holds:
objects with ASCII keys, lists, text, ints, true, false and null. Doubles are not, nor is anything nested
deeper than `_LEVELS`. (Among ASCII keys the order of UTF-16 is that of bytes; msgspec escapes the same
characters in the same way as `json` does, and refuses lone surrogates and ints that Python does not write.)
"""

from typing import Any, Final

import msgspec

_LEVELS: Final = 8

_encode = msgspec.json.Encoder(order="sorted").encode
_TEXT = frozenset((str,))
_SCALARS = frozenset((str, int, bool, type(None)))
_PLAIN = _SCALARS | {dict, list}


def plain_json(value: object) -> bytes | None:
    """The canonical text as UTF-8, None for whatever is not plain."""
    kind = type(value)
    if kind is not dict and kind is not list:
        return None
    try:
        return _encode(value) if _is_plain(value, _LEVELS) else None
    except (msgspec.MsgspecError, ValueError, OverflowError, TypeError):
        return None


def _is_plain(value: Any, levels: int) -> bool:
    if type(value) is dict:
        if not (_TEXT.issuperset(map(type, value)) and "".join(value).isascii()):
            return False
        value = value.values()
    kinds = set(map(type, value))
    if kinds <= _SCALARS:
        return True
    if not levels or not kinds <= _PLAIN:
        return False
    return all(_is_plain(item, levels - 1) for item in value if type(item) is dict or type(item) is list)
