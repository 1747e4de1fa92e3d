r"""One name for one set of arguments: canonical text and its digest.

Law of this file: total. Every Python value has a canonical text, nothing raises, and values that differ have
different texts (the stated exceptions: `1.0` is `1`, `-0.0` is `0`, a tuple is a list).

The text is RFC 8785 (JSON Canonicalization Scheme): no blanks, keys sorted by UTF-16 code units, numbers as
ECMAScript writes them. It differs where RFC 8785 would lie or give up:

* an int beyond 2^53 keeps its digits (RFC 8785 rounds to a double, so neighbouring snowflake ids would be
  equal); a double is written as ECMAScript writes it, so `1e21` is not the int 10^21;
* a lone surrogate is written `\udXXX` (well-formed JSON.stringify), as RFC 8785 refuses it;
* what JSON cannot say gets a tag, which no JSON text can contain outside a string: `!nan`, `!inf`, `!-inf`,
  `!bytes:"hex"`, `!int:"hex"` (over 4,300 digits), `!set[..]`, `!key:..` (a key that is not text),
  `!cycle:n` (n levels up), `!deep:"digest"` (below 64 levels), `!object:"type":"repr"`, `!raw:"text"`.

A top-level string that looks like JSON is parsed first, so that text and structure agree. If it does not
parse without loss (duplicate key, NaN, a double out of range, too deep), its stripped text is `!raw`.
"""

import hashlib
import hmac
import json
import math
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from otel_ext.dedup.plain import plain_json
from otel_ext.strictjson import STRICT

CANONICALIZATION: Final = "jcs-exactint/1"
"""The name and version of the canonical form, for whoever compares hashes (vectors.json has examples)."""

MAX_DEPTH = 64

LABELS: Final = frozenset(("intent", "description", "thought", "explanation", "reason", "timeout"))
"""Free-text labels that models word anew for the same call (precision rule 11); timeouts likewise."""

_quote = json.encoder.encode_basestring
_SURROGATE = re.compile("[\ud800-\udfff]")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def arguments_hash(tool: str, arguments: object, *, key: bytes | None = None) -> bytes:
    """16 bytes that are equal for equal calls: SHA-256 over tool name, newline, canonical arguments.

    With `key` it is HMAC-SHA-256: equality survives, guessing low-entropy arguments from the hash does not.
    Arguments that were not captured have no hash; the caller must not ask for one.
    """
    text = plain_json(arguments)
    if text is None:
        text = canonical(arguments).encode("utf-8", "surrogatepass")
    preimage = tool.encode("utf-8", "surrogatepass") + b"\n" + text
    if key is not None:
        return hmac.digest(key, preimage, "sha256")[:16]
    return hashlib.sha256(preimage).digest()[:16]


def relaxed_hash(tool: str, arguments: object, *, key: bytes | None = None) -> bytes | None:
    """The hash without top-level label fields; None when there are none, or nothing else than labels."""
    value = _parsed(arguments)
    if not isinstance(value, dict) or LABELS.isdisjoint(value):
        return None
    rest = {k: v for k, v in value.items() if k not in LABELS}
    return arguments_hash(tool, rest, key=key) if rest else None


def canonical(arguments: object) -> str:
    """The canonical text (see the head of this file)."""
    try:
        text = _write(_parsed(arguments), 0, [])
    except Exception:  # noqa: BLE001 - someone's own Mapping may raise anything; totality is the promise
        text = _object(arguments)
    return text if text.isascii() else _SURROGATE.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


class _Raw:
    """Text that looks like JSON and cannot be parsed without loss."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _parsed(arguments: object) -> object:
    if not isinstance(arguments, str):
        return arguments
    text = arguments.strip()
    if text[:1] not in {"{", "[", '"'}:
        return arguments
    try:
        value: object = STRICT.decode(text)
    except (ValueError, RecursionError):
        return _Raw(text)
    return _Raw(text) if _too_deep(value) else value


def _too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for item in level:
            if type(item) is dict:
                below += item.values()
            elif type(item) is list:
                below += item
        if not below:
            return False
        level = below
    return any(type(item) is dict or type(item) is list for item in level)


def _write(value: Any, depth: int, path: list[int]) -> str:
    if isinstance(value, str):
        return _quote(value)
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return _int(value)
    if isinstance(value, float):
        return _double(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f'!bytes:"{bytes(value).hex()}"'
    if isinstance(value, Mapping | Sequence | AbstractSet):
        if id(value) in path:
            return f"!cycle:{len(path) - path.index(id(value))}"
        if depth >= MAX_DEPTH:
            return f'!deep:"{hashlib.sha256(_repr(value).encode("utf-8", "surrogatepass")).hexdigest()}"'
        path.append(id(value))
        try:
            return _container(value, depth + 1, path)
        finally:
            path.pop()
    if isinstance(value, _Raw):
        return "!raw:" + _quote(value.text)
    return _object(value)


def _container(value: Any, depth: int, path: list[int]) -> str:
    if isinstance(value, Mapping):
        if all(isinstance(k, str) for k in value):
            keys = sorted(value) if "".join(value).isascii() else sorted(value, key=_utf16)
            members = [f"{_quote(k)}:{_write(value[k], depth, path)}" for k in keys]
        else:
            written = {
                _quote(k) if isinstance(k, str) else "!key:" + _write(k, depth, path): v
                for k, v in value.items()
            }
            members = [f"{k}:{_write(written[k], depth, path)}" for k in sorted(written, key=_utf16)]
        return "{" + ",".join(members) + "}"
    items = [_write(item, depth, path) for item in value]
    return f"[{','.join(items)}]" if isinstance(value, Sequence) else f"!set[{','.join(sorted(items))}]"


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def _int(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # Python refuses to write more than 4,300 decimal digits
        return f'!int:"{int.__format__(value, "x")}"'


def _double(value: float) -> str:
    """ECMAScript Number::toString: the shortest digits that read back, plain below 1e21 and from 1e-6."""
    if not math.isfinite(value):
        return "!nan" if math.isnan(value) else "!inf" if value > 0 else "!-inf"
    if value == int(value) and abs(value) <= 2**53:
        return str(int(value))
    mantissa, _, exponent = float.__repr__(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # The value is 0.DIGITS times ten to the `point`.
    point = len(whole) + int(exponent or 0) if whole != "0" else len(digits) - len(fraction)
    digits = digits.rstrip("0")
    sign = "-" if value < 0 else ""
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def _repr(value: object) -> str:
    try:
        return _ADDRESS.sub("", repr(value))
    except Exception:  # noqa: BLE001 - a foreign __repr__ may raise anything
        return ""


def _object(value: object) -> str:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return f"!object:{_quote(kind)}:{_quote(_repr(value)[:65_536])}"
