"""The fold: one journal record in, lines of session files and rows of the catalog out.

Law of this file: what comes out is a function of the records alone (law L7): no clock, no randomness, no
batching shows in it. A record is handled in this order: what engine time has made due, then the spans
in the order of the request (repair times, recognise re-deliveries, find the session, read the step).
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from otel_ext.dedup import Window
from otel_ext.journal import Record
from otel_ext.pipeline.detect import Detection
from otel_ext.pipeline.guard import CrashGuard
from otel_ext.pipeline.hold import Hold, Item, count, runs
from otel_ext.pipeline.ledger import Ledger
from otel_ext.pipeline.lines import LineWriter
from otel_ext.pipeline.logs import Logs
from otel_ext.pipeline.logsteps import LogSteps, claim
from otel_ext.pipeline.members import SECOND, Members
from otel_ext.pipeline.outbox.entry import Edits
from otel_ext.pipeline.rebuild import rebuild
from otel_ext.pipeline.records import DIED, ENDS, FINISH, MARK, REQUEST, STARTED, TELEMETRY_OF, open_request
from otel_ext.pipeline.recount import Stored
from otel_ext.pipeline.settings import EngineSettings
from otel_ext.pipeline.spans import SpanReader
from otel_ext.pipeline.spansteps import StepReader
from otel_ext.pipeline.unfinished import Unfinished
from otel_ext.sessions import Catalog, Checkpoint, FileRow, Streams, Trace
from otel_ext.signals import Finding, Status


class Processor:
    """All folds of one engine, loaded from its catalog; used by the pipeline's thread only.

    Args:
        stored: the committed lines of a session file.
        edits: takes what goes out otherwise than it came.
    """

    def __init__(
        self,
        catalog: Catalog,
        streams: Streams,
        settings: EngineSettings,
        *,
        stored: Callable[[FileRow], Iterable[bytes]],
        edits: Edits,
    ) -> None:
        self._catalog = catalog
        self._lines = LineWriter(streams, settings.line_bytes)
        self.members = Members(catalog, settings)
        window = self._window = Window.load(catalog.dedup_blocks(), settings.dedup_window)
        self._hold = Hold(int(settings.hold * SECOND), settings.hold_spans, settings.hold_bytes)
        meta = catalog.meta()
        self.ledger = msgspec.convert(meta["ledger"], Ledger) if "ledger" in meta else Ledger()
        self._detection = Detection(
            settings, members=self.members, lines=self._lines, ledger=self.ledger, window=window, edits=edits
        )
        self._unfinished = Unfinished(settings.open_spans, settings.open_spans_bytes)
        effects = settings.signals.effects
        told = StepReader(effects)
        self._reader = SpanReader(self._window, self.members, self._unfinished, told, edits)
        self._guard = CrashGuard(self, self.ledger, self.members, self._unfinished, self._reader)
        steps = LogSteps(self.members, self._detection, effects, settle=self.settle, held=self._hold)
        self._readers = told, steps.reader
        self._logs = Logs(streams, self.members, self.ledger, settings.line_bytes, steps)
        self._load(stored)

    def record(self, record: Record) -> None:
        """Process one record of the journal."""
        now = record.engine
        self.ledger.damaged(record.lost_items)
        self._due(now)
        if record.kind == REQUEST:
            body, rejected = open_request(record.payload)
            self.ledger.received += record.items
            self.ledger.reject(rejected)
            self._request(body, record.wall, now)
        elif record.kind in TELEMETRY_OF:
            self._logs.take(record, now)
        else:
            self._fact(record, now)
        self._lines.flush()
        self.ledger.waiting = len(self._hold)

    def give_up(self, record: Record, reason: str) -> None:
        """Count a record whose processing failed; what it brought is lost, with a reason."""
        counts = self.ledger.of(TELEMETRY_OF.get(record.kind))
        counts.received += record.items
        counts.lose(reason, record.items)
        self.ledger.damaged(record.lost_items)

    def next_deadline(self) -> int | None:
        """Engine time at which something becomes due although nothing arrives."""
        deadlines = (self._hold.next_deadline(), self._detection.next_deadline(), self.members.next_idle())
        return min((d for d in deadlines if d is not None), default=None)

    def held_since(self) -> int | None:
        """Engine time since which a span waits for its session's id, in no file yet."""
        return self._hold.since()

    def checkpoint(self) -> Checkpoint:
        """What the next transaction must hold, less the cursor and the files' rows."""
        sessions, traces = self.members.take_changes()
        folds = {"hold": self._hold.dump(), **self._detection.dump()}
        folds.update(self._unfinished.dump())
        first = self._window.first_index
        block = self._window.take_block()
        return Checkpoint(
            meta={"ledger": self.ledger.as_dict()},
            sessions=sessions,
            traces=traces,
            signals=self._detection.take_rows(),
            folds=folds,
            dedup=(first, block) if block else None,
            dedup_from=self._window.live_from,
        )

    def _load(self, stored: Callable[[FileRow], Iterable[bytes]]) -> None:
        detection, begun = {}, {}
        for key, data in self._catalog.folds().items():
            if key == "hold":
                self._hold.load(data)
            elif key.startswith("begun/"):
                begun[key] = data
            else:
                detection[key] = data
        self._unfinished.load(begun)
        files = Stored(self._catalog, *self._readers, stored)
        self._detection.load(detection, lambda signals, told: rebuild(signals, told, self.members, files))
        self._lines.flush()

    def _fact(self, record: Record, now: int) -> None:
        """What is no request: a fact about spans, a session or the process; a tick is only time."""
        if record.kind == STARTED:
            self._guard.begin(record.payload, now)
        elif record.kind == MARK:
            self._guard.mark(record.payload, now)
        elif record.kind in ENDS:
            self._settle_all(now)
            if record.kind == FINISH:
                self._guard.finish(now)
            elif record.kind == DIED:
                self._guard.died(now)

    def _request(self, body: bytes, received: int, now: int) -> None:
        batch = self._reader.read(body, received)
        self._detection.add(batch.steps, now, batch.outlines)
        for trace_id in batch.duplicates:
            self._duplicate(trace_id)
        for run in batch.runs:
            self._place(run, batch.named, now)

    def _place(self, run: Sequence[Item], named: dict[bytes, str], now: int) -> None:
        """Store a run of spans, or hold it while its trace's session is unknown."""
        trace_id = run[0].trace_id
        trace = None if trace_id in self._hold else self.members.trace(trace_id)
        session_id = run[0].own or named.get(trace_id) or self._unfinished.session_of(trace_id)
        if trace is None:
            if not session_id:
                self._hold.add(run, now)
                return
            trace = self.settle(trace_id, session_id, now)
        elif session_id != trace.session_id == trace_id.hex() and session_id and not trace.joined:
            self.members.join(trace, session_id)
            self._guard.bound(trace, now)
        if trace.adopted:
            claim(trace, self.members)
        self.store(run, trace, now)

    def settle(self, trace_id: bytes, session_id: str, now: int) -> Trace:
        """Decide a trace's session and store what was held of it."""
        trace = self.members.bind(trace_id, session_id, now)
        items, duplicates = self._hold.take(trace_id)
        for run in runs(items):
            self.store(run, trace, now)
        if duplicates:
            self.members.session(trace).duplicates += duplicates
        self._guard.bound(trace, now)
        return trace

    def store(self, run: Sequence[Item], trace: Trace, now: int) -> None:
        """Store a run of spans under its session, count it there, and heed what it states of the session."""
        first = run[0]
        session = self.members.session(trace, first.own)
        if len(run) > 1 and (first.crashed or first.over or session.crash or session.over):
            for item in run:  # an end is told as of the span that brought it about
                self.store((item,), trace, now)
            return
        conflicts, unfinished = count(run, session, now)
        for item in run if not trace.rooted else ():
            if item.root:
                self.members.rooted(trace, item.span_id, item.root_error)
                break
        self.members.changed(session, active=True)
        if first.agentic or (len(run) > 1 and any(item.agentic for item in run)):
            self.members.follow(trace, first.resource, now)
        self.ledger.stored += len(run)
        self.ledger.conflicts += conflicts
        self.ledger.unfinished += unfinished
        self._lines.add(session.session_id, run)
        self._guard.heed(first, session, now)

    def close_trace(self, trace_id: bytes, status: Status, now: int) -> None:
        """End what the detectors have open in a trace."""
        self._detection.close(trace_id, status, now)

    def catch_up(self, trace_id: bytes, now: int) -> None:
        """Let no step of a trace wait any longer."""
        self._detection.catch_up(trace_id, now)

    def emit(self, findings: Iterable[Finding]) -> None:
        """Write derived spans."""
        self._detection.emit(findings)

    def seal(self, session_id: str) -> None:
        """A generation ended: later lines of the session begin a new file."""
        self._lines.seal(session_id)

    def _duplicate(self, trace_id: bytes) -> None:
        self.ledger.duplicate += 1
        trace = self.members.trace(trace_id)
        if trace is None:
            self._hold.duplicate(trace_id)
        else:
            session = self.members.session(trace)
            session.duplicates += 1
            self.members.changed(session, active=False)

    def _due(self, now: int) -> None:
        """Act on everything whose engine time has come, in a fixed order."""
        while (trace_id := self._hold.due(now)) is not None:
            self.settle(trace_id, trace_id.hex(), now)
        self._lines.flush()
        for trace_id in self._detection.due(now):
            if trace_id in self._hold:
                self.settle(trace_id, trace_id.hex(), now)
                self._lines.flush()
        self._guard.end(self.members.idle(now), now)
        self._detection.tick(now)

    def _settle_all(self, now: int) -> None:
        """Let nothing wait any longer, whatever its time."""
        for trace_id in self._hold.waiting():
            self.settle(trace_id, trace_id.hex(), now)
        self._lines.flush()
        self._detection.rest(now)
