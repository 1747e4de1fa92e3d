"""What the compiled helpers do where they are there, and Python else: the same answers either way.

Law of this room: `read.c` reads usual spans only, `vouch.c` vouches for usual requests only, and neither
decides an error; what they leave, and all where they were not compiled, is for `otlp.rendering` and
`otlp.vouch`. `OTEL_EXT_PURE=1` in the environment does without them, when this is built and when it runs.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, ClassVar, Final, TypeAlias

import msgspec

from otel_ext.otlp import rendering
from otel_ext.otlp.attributes import PLAIN, Reader, joined
from otel_ext.otlp.rendering import Rendered, rendered
from otel_ext.span import Value

PURE: Final = "OTEL_EXT_PURE"
_sha256 = hashlib.sha256


class Usual(msgspec.Struct, gc=False):
    """What `Rendered` is, of a usual span: its JSON and the digest's preimage are made at once."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    start: int
    end: int
    flags: int
    failed: bool
    pairs: list[bytes]
    _keys: bytes
    _content: bytes
    _json: bytes
    # Where in `_json` the times begin, and its own attributes begin and end.
    _times: int
    _own: int
    _own_end: int
    _reader: Reader
    has_events: ClassVar[bool] = False

    @property
    def notes(self) -> tuple[int, ...]:
        """As `Rendered.notes`."""
        return self._reader.noted(self._keys, self.pairs)

    def attributes(self) -> dict[str, Value]:
        """As `Rendered.attributes`."""
        return self._reader.attributes(self.pairs)

    def digest(self) -> bytes:
        """As `Rendered.digest`."""
        return _sha256(self._content).digest()[:16]

    def json(
        self, extra: Sequence[tuple[str, Value]] = (), start: int | None = None, end: int | None = None
    ) -> bytes:
        """As `Rendered.json`."""
        start = self.start if start is None else start
        end = self.end if end is None else end
        if not extra and start == self.start and end == self.end:
            return self._json
        json, own_end = self._json, self._own_end
        own = json[self._own : own_end]
        attributes = joined([own] if own else [], extra, b"")
        return b'%b,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"%b%b' % (
            json[: self._times],
            start,
            end,
            b',"attributes":[%b]' % attributes if attributes else b"",
            json[own_end + 1 :] if own else json[own_end:],
        )


Seen: TypeAlias = Rendered | Usual
"""A span read for everything but its attributes' meaning."""


_Helper: TypeAlias = Callable[[bytes, Reader, type[Usual]], Usual | None]


def _module(name: str) -> Any:
    """A compiled module; None when it is not wanted or not there."""
    if os.environ.get(PURE, "") not in {"", "0"}:
        return None
    try:
        return import_module(f"otel_ext.otlp.native.{name}")
    except ImportError:
        return None


def _compiled() -> _Helper | None:
    """What reads spans, if it is wanted, there, and of this version."""
    helper = _module("_read")
    return helper.read if helper is not None and helper.VERSION == rendering.VERSION else None


_helper: Final = _compiled()
_voucher: Final[Callable[[bytes], int | None] | None] = getattr(_module("_vouch"), "vouch", None)
COMPILED: Final = _helper is not None
"""Whether the compiled helper reads usual spans here."""


def read(raw: bytes, reader: Reader = PLAIN) -> Seen:
    """`rendered(raw, reader)`, read by the helper where it can.

    Raises:
        InvalidRequest: it is no span, or an attribute, event or link cannot be decoded.
    """
    if _helper is not None and (seen := _helper(raw, reader, Usual)) is not None:
        return seen
    return rendered(raw, reader)


def vouch(body: bytes) -> int | None:
    """Spans of an encoded request, if everything in it is certainly good; None when nobody says so."""
    return None if _voucher is None else _voucher(body)
