"""Spans that have begun and not ended, so that a death between the two is seen.

Law of this file: what is kept here is in no file yet and counts as nothing; it leaves when its span
arrives ended, or when somebody states that it never will. Then it is written, marked unfinished, and it
never registers an identity: a span that ends after all is a span like any other.
"""

from collections import OrderedDict
from collections.abc import Mapping

import msgspec

from otel_ext import otlp
from otel_ext.pipeline.dumps import check_version, version_of

VERSION = 2


class Begun(msgspec.Struct, array_like=True):
    """The last that is known of one begun span.

    Attributes:
        payload: it alone, as in a started record; most spans end, so it is read only when one does not.
        session_id: the session id that it or its resource carries, "" for none.
        written: it is in a file already, as unfinished, because its session crashed.
        order: grows with each span that begins.
    """

    trace_id: bytes
    span_id: bytes
    payload: bytes
    session_id: str
    written: bool = False
    order: int = 0


class _Begun1(msgspec.Struct, array_like=True):
    """The same in version 1."""

    trace_id: bytes
    span_id: bytes
    resource: bytes
    resource_url: str
    scope: bytes
    scope_url: str
    raw: bytes
    session_id: str
    written: bool = False
    order: int = 0

    def now(self) -> Begun:
        """As it is kept today."""
        urls = {"resource_url": self.resource_url, "scope_url": self.scope_url}
        payload = otlp.request_of(self.resource, self.scope, self.raw, **urls)
        return Begun(self.trace_id, self.span_id, payload, self.session_id, self.written, self.order)


class _Dump1(msgspec.Struct, array_like=True):
    version: int
    begun: _Begun1


class _Dump(msgspec.Struct, array_like=True):
    version: int
    begun: Begun


class Unfinished:
    """Begun spans in the order in which they began; used by the pipeline's thread only.

    Args:
        most: spans kept.
        most_bytes: bytes of them kept. Beyond either the longest open span is in `crowded`.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes, self._bytes, self._order = most, most_bytes, 0, 0
        self._begun: OrderedDict[bytes, Begun] = OrderedDict()
        self._open: dict[bytes, int] = {}
        self._names: dict[bytes, str] = {}
        self._changed: dict[bytes, Begun | None] = {}
        self._dumped: set[bytes] = set()  # most spans end before a checkpoint ever heard of them

    def __len__(self) -> int:
        return len(self._begun)

    def add(self, begun: Begun) -> None:
        """Note a span that began, or what was learnt of it since."""
        key = begun.trace_id + begun.span_id
        known = self._begun.get(key)
        if known is None:
            self._order = max(self._order + 1, begun.order)
            begun.order = self._order
            self._open[begun.trace_id] = self._open.get(begun.trace_id, 0) + 1
        else:
            begun.written, begun.order = known.written, known.order
            self._bytes -= len(known.payload)
        self._begun[key] = self._changed[key] = begun
        self._bytes += len(begun.payload)
        if begun.session_id:
            self._names.setdefault(begun.trace_id, begun.session_id)

    def crowded(self) -> Begun | None:
        """The longest open span, when more is kept than should be."""
        crowded = len(self._begun) > self._most or self._bytes > self._most_bytes
        return next(iter(self._begun.values())) if crowded else None

    def ended(self, key: bytes) -> None:
        """Forget a span, by trace id and span id in one: it has ended."""
        begun = self._begun.pop(key, None)
        if begun is not None:
            self._gone(key)
            self._bytes -= len(begun.payload)
            self._open[begun.trace_id] -= 1
            if not self._open[begun.trace_id]:
                del self._open[begun.trace_id]
                self._names.pop(begun.trace_id, None)

    def session_of(self, trace_id: bytes) -> str:
        """The session id that a begun span of a trace carries, "" when none does."""
        return self._names.get(trace_id, "")

    def unwritten(self) -> list[Begun]:
        """Those that are in no file yet, in the order in which they began."""
        return [begun for begun in self._begun.values() if not begun.written]

    def wrote(self, begun: Begun) -> None:
        """Note that a span was written, marked unfinished."""
        begun.written = True
        self._changed[begun.trace_id + begun.span_id] = begun

    def clear(self) -> None:
        """Forget all: nothing of this will ever end."""
        for key in self._begun:
            self._gone(key)
        self._begun.clear()
        self._open.clear()
        self._names.clear()
        self._bytes = 0

    def dump(self) -> dict[str, bytes]:
        """What changed since the last dump, by key; empty for what has ended."""
        changed, self._changed = self._changed, {}
        self._dumped = self._dumped.union(changed).intersection(self._begun)
        return {
            f"begun/{key.hex()}": msgspec.msgpack.encode(_Dump(VERSION, begun)) if begun else b""
            for key, begun in changed.items()
        }

    def load(self, dumped: Mapping[str, bytes]) -> None:
        """Restore what `dump` gave, put together.

        Raises:
            UnsupportedVersion: a newer version wrote it.
        """
        found = []
        for data in dumped.values():
            check_version(data, VERSION, "begun spans")
            if version_of(data) == 1:
                found.append(msgspec.msgpack.decode(data, type=_Dump1).begun.now())
            else:
                found.append(msgspec.msgpack.decode(data, type=_Dump).begun)
        for begun in sorted(found, key=lambda one: one.order):
            self.add(begun)
        self._changed.clear()
        self._dumped.update(self._begun)

    def _gone(self, key: bytes) -> None:
        if key in self._dumped:
            self._changed[key] = None
        else:
            self._changed.pop(key, None)
