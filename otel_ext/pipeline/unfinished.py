"""Spans that have begun and not ended, so that a death between the two is seen.

Law of this file: what is kept here is in no file yet and counts as nothing; it leaves when its span
arrives ended, or when somebody states that it never will. Then it is written, marked unfinished, and it
never registers an identity: a span that ends after all is a span like any other.
"""

from collections import OrderedDict

import msgspec

from otel_ext.pipeline.dumps import check_version

VERSION = 1


class Begun(msgspec.Struct, array_like=True):
    """The last that is known of one begun span: its wire bytes under their resource and scope.

    Attributes:
        session_id: the session id that it or its resource carries, "" for none.
        written: it is in a file already, as unfinished, because its session crashed.
    """

    trace_id: bytes
    span_id: bytes
    resource: bytes
    resource_url: str
    scope: bytes
    scope_url: str
    raw: bytes
    session_id: str
    written: bool = False


class _Dump(msgspec.Struct, array_like=True):
    version: int
    begun: list[Begun]


class Unfinished:
    """Begun spans in the order in which they began; used by the pipeline's thread only.

    Args:
        most: spans kept; beyond it the longest open one is forgotten and counted in `forgotten`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._begun: OrderedDict[bytes, Begun] = OrderedDict()
        self._open: dict[bytes, int] = {}
        self._names: dict[bytes, str] = {}
        self._changed = False
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._begun)

    def add(self, begun: Begun) -> None:
        """Note a span that began, or what was learnt of it since."""
        key = begun.trace_id + begun.span_id
        known = self._begun.get(key)
        if known is None:
            self._open[begun.trace_id] = self._open.get(begun.trace_id, 0) + 1
        else:
            begun.written = known.written
        self._begun[key] = begun
        if begun.session_id:
            self._names.setdefault(begun.trace_id, begun.session_id)
        self._changed = True
        if len(self._begun) > self._most:
            self.ended(next(iter(self._begun)))
            self.forgotten += 1

    def ended(self, key: bytes) -> None:
        """Forget a span, by trace id and span id in one: it has ended."""
        begun = self._begun.pop(key, None)
        if begun is not None:
            self._changed = True
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
        begun.written = self._changed = True

    def clear(self) -> None:
        """Forget all: nothing of this will ever end."""
        self._changed = self._changed or bool(self._begun)
        self._begun.clear()
        self._open.clear()
        self._names.clear()

    def dump(self) -> bytes | None:
        """The state, empty when nothing is open; None when it has not changed since the last dump."""
        if not self._changed:
            return None
        self._changed = False
        return msgspec.msgpack.encode(_Dump(VERSION, list(self._begun.values()))) if self._begun else b""

    def load(self, data: bytes) -> None:
        """Restore a dump.

        Raises:
            UnsupportedVersion: a newer version wrote it.
        """
        check_version(data, VERSION, "begun spans")
        for begun in msgspec.msgpack.decode(data, type=_Dump).begun:
            self.add(begun)
        self._changed = False
