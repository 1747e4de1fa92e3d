"""What goes out for a record beside its request as it is.

Law of this file: it depends on the record and the fold alone, so that after a crash it is made anew, the
same byte for byte; and it holds only what differs.
"""

from collections.abc import Callable, Iterator

import msgspec

from otel_ext import otlp
from otel_ext.journal import Record
from otel_ext.pipeline.records import LOGS, METRICS, RELAY, REQUEST, unpack_request
from otel_ext.signals import SCOPE_NAME
from otel_ext.span import Value
from otel_ext.telemetry import Telemetry

_KINDS = {REQUEST: Telemetry.TRACES, LOGS: Telemetry.LOGS, METRICS: Telemetry.METRICS}
_OURS = SCOPE_NAME.encode()


class Entry(msgspec.Struct, array_like=True):
    """What differs for one record.

    Attributes:
        edits: see `otlp.edit`.
        extras: requests of one span each that were made while the record was processed; they follow it.
    """

    edits: dict[int, bytes | None]
    extras: list[bytes]

    @property
    def left_out(self) -> int:
        """Spans of the record that do not go out."""
        return sum(1 for more in self.edits.values() if more is None)


class Edits:
    """Gathers the entry of the record that is being processed; used by the pipeline's thread only.

    Args:
        derived: takes each finding as well.
        relay: takes each finding and each unfinished span as well.
    """

    def __init__(
        self,
        derived: Callable[[bytes], None] | None = None,
        relay: Callable[[bytes], None] | None = None,
    ) -> None:
        self._derived, self._relay = derived, relay
        self._edits: dict[int, bytes | None] = {}
        self._extras: list[bytes] = []

    def leave_out(self, number: int) -> None:
        """The request's span of that number was there before."""
        self._edits[number] = None

    def add(self, number: int, addition: bytes) -> None:
        """The request's span of that number goes out with an `otlp.addition`."""
        self._edits[number] = addition

    def finding(self, body: bytes) -> None:
        """A derived span, as a request of its own."""
        if self._derived is not None:
            self._derived(body)
        self._extra(body)

    def unfinished(self, body: bytes, mark: tuple[str, Value]) -> None:
        """The request of a span that began and will never end; it goes out as it is stored, with the mark."""
        self._extra(otlp.edit(body, {0: otlp.addition((mark,))}))

    def _extra(self, body: bytes) -> None:
        if self._relay is not None:
            self._relay(body)
        self._extras.append(body)

    def take(self) -> Entry | None:
        """What the last record comes to, None when its request goes out as it is and nothing else does."""
        if not self._edits and not self._extras:
            return None
        entry = Entry(self._edits, self._extras)
        self._edits, self._extras = {}, []
        return entry


def outgoing(
    record: Record, entry: Entry | None, *, derived_only: bool
) -> Iterator[tuple[Telemetry, bytes, int]]:
    """The requests that go out for a record, in order, each with the number of its items.

    With `derived_only` only spans under this program's scope do, wherever they come from.
    """
    telemetry = _KINDS.get(record.kind)
    if telemetry is not None:
        body, rejected = unpack_request(record.payload)
        items = record.items - sum(rejected.values())
        if entry is not None and entry.edits:
            body = otlp.edit(body, entry.edits)
            items -= entry.left_out
        if derived_only:
            body = _ours(telemetry, body)
            items = otlp.count(body)
        if items:
            yield telemetry, body, items
    elif record.kind == RELAY:
        body = _ours(Telemetry.TRACES, record.payload) if derived_only else record.payload
        if body:
            yield Telemetry.TRACES, body, otlp.count(body)
    for extra in entry.extras if entry is not None else ():
        if not derived_only or _ours(Telemetry.TRACES, extra):
            yield Telemetry.TRACES, extra, 1


def _ours(telemetry: Telemetry, body: bytes) -> bytes:
    if telemetry is not Telemetry.TRACES or _OURS not in body:
        return b""
    return otlp.only_scope(body, SCOPE_NAME)
