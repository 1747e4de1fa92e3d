"""The fold: one journal record in, lines of session files and rows of the catalog out.

Law of this file: what comes out is a function of the records alone (law L7): no clock, no randomness, no
batching shows in it. A record is handled in this order: what engine time has made due, then the spans
in the order of the request (repair times, recognise re-deliveries, find the session, read the step).
"""

from collections.abc import Iterable

import msgspec

from otel_ext import __version__, otlp
from otel_ext.dedup import Window
from otel_ext.journal import Record
from otel_ext.pipeline.hold import Hold, Item
from otel_ext.pipeline.ledger import Ledger
from otel_ext.pipeline.lines import LineWriter
from otel_ext.pipeline.members import SECOND, Members
from otel_ext.pipeline.records import FINISH, REQUEST, SETTLE, unpack_request
from otel_ext.pipeline.reorder import CLOSE, Happening, Reorder
from otel_ext.pipeline.settings import EngineSettings
from otel_ext.pipeline.spans import SpanReader
from otel_ext.sessions import Catalog, Checkpoint, Session, Streams, Trace
from otel_ext.signals import Finding, Signals, derived_span, scope_bytes


class Processor:
    """All folds of one engine, loaded from its catalog; used by the pipeline's thread only."""

    def __init__(self, catalog: Catalog, streams: Streams, settings: EngineSettings) -> None:
        wait = int(settings.hold * SECOND)
        self._catalog = catalog
        self._lines = LineWriter(streams, settings.line_bytes)
        self.members = Members(catalog, settings)
        self._window = Window.load(catalog.dedup_blocks(), settings.dedup_window)
        self._hold = Hold(wait, settings.hold_spans, settings.hold_bytes)
        self._reorder = Reorder(wait, settings.reorder_steps)
        self.signals = Signals(settings.signals)
        self._reader = SpanReader(self._window, self.members, settings.signals.effects)
        self.ledger = Ledger()
        self._findings: list[tuple[str, int, str, bytes, bytes]] = []
        self._scope = scope_bytes(__version__)
        self._load()

    def record(self, record: Record) -> None:
        """Process one record of the journal."""
        now = record.engine
        if record.lost_items:
            self.ledger.received += record.lost_items
            self.ledger.lose("journal_damage", record.lost_items)
        self._due(now)
        if record.kind == REQUEST:
            body, rejected = unpack_request(record.payload)
            self.ledger.received += record.items
            self.ledger.reject(rejected)
            self._request(body, record.wall, now)
        elif record.kind in {SETTLE, FINISH}:
            self._settle_all(now)
            if record.kind == FINISH:
                self._end(self.members.end_all(now), now)
        self.ledger.waiting = len(self._hold)

    def give_up(self, record: Record, reason: str) -> None:
        """Count a record whose processing failed; its spans are lost, with a reason."""
        self.ledger.received += record.items + record.lost_items
        self.ledger.lose("journal_damage", record.lost_items)
        self.ledger.lose(reason, record.items)

    def next_deadline(self) -> int | None:
        """Engine time at which something becomes due although nothing arrives."""
        deadlines = (
            self._hold.next_deadline(),
            self._reorder.next_deadline(),
            self.members.next_idle(),
            self.signals.next_deadline(),
        )
        return min((d for d in deadlines if d is not None), default=None)

    def checkpoint(self) -> Checkpoint:
        """What the next transaction must hold, less the cursor and the files' rows."""
        sessions, traces = self.members.take_changes()
        findings, self._findings = self._findings, []
        folds = {"hold": self._hold.dump(), "reorder": self._reorder.dump()}
        folds.update((f"signals/{key}", data) for key, data in self.signals.dump().items())
        first = self._window.first_index
        block = self._window.take_block()
        return Checkpoint(
            meta={"ledger": self.ledger.as_dict()},
            sessions=sessions,
            traces=traces,
            signals=findings,
            folds=folds,
            dedup=(first, block) if block else None,
            dedup_from=self._window.live_from,
        )

    def _load(self) -> None:
        meta = self._catalog.meta()
        if "ledger" in meta:
            self.ledger = msgspec.convert(meta["ledger"], Ledger)
        signals = {}
        for key, data in self._catalog.folds().items():
            room, _, rest = key.partition("/")
            if room == "signals":
                signals[rest] = data
            elif room == "hold":
                self._hold.load(data)
            elif room == "reorder":
                self._reorder.load(data)
        self.signals.load(signals)

    def _request(self, body: bytes, received: int, now: int) -> None:
        batch = self._reader.read(body, received)
        for step, bounds in batch.steps:
            self._reorder.add(step, now, bounds=bounds)
        for trace_id in batch.duplicates:
            self._duplicate(trace_id)
        for item in batch.items:
            self._place(item, batch.named, now)
        self._lines.flush()

    def _place(self, item: Item, named: dict[bytes, str], now: int) -> None:
        """Store a span, or hold it while its trace's session is unknown."""
        trace = None if item.trace_id in self._hold else self.members.trace(item.trace_id)
        session_id = item.own or named.get(item.trace_id, "")
        if trace is None:
            if not session_id:
                self._hold.add(item, now)
                return
            trace = self._settle(item.trace_id, session_id, now)
        elif session_id and not trace.joined and trace.session_id == item.trace_id.hex() != session_id:
            self.members.join(trace, session_id)
        self._store(item, trace, now)

    def _settle(self, trace_id: bytes, session_id: str, now: int) -> Trace:
        """Decide a trace's session and store what was held of it."""
        trace = self.members.bind(trace_id, session_id, now)
        items, duplicates = self._hold.take(trace_id)
        for item in items:
            self._store(item, trace, now)
        if duplicates:
            self.members.session(trace).duplicates += duplicates
        return trace

    def _store(self, item: Item, trace: Trace, now: int) -> None:
        session = self.members.session(trace, item.own)
        session.saw_span(item.start, item.end, now)
        session.conflicts += item.conflict
        session.tool_calls += item.tool
        session.errors += item.failed
        session.input_tokens += item.input_tokens
        session.output_tokens += item.output_tokens
        if item.root and not trace.rooted:
            home = self.members.session(trace)
            home.root_ended(item.root_error)
            self.members.changed(home, active=home is session)
            self.members.rooted(trace)
        self.members.changed(session, active=True)
        if item.agentic:
            self.members.follow(trace, item.resource, now)
        self.ledger.stored += 1
        self.ledger.conflicts += item.conflict
        self._lines.add(session.session_id, item)

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
            self._settle(trace_id, trace_id.hex(), now)
        self._lines.flush()
        while (ready := self._reorder.due(now)) is not None:
            trace_id, until = ready
            if trace_id in self._hold:
                self._settle(trace_id, trace_id.hex(), now)
                self._lines.flush()
            self._detect(self._reorder.take(trace_id, until), now)
        self._end(self.members.idle(now), now)
        self._emit(self.signals.tick(now))

    def _settle_all(self, now: int) -> None:
        """Let nothing wait any longer, whatever its time."""
        for trace_id in self._hold.waiting():
            self._settle(trace_id, trace_id.hex(), now)
        self._lines.flush()
        for trace_id in self._reorder.waiting():
            self._detect(self._reorder.take(trace_id), now)

    def _end(self, ended: Iterable[tuple[Session, list[bytes]]], now: int) -> None:
        """Close what the detectors had open in the traces of sessions that ended."""
        for _, traces in ended:
            for trace_id in traces:
                self._detect(self._reorder.take(trace_id), now)
                self._emit(self.signals.end_trace(trace_id, "persisted", now))

    def _detect(self, happenings: Iterable[Happening], now: int) -> None:
        for happening in happenings:
            fold = self.signals.close if happening.phase == CLOSE else self.signals.open
            self._emit(fold(happening.step, now))

    def _emit(self, findings: Iterable[Finding]) -> None:
        """Write findings: a derived span in the session's own file, a row in the catalog."""
        for finding in findings:
            trace = self.members.trace(finding.trace_id)
            if trace is None:
                continue  # its spans are still held: impossible while hold and reorder wait equally long
            # Two conversations may share a trace; a finding belongs to the one whose calls it is about.
            home = trace.session_id
            if finding.session_id and home != finding.trace_id.hex():
                home = finding.session_id
            finding.session_id = trace.joined or home
            raw = derived_span(finding)
            json = otlp.span_json(otlp.parse(raw), raw)
            self._lines.derived(home, trace.resource, self._scope, json)
            self.ledger.derived += 1
            row = msgspec.json.encode(finding.as_json())
            self._findings.append((finding.id, finding.revision, home, finding.trace_id, row))
