"""Mutations of valid input, drawn from one seeded source: bytes, protobuf structure, JSON, gzip, HTTP heads.

Law of this file: the same seed gives the same cases on every machine and Python; a case is a function of its
seed and number alone, so that one failing case can be run by itself.
"""

import functools
import gzip
import json
import random
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

ODD_NUMBERS: Final = (
    0,
    1,
    127,
    128,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**64,
    2**70,
)
ODD_STRINGS: Final = (
    "",
    "\0",
    "\ud800",
    "\ufeff",
    "\u202e",
    "a" * 5000,
    "../../etc",
    "%s%n",
    "{{}}",
    "🙂",
    "-0",
    "NaN",
)
ODD_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, -1, 1.5, -0.0, 1e308, [], {}, [[]], [None], {"": None}, {"a": {"a": {"a": 1}}}),
    *ODD_NUMBERS,
    *map(str, ODD_NUMBERS),
    *ODD_STRINGS,
)


def varint(number: int) -> bytes:
    """A protobuf varint."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def flipped(rng: random.Random, data: bytes) -> bytes:
    """One to eight bits flipped."""
    out = bytearray(data or b"\0")
    for _ in range(rng.randint(1, 8)):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def cut(rng: random.Random, data: bytes) -> bytes:
    """Its beginning."""
    return data[: rng.randrange(len(data) + 1)]


def spliced(rng: random.Random, data: bytes) -> bytes:
    """A slice removed, doubled, or put elsewhere."""
    a, b = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    at = rng.randrange(len(data) + 1)
    return rng.choice((data[:a] + data[b:], data[:b] + data[a:], data[:at] + data[a:b] + data[at:]))


def poked(rng: random.Random, data: bytes) -> bytes:
    """Some bytes overwritten by ones that mean something to a decoder."""
    out = bytearray(data or b"\0")
    piece = rng.choice(
        (b"\xff" * 10, b"\0" * 8, varint(rng.choice(ODD_NUMBERS)), b"\x0b", b"\x0c", b"\xff\xfe")
    )
    at = rng.randrange(len(out))
    out[at : at + len(piece)] = piece
    return bytes(out)


BYTES: Final[Sequence[Callable[[random.Random, bytes], bytes]]] = (flipped, cut, spliced, poked)

Field = tuple[int, int, int | bytes]


def fields_of(data: bytes) -> list[Field] | None:
    """A message's fields `(number, wire type, value)`; None when it is not one."""
    found: list[Field] = []
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    try:
        while at < len(data):
            tag = number()
            kind = tag & 7
            size = {1: 8, 5: 4}.get(kind)
            if kind == 0:
                found.append((tag >> 3, 0, number()))
                continue
            if kind == 2:
                size = number()
            if size is None or at + size > len(data) or not tag >> 3:
                return None
            found.append((tag >> 3, kind, data[at : at + size]))
            at += size
    except IndexError:
        return None
    return found


def encoded(fields: Sequence[Field]) -> bytes:
    """The message of these fields."""
    out = []
    for number, kind, value in fields:
        out.append(varint(number << 3 | kind))
        if isinstance(value, int):
            out.append(varint(value))
        else:
            out.append(varint(len(value)) + value if kind == 2 else value)
    return b"".join(out)


def restructured(rng: random.Random, data: bytes, depth: int = 0) -> bytes:
    """One field somewhere in the tree changed; lengths around it stay right, unless it is the length."""
    fields = fields_of(data)
    if not fields or depth > 12:
        return flipped(rng, data)
    at = rng.randrange(len(fields))
    number, kind, value = fields[at]
    if isinstance(value, bytes) and kind == 2 and len(value) > 2 and rng.random() < 0.75:
        fields[at] = (number, kind, restructured(rng, value, depth + 1))
        return encoded(fields)
    match rng.randrange(9):
        case 0:
            del fields[at]
        case 1:
            fields.insert(at, fields[at])
        case 2:
            rng.shuffle(fields)
        case 3:
            fields[at] = (rng.choice((1, 2, 3, 15, 16, 999, 1000, 19_000, 2**29 - 1)), kind, value)
        case 4:
            fields[at] = (number, 0, rng.choice(ODD_NUMBERS))
        case 5:
            fields[at] = (number, 2, rng.randbytes(rng.choice((0, 1, 7, 8, 9, 15, 16, 17, 200))))
        case 6:
            fields[at] = (number, 2, rng.choice(ODD_STRINGS).encode("utf-8", "surrogatepass"))
        case 7:
            nest = b"" if isinstance(value, int) else value
            for _ in range(rng.choice((5, 60, 110, 2000))):
                nest = encoded([(number, 2, nest)])
            fields[at] = (number, 2, nest)
        case _:  # a length that is none
            head = encoded(fields[:at]) + varint(number << 3 | 2) + varint(rng.choice(ODD_NUMBERS))
            return head + encoded(fields[at:])
    return encoded(fields)


def protobuf(rng: random.Random, data: bytes) -> bytes:
    """An encoded message, mutated one to three times."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        change = restructured if rng.random() < 0.6 else rng.choice(BYTES)
        data = change(rng, data)
    return data


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack:
        inner = stack.pop()
        keys = (
            list(inner) if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ()
        )
        found += [(inner, key) for key in keys]
        stack += [inner[key] for key in keys]
    return found


def json_text(rng: random.Random, text: bytes) -> bytes:
    """A JSON text, mutated as a tree or as bytes."""
    if rng.random() < 0.35:
        return rng.choice(BYTES)(rng, text)
    tree = json.loads(text)
    for _ in range(rng.choice((1, 1, 2, 5))):
        places = _places(tree)
        if not places:
            break
        inner, key = rng.choice(places)
        match rng.randrange(6):
            case 0 | 1:
                inner[key] = rng.choice(ODD_VALUES)
            case 2:
                inner[key] = [inner[key]] * rng.choice((0, 1, 3))
            case 3:
                inner[key] = {rng.choice(("key", "value", "", "kind", "arrayValue", "values")): inner[key]}
            case 4 if isinstance(inner, dict):
                inner[rng.choice(ODD_STRINGS)] = inner.pop(key)
            case _:
                other, name = rng.choice(places)
                other[name] = json.loads(json.dumps(inner[key]))
    out = json.dumps(tree).encode()
    if rng.random() < 0.15:
        deep = rng.choice((50, 200, 3000, 100_000))
        out = out.replace(
            b'"stringValue"', b'"arrayValue": ' + b'{"values": [' * deep + b"]}" * deep + b', "x"', 1
        )
    return out


@functools.cache
def zeros(mebibytes: int) -> bytes:
    """So many MiB of zero bytes in a few kilobytes of gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    return b"".join([packer.compress(block) for _ in range(mebibytes)]) + packer.flush()


def gzipped(rng: random.Random, data: bytes) -> bytes:
    """A gzip stream of it, mostly damaged."""
    match rng.randrange(6):
        case 0:
            return gzip.compress(data, mtime=0)
        case 1:
            return gzip.compress(data, mtime=0) + gzip.compress(b"", mtime=0)
        case 2:
            return zeros(rng.choice((1, 1, 1, 1, 1, 1, 1, 80)))
        case _:
            return rng.choice(BYTES)(rng, gzip.compress(data, mtime=0))


def header_fields(rng: random.Random, kind: str, length: int) -> list[tuple[str, str]]:
    """Fields of an HTTP head, some of them wrong; Content-Length and Content-Type among them, mostly."""
    if rng.random() < 0.2:
        kind = rng.choice(("application/x-protobuf", "text/plain", "", "application/json;;;=", "\xff"))
    sizes = (
        *[length] * 30,
        length + 1,
        max(0, length - 1),
        -1,
        0,
        2**31,
        2**64,
        "",
        "x",
        "+5",
        "0x10",
        "1_0",
    )
    found = [("Host", rng.choice((*["localhost"] * 9, "", "\xe9", "a" * 300))), ("Content-Type", kind)]
    found.append(("Content-Length", str(rng.choice(sizes))))
    odd = (
        ("Transfer-Encoding", ("chunked", "gzip", "chunked, chunked", "identity", "")),
        ("Content-Encoding", ("gzip", "deflate", "br", "gzip, gzip", "identity", "zstd", "")),
        ("Content-Length", tuple(map(str, sizes))),
        ("Expect", ("100-continue", "200-ok")),
        ("Connection", ("close", "keep-alive", "Upgrade", "\0")),
        ("Upgrade", ("h2c", "websocket")),
        ("Accept-Encoding", ("gzip;q=x, *;q=0",)),
        ("X" * rng.choice((1, 1000, 70_000)), ("y",)),
        (rng.choice(("Bad Name", "", "\xe9", "A:B")), ("v",)),
        ("X-Long", ("v" * 10, "v" * 9000, "v" * 70_000)),
    )
    found += [(name, rng.choice(values)) for name, values in rng.choices(odd, k=rng.choice((0, 0, 1, 1, 2)))]
    rng.shuffle(found)
    return [pair for pair in found if rng.random() < 0.97]


def http_request(rng: random.Random, kind: str, body: bytes) -> bytes:
    """A whole HTTP request, its head mutated by fields or by bytes."""
    method = rng.choice(("POST",) * 40 + ("GET", "PUT", "OPTIONS", "post", "PRI", "POST\0", "A" * 5000))
    path = rng.choice(
        ("/v1/traces",) * 30 + ("/v1/logs", "/v1/metrics", "*", "//v1/traces", "/v1/traces?x=%00", "/%ff")
    )
    version = rng.choice(("HTTP/1.1",) * 30 + ("HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "", "HTTP/1.1 "))
    lines = [
        f"{method} {path} {version}",
        *(f"{name}: {value}" for name, value in header_fields(rng, kind, len(body))),
    ]
    head = rng.choice(("\r\n",) * 30 + ("\n", "\r")).join([*lines, "", ""]).encode("latin-1")
    if rng.random() < 0.2:
        head = rng.choice(BYTES)(rng, head)
    return head + body
