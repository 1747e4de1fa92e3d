"""What the journal holds of logs and metrics that no file does; `journal` is the same for spans.

Law of this file: an item is told apart by the mark of its line (which record it came with, see
`otlp.marked_line`) and by its content, equal ones by their number. What is in no file is appended to the
journal once more. Such a record counts no items, because they were received when they came; so a later look,
should this one be interrupted, knows it for a copy: what it holds is not missing a second time.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from otel_ext import otlp
from otel_ext.journal import Journal, Position, Record
from otel_ext.pipeline.ledger import Ledger
from otel_ext.pipeline.logs import COUNT_OF, time_of
from otel_ext.pipeline.records import KIND_OF, TELEMETRY_OF, pack_request, unpack_request
from otel_ext.sessions import FileRow
from otel_ext.telemetry import Telemetry

_BATCH: Final = 8 << 20


class UnreadLogs:
    """Reads a journal behind the manifest's last totals, is told of every line, and appends the rest.

    Args:
        journal: opened.
        since: the cursor of these totals.
        ledger: these totals; what came behind them is added.
    """

    def __init__(self, journal: Journal, since: Position, ledger: Ledger) -> None:
        self._journal, self._since, self._ledger = journal, since, ledger
        self._marks = set[int]()
        self._stored = Counter[tuple[int, Telemetry, bytes]]()
        for record, telemetry in self._records():
            counts = ledger.of(telemetry)
            counts.received += record.items
            counts.reject(unpack_request(record.payload)[1])
            self._marks.add(record.before)

    def stored(self, telemetry: Telemetry, line: bytes) -> Iterator[int]:
        """Take in a line of a file; the times of its log records."""
        body = otlp.read_json(telemetry, line)
        after = otlp.read_mark(line)
        if after in self._marks:
            self._stored.update((after, telemetry, each) for each in _identities(body))
        if telemetry is Telemetry.LOGS:
            for *_, items in otlp.split(body):
                yield from (time_of(otlp.parse_log(raw), 0) for raw in items)

    def again(self, rows: list[FileRow], expired: dict[str, int]) -> None:
        """Append what is in no file, and balance the ledger with what is. Call it once.

        Args:
            rows: every file.
            expired: what retention took.
        """
        waiting = Counter[Telemetry]()
        missing, end = self._missing(), self._journal.readable_end
        for record, telemetry in self._records():
            if record.start >= end:
                break
            if wanted := missing.get(record.start):
                body, _ = unpack_request(record.payload)
                kept = otlp.pack(_only(body, wanted))
                waiting[telemetry] += otlp.items_of(telemetry, kept)
                self._journal.append(
                    KIND_OF[telemetry], pack_request(kept, {}), engine=self._journal.engine_time
                )
        for telemetry, name in COUNT_OF.items():
            counts = self._ledger.of(telemetry)
            counts.stored = sum(getattr(row, name) for row in rows) + expired[name]
            counts.waiting = waiting[telemetry]
            left = counts.balance
            counts.lose("damage", max(left, 0))
            counts.received -= min(left, 0)

    def _missing(self) -> dict[Position, list[bool]]:
        """Of each record of which something is in no file and in no later copy, which items that are."""
        seen = [
            (record.start, record.before, telemetry, not record.items, list(_identities(_passed(record))))
            for record, telemetry in self._records()
        ]
        left, copied = Counter(self._stored), Counter[tuple[Telemetry, bytes]]()
        found: dict[Position, list[bool]] = {}
        for start, before, telemetry, copy, identities in reversed(seen):
            wanted = []
            for each in identities:
                there = left[before, telemetry, each] > 0
                left[before, telemetry, each] -= there
                told = not there and copied[telemetry, each] > 0
                copied[telemetry, each] -= told
                wanted.append(not there and not told)
            if copy:
                copied.update((telemetry, each) for each in identities)
            if any(wanted):
                found[start] = wanted
        return found

    def _records(self) -> Iterator[tuple[Record, Telemetry]]:
        """Records of logs and metrics behind the totals."""
        after = self._journal.start
        while records := self._journal.read(after, _BATCH):
            for record in records:
                telemetry = TELEMETRY_OF.get(record.kind)
                if telemetry in COUNT_OF and record.start >= self._since:
                    yield record, telemetry
            after = records[-1].end


def _passed(record: Record) -> bytes:
    """A record's request as a file would give it back."""
    telemetry = TELEMETRY_OF[record.kind]
    body, _ = unpack_request(record.payload)
    return otlp.read_json(telemetry, otlp.json_line(telemetry, body))


def _identities(body: bytes) -> Iterator[bytes]:
    """A digest of each item with its resource and scope."""
    for group in otlp.split(body):
        for raw in group.items:
            yield hashlib.sha256(otlp.pack([group._replace(items=[raw])])).digest()


def _only(body: bytes, wanted: list[bool]) -> Iterator[otlp.Group]:
    """A request's groups with only the items that are wanted."""
    choice = iter(wanted)
    for group in otlp.split(body):
        if kept := [raw for raw in group.items if next(choice)]:
            yield group._replace(items=kept)
