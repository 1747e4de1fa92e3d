"""Log records and metrics: a record of the journal in, lines of their own files out.

Law of this file: they have no identity, so none is held, recognised or put in order: a record is written when
it comes, and each of its lines says which record that was (see `otlp.marked_line`). Bytes that JSON has
no word for stay in the journal.

A log record belongs to the session that it names itself, else the one that its resource names, else the one
that its trace was already bound to, else to none: then its file is that of the id "". It counts for the
newest generation of its session, and is a sign of life: of an id that was never seen it begins the session,
because some agents send nothing else, and one that has gone idle is awake again. It never starts a
generation, ends nothing, and takes no crash back. Metrics have one stream for all of an engine.
"""

from typing import Final

from otel_ext import conventions, otlp, timestamps
from otel_ext.journal import Record
from otel_ext.pipeline.groups import Groups
from otel_ext.pipeline.ledger import Ledger
from otel_ext.pipeline.logsteps import LogSteps
from otel_ext.pipeline.members import Members
from otel_ext.pipeline.records import TELEMETRY_OF, unpack_request
from otel_ext.sessions import Streams
from otel_ext.telemetry import Telemetry

COUNT_OF: Final = {Telemetry.LOGS: "logs", Telemetry.METRICS: "points"}
"""What a file of them counts."""


class Logs:
    """Takes requests of logs and metrics; used by the pipeline's thread only."""

    def __init__(
        self, streams: Streams, members: Members, ledger: Ledger, line_bytes: int, steps: LogSteps
    ) -> None:
        self._streams, self._members, self._ledger, self._most = streams, members, ledger, line_bytes
        self._groups, self._steps, self._tells = Groups(), steps, False

    def take(self, record: Record, now: int) -> None:
        """Write what a record brought, at engine time `now`."""
        body, rejected = unpack_request(record.payload)
        telemetry = TELEMETRY_OF[record.kind]
        counts = self._ledger.of(telemetry)
        counts.received += record.items
        counts.reject(rejected)
        self._tells = any(hint in body for hint in conventions.record_hints)
        for session_id, groups in self._by_session(body, telemetry, record.wall, now).items():
            stored = self._write(session_id, telemetry, otlp.pack(groups), record.before)
            counts.stored += stored
            if not record.items:  # `reindex` found it in the journal only; it was received before
                counts.waiting -= stored

    def _by_session(
        self, body: bytes, telemetry: Telemetry, received: int, now: int
    ) -> dict[str, list[otlp.Group]]:
        """A request's groups, divided by session in the order in which sessions appear."""
        if telemetry is Telemetry.METRICS:
            return {"": [group for group in otlp.split(body) if group.items]}
        found: dict[str, list[otlp.Group]] = {}
        for group in otlp.split(body):
            named, _ = self._groups.resource(group.resource)
            parts: dict[str, list[bytes]] = {}
            for raw in group.items:
                log = otlp.parse_log(raw)
                session_id = own_session(raw, log) or named or self._bound(log.trace_id)
                parts.setdefault(session_id, []).append(raw)
                time = time_of(log, received)
                if session_id:
                    session = self._members.newest(session_id, now)
                    session.saw_log(time, now)
                    self._members.changed(session, active=True)
                if self._tells:
                    self._steps.take(raw, log, group, session_id, time=time, now=now)
            for session_id, raws in parts.items():
                found.setdefault(session_id, []).append(group._replace(items=raws))
        return found

    def _bound(self, trace_id: bytes) -> str:
        """The session of a trace that is known, "" otherwise."""
        trace = self._members.trace(trace_id) if trace_id else None
        return (trace.joined or trace.session_id) if trace else ""

    def _write(self, session_id: str, telemetry: Telemetry, body: bytes, before: int) -> int:
        """Write a request as lines; how many items they count."""
        line = otlp.json_line(telemetry, body)
        if line == b"{}\n":  # it says nothing, and a mark stands behind something
            return 0
        line = otlp.marked_line(line, before)
        if len(line) > self._most and (halves := otlp.halve(body)):
            return sum(self._write(session_id, telemetry, half, before) for half in halves)
        count = otlp.items_of(telemetry, body)
        self._streams.append(session_id, line, telemetry, **{COUNT_OF[telemetry]: count})
        return count


def own_session(raw: bytes, log: otlp.RawLog) -> str:
    """The session id that a log record carries itself, "" for none."""
    if conventions.may_name_session(raw):
        return conventions.session_of(otlp.attributes(log)) or ""
    return ""


def time_of(log: otlp.RawLog, received: int) -> int:
    """A log record's time in ns, or that of its observation; 0 when none can be believed."""
    time = log.time_unix_nano or log.observed_time_unix_nano
    mended = timestamps.repair(time, time, received)
    return time if mended is None else mended.start
