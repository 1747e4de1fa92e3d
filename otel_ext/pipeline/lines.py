"""Spans gathered into lines of session files.

Law of this file: one line holds spans of one session and one record, in their order, under their own
resource and scope; it is at most `line_bytes` long unless a single span is larger. The grouping depends
on the record alone, so a replay writes the same bytes.
"""

from collections.abc import Sequence

from otel_ext import otlp
from otel_ext.pipeline.hold import Item
from otel_ext.sessions import Streams

_FRAME = 64
"""Bytes of JSON around a resource or scope, on top of their own, in the estimate of a line's length."""

_Scopes = dict[tuple[bytes, str], list[bytes]]
_Resources = dict[tuple[bytes, str], _Scopes]


class _Line:
    __slots__ = ("length", "resources", "spans")

    def __init__(self) -> None:
        self.resources: _Resources = {}
        self.length = _FRAME
        self.spans = 0


class LineWriter:
    """Gathers one record's spans by session and hands whole lines to the streams."""

    def __init__(self, streams: Streams, line_bytes: int) -> None:
        self._streams, self._most = streams, line_bytes
        self._pending: dict[str, _Line] = {}

    def add(self, session_id: str, run: Sequence[Item]) -> None:
        """Add received spans of one resource and scope to their session's line."""
        line = self._pending.get(session_id)
        if line is None:
            line = self._pending[session_id] = _Line()
        first, added = run[0], len(run)
        for item in run:
            added += len(item.json)
        scopes = line.resources.get((first.resource, first.resource_url))
        spans = scopes.get((first.scope, first.scope_url)) if scopes is not None else None
        if spans is None:
            added += 4 * (len(first.resource) + len(first.scope)) + 2 * _FRAME
        if line.length + added > self._most:
            if len(run) > 1:  # they go as far as there is room
                for item in run:
                    self.add(session_id, (item,))
                return
            if line.spans:
                self._write(session_id, line)
                line = self._pending[session_id] = _Line()
                scopes = spans = None
        if scopes is None:
            scopes = line.resources[first.resource, first.resource_url] = {}
        if spans is None:
            spans = scopes[first.scope, first.scope_url] = []
        for item in run:
            spans.append(item.json)
        line.length += added
        line.spans += len(run)

    def derived(self, session_id: str, resource: bytes, scope: bytes, span: bytes) -> None:
        """Write one span of our own as a line, after what is pending of its session."""
        pending = self._pending.pop(session_id, None)
        if pending is not None:
            self._write(session_id, pending)
        self._streams.append(
            session_id, otlp.line([(resource, "", [(scope, "", [span])])], derived=True), derived=1
        )

    def seal(self, session_id: str) -> None:
        """Write what is pending of a session and let its later lines begin a new file."""
        pending = self._pending.pop(session_id, None)
        if pending is not None:
            self._write(session_id, pending)
        self._streams.seal(session_id)

    def flush(self) -> None:
        """Hand over every pending line, in the order in which sessions appeared."""
        for session_id, line in self._pending.items():
            self._write(session_id, line)
        self._pending.clear()

    def _write(self, session_id: str, line: _Line) -> None:
        groups = [
            (resource, url, [(scope, scope_url, spans) for (scope, scope_url), spans in scopes.items()])
            for (resource, url), scopes in line.resources.items()
        ]
        self._streams.append(session_id, otlp.line(groups), spans=line.spans)
