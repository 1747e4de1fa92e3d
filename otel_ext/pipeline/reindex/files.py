"""Session files read back: each stored span with what its session counts of it.

Law of this file: what is read here of a stored span is what `spans` noted when it was received, or, of a
span that never ended, what `guard` did. Only the times that stand in the file count: they are repaired.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from otel_ext import conventions, otlp, timestamps
from otel_ext.dedup import Window
from otel_ext.pipeline.groups import Groups
from otel_ext.pipeline.hold import Item
from otel_ext.pipeline.notes import CONFLICT, UNFINISHED, is_root, note_marks, note_step
from otel_ext.pipeline.original import original
from otel_ext.pipeline.spansteps import StepReader
from otel_ext.signals import SCOPE_NAME, Finding, finding_of
from otel_ext.span import STATUS_ERROR

_INVERT: Final = bytes(byte ^ 0xFF for byte in range(256))


def request_of(line: bytes) -> bytes:
    """A line as an encoded request."""
    return otlp.read_traces(line, instant=lambda value: timestamps.parse_instant(value)[0])


class StoredReader:
    """Reads lines of session files."""

    def __init__(self, reader: StepReader) -> None:
        self._reader, self._groups = reader, Groups()

    def findings(self, body: bytes) -> Iterator[Finding]:
        """The findings in a line of derived spans.

        Raises:
            DamageError: a span in it is none.
        """
        for _, spans in self._groups.of(body):
            yield from map(finding_of, spans)

    def items(self, body: bytes) -> Iterator[Item]:
        """The received spans in a line; their `json` is left empty."""
        for group, spans in self._groups.of(body):
            for raw in spans:
                span = otlp.parse(raw)
                attributes = otlp.attributes(span)
                own = conventions.session_of(attributes) or group.session_id
                times = span.start_time_unix_nano, span.end_time_unix_nano
                conflict = attributes.get(CONFLICT[0]) is True
                root = is_root(span)
                item = Item(span.trace_id, *group[:4], b"", *times, own, root, conflict=conflict)
                item.span_id = span.span_id
                if root and span.status.code == STATUS_ERROR:
                    item.root_error = span.status.message or "status ERROR"
                note_marks(item, attributes)
                if not conflict and group.scope_name != SCOPE_NAME:
                    step = self._reader.step(span, group, own, attributes=attributes, times=times)
                    note_step(item, step)
                yield item


def identities(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """`(key, digest)` of each span of a request as the window of re-deliveries knows it."""
    for _, _, _, _, spans in otlp.split(body):
        for raw in spans:
            span = otlp.parse(raw)
            key = span.trace_id + span.span_id
            if UNFINISHED[0].encode() in raw and otlp.attributes(span).get(UNFINISHED[0]) is True:
                key = span.trace_id + span.span_id.translate(_INVERT)
            yield key, otlp.content_digest(raw)


def relearn_window(window: Window, lines: Iterable[bytes]) -> None:
    """Let a window know the spans of stored lines as they were received, or derived."""
    for line in lines:
        for key, digest in identities(original(request_of(line), findings=True)):
            window.check(key, digest)


def unfinished_in(body: bytes) -> int:
    """How many spans of a request say that they never ended."""
    name = UNFINISHED[0]
    if name.encode() not in body:
        return 0
    return sum(
        otlp.attributes(otlp.parse(raw)).get(name) is True
        for _, _, _, _, spans in otlp.split(body)
        for raw in spans
    )
