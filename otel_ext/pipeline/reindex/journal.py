"""What the journal holds that no file does, when nobody knows any more how far it was read.

Law of this file: a span that was acknowledged is in a session file, or in the journal where it is found here:
spans are told apart by what the window of re-deliveries knows of them, and what is in no file is appended to
the journal once more, so that it is processed like anything new. It was counted as received when it came, so
the new record counts nothing.

    known      records before the manifest's last totals: all is in files but what was held then
    behind it  records that may have been processed, wholly, partly or not at all
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_ext.journal import Journal, Position, Record
from otel_ext.pipeline.ledger import Ledger
from otel_ext.pipeline.records import (
    DIED,
    FINISH,
    MARK,
    REQUEST,
    STARTED,
    pack_request,
    unpack_request,
)
from otel_ext.pipeline.reindex.files import identities, unfinished_in

_BATCH: Final = 8 << 20
_HELD: Final = 60_000_000_000
"""ns before the last totals within which a span that was held then had come; the hold is seconds."""

Identity = tuple[bytes, bytes]


class Unread:
    """Reads a journal once, forgets what `stored` names, and appends the rest.

    Args:
        journal: opened; its end is where the new catalog goes on.
        since: the cursor of the manifest's last totals.
        engine: engine time of these, ns.
        ledger: these totals; what came behind them is added.
    """

    def __init__(self, journal: Journal, since: Position, engine: int, ledger: Ledger) -> None:
        self._journal, self._since, self._ledger = journal, since, ledger
        self._from = engine - _HELD if ledger.waiting else engine
        self._missing: dict[Identity, int] = {}
        """Spans that are in no file as far as is known, by the record that brought each first."""
        self._places: list[Position] = []
        self._begun: dict[bytes, int] = {}
        self._facts: list[Position] = []
        self._last = 0
        self.marked = 0
        """Spans behind the totals that came marked as unfinished."""
        self.read = 0
        for record in self._records(journal.start):
            self._note(record)
            self.read += 1

    def stored(self, identity: Identity) -> None:
        """A span is in a file."""
        self._missing.pop(identity, None)

    def written(self, key: bytes) -> None:
        """A begun span was written, marked unfinished."""
        self._begun.pop(key, None)

    def again(self) -> tuple[int, int]:
        """Append what is in no file; how many spans, and how many begun ones. Call it once."""
        wanted: dict[int, set[Identity]] = {}
        for identity, number in self._missing.items():
            wanted.setdefault(number, set()).add(identity)
        begun: dict[int, set[bytes]] = {}
        for key, number in self._begun.items():
            begun.setdefault(number, set()).add(key)
        facts = set(self._facts)
        numbers = {place: number for number, place in enumerate(self._places)}
        end = self._journal.readable_end
        for record in self._records(self._journal.start):
            if record.start >= end:
                break
            number = numbers.get(record.start, -1)
            if record.kind == REQUEST and number in wanted:
                body, _ = unpack_request(record.payload)
                left = wanted[number]
                kept = _only(body, lambda identity, left=left: _take(left, identity))
                self._append(REQUEST, pack_request(kept, {}))
            elif record.kind == STARTED and number in begun:
                keys = begun[number]
                body, _ = unpack_request(record.payload)
                kept = _only(body, lambda identity, keys=keys: _take(keys, identity[0]))
                self._append(STARTED, kept)
            elif record.start in facts:
                self._append(record.kind, record.payload)
        if self._last in {DIED, FINISH}:  # it was its last word, and may not have been heard
            if self._last == FINISH and self._begun:
                self._append(DIED, b"")
            self._append(self._last, b"")
        return len(self._missing), len(self._begun)

    def _append(self, kind: int, payload: bytes) -> None:
        self._journal.append(kind, payload, engine=self._journal.engine_time)

    def _records(self, after: Position) -> Iterator[Record]:
        while records := self._journal.read(after, _BATCH):
            yield from records
            after = records[-1].end

    def _note(self, record: Record) -> None:
        behind = record.start >= self._since
        ledger = self._ledger
        if behind:
            ledger.damaged(record.lost_items)
        if record.kind == REQUEST:
            body, rejected = unpack_request(record.payload)
            if behind:
                ledger.received += record.items
                ledger.reject(rejected)
            self._request(body, record, behind=behind)
        elif record.kind == STARTED:
            number = self._place(record)
            for key, _ in identities(unpack_request(record.payload)[0]):
                self._begun.pop(key, None)
                self._begun[key] = number
        elif record.kind == MARK and behind:
            self._facts.append(record.start)
        if behind and record.kind in {REQUEST, STARTED, MARK, DIED, FINISH}:
            self._last = record.kind

    def _request(self, body: bytes, record: Record, *, behind: bool) -> None:
        wanted = behind or record.engine >= self._from
        number = self._place(record) if wanted else -1
        if behind:
            self.marked += unfinished_in(body)
        for identity in identities(body):
            self._begun.pop(identity[0], None)
            if wanted:
                self._missing.setdefault(identity, number)

    def _place(self, record: Record) -> int:
        self._places.append(record.start)
        return len(self._places) - 1


def _take(left: set[Any], one: Any) -> bool:
    """Whether it is among them; it is not afterwards."""
    if one in left:
        left.remove(one)
        return True
    return False


def _only(body: bytes, wanted: Any) -> bytes:
    """A request with only the spans that are wanted, in order, under their own resources and scopes."""
    request = ExportTraceServiceRequest.FromString(body)
    keep: Iterable[bool] = [wanted(identity) for identity in identities(body)]
    choice = iter(keep)
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans = [span.SerializeToString() for span in scope_spans.spans if next(choice)]
            del scope_spans.spans[:]
            for span in spans:
                scope_spans.spans.add().ParseFromString(span)
    return request.SerializeToString()
