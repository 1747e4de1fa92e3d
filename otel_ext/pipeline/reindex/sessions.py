"""One session's rows made anew from its files: generations, traces, findings.

Law of this file: what the manifest says of a generation is true; only spans beyond those that it speaks of
are counted again, by the rules of `process`. They are the last ones of the session's files, because lines
are appended in the order in which they were counted. Where the manifest says nothing of a session at all
that is every span, and what nobody wrote down (duplicates) is not known. Where generations part is a guess
until an ending tells (`generations`).
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from otel_ext.pipeline.hold import Item, count
from otel_ext.pipeline.meaning import trace_of
from otel_ext.pipeline.reindex.generations import Generations
from otel_ext.sessions import Checkpoint, Session, State, Trace
from otel_ext.signals import Finding
from otel_ext.step import Step


class Told(msgspec.Struct):
    """What the manifest says of one session.

    Attributes:
        rows: its generations.
        traces: those of its traces whose place cannot be seen in files.
        gone: spans of it in files that retention or damage took; `logs_gone`: log records.
    """

    rows: dict[int, Session] = {}
    traces: dict[bytes, Trace] = {}
    gone: int = 0
    logs_gone: int = 0


class Relearned:
    """One session, fed with its files' spans in order; `checkpoint` is what the catalog must hold.

    Args:
        session_id: whose files they are.
        told: what the manifest says of it.
        present: received spans in its files.
        now: engine time, for what is not known.
    """

    def __init__(self, session_id: str, told: Told, present: int, *, now: int) -> None:
        self._id, self._now = session_id, now
        self._rows, self._traces = told.rows, told.traces
        self._generations = Generations(self._rows, self._traces, self._begin)
        counted = sum(row.spans for row in told.rows.values())
        self._known = max(0, counted - told.gone)
        """How many of the spans in the files the rows speak of."""
        self._beyond = present > self._known
        self._seen = self._logs_seen = 0
        self._logs_known = max(0, sum(row.logs for row in told.rows.values()) - told.logs_gone)
        self._own: dict[bytes, bool] = {}
        """Traces, with whether a span of it shows that it belongs here."""
        self._signals: list[tuple[str, int, str, bytes, bytes]] = []

    def items(self, items: Iterable[Item]) -> None:
        """Take in a line's spans."""
        for item in items:
            self._seen += 1
            trace = self._trace(item)
            if self._seen > self._known:
                self._store(item, trace)
            elif item.root and not trace.rooted:
                trace.rooted, trace.root = True, item.span_id
            if item.agentic and not (trace.agentic and trace.resource):
                trace.agentic, trace.resource = True, item.resource

    def logs(self, times: Iterable[int]) -> None:
        """Take in a line's log records by their times, as `Logs` counts them."""
        for time in times:
            self._logs_seen += 1
            if self._logs_seen > self._logs_known:
                row = self._rows[self._newest()]
                row.saw_log(time, self._now)
                row.open = True

    def calls(self, steps: Iterable[tuple[Step, bytes]]) -> None:
        """Take in the steps of the last line's log records, as `LogSteps` hands them on."""
        fresh = self._logs_seen > self._logs_known
        for step, resource in steps:
            trace = self._traces.get(step.trace_id)
            if trace is None:
                trace = Trace(trace_id=step.trace_id, session_id=self._id, generation=0, rooted=True)
                trace.generation = self._newest() if fresh else self._generation(fresh=False)
                self._traces[step.trace_id] = trace
                self._own.setdefault(step.trace_id, False)
            trace.rooted = trace.rooted or step.trace_id == trace_of(self._id)
            if trace.adopted and fresh:
                trace.generation = self._newest()
                self._rows[trace.generation].follow_logs(step.trace_id)
            if not trace.agentic:
                trace.agentic, trace.resource = True, resource if trace.adopted else b""

    @property
    def beyond(self) -> bool:
        """Whether more was met than the manifest speaks of."""
        return self._seen > self._known or self._logs_seen > self._logs_known

    def at(self, spans: int, logs: int) -> None:
        """So many of the files' items are behind us, whether they could be read or not."""
        self._generations.unread += spans - min(spans, max(self._seen, self._known))
        self._seen, self._logs_seen = spans, logs

    def findings(self, findings: Iterable[Finding]) -> None:
        """Take in a line's findings."""
        for finding in findings:
            row = msgspec.json.encode(finding.as_json())
            self._signals.append((finding.id, finding.revision, self._id, finding.trace_id, row))
            if finding.session:
                self._ended(finding)

    def checkpoint(self, placed: dict[bytes, bool]) -> Checkpoint:
        """Rows for the catalog; traces that an earlier session has more right to are left out.

        Args:
            placed: traces of the sessions before, with whether they surely belong there; added to.
        """
        traces = []
        for trace_id, trace in self._traces.items():
            sure = self._own.get(trace_id, True)
            if trace_id not in placed or (sure and not placed[trace_id]):
                placed[trace_id] = sure
                traces.append(trace)
        return Checkpoint(meta={}, sessions=list(self._rows.values()), traces=traces, signals=self._signals)

    def _trace(self, item: Item) -> Trace:
        trace = self._traces.get(item.trace_id)
        if trace is None:
            generation = self._generation(fresh=self._seen > self._known)
            trace = Trace(trace_id=item.trace_id, session_id=self._id, generation=generation)
            self._traces[item.trace_id] = trace
            if self._seen > self._known:
                row = self._rows[generation]
                row.new_trace()
                if not row.agentic or row.traces == 1:
                    row.trace_id = item.trace_id
        elif trace.adopted:
            trace.rooted, trace.resource = False, b""
            if self._seen > self._known:
                self._rows[trace.generation].new_trace()
        alone = self._id == item.trace_id.hex()
        if alone and item.own and item.own != self._id and not trace.joined:
            trace.joined = item.own
        if alone or item.own != self._id:
            self._own[item.trace_id] = True
        else:
            self._own.setdefault(item.trace_id, False)
        return trace

    def _generation(self, *, fresh: bool) -> int:
        """The generation of a trace that is met for the first time."""
        if not fresh:
            return 1 if 1 in self._rows else min(self._rows, default=1)
        newest = self._newest()
        row = self._rows[newest]
        return self._begin(newest + 1) if row.ended and row.traces else newest

    def _newest(self) -> int:
        return max(self._rows, default=0) or self._begin(1)

    def _begin(self, generation: int) -> int:
        self._rows[generation] = Session(
            session_id=self._id, generation=generation, first_seen=self._now, last_seen=self._now
        )
        return generation

    def _store(self, item: Item, trace: Trace) -> None:
        """Count a span, as `Processor.store` does."""
        row = self._rows[trace.generation]
        count((item,), row, self._now)
        row.open = True
        if item.root and not trace.rooted:
            row.root_ended(item.root_error)
            trace.rooted, trace.root = True, item.span_id
        if item.agentic:
            row.agentic, row.trace_id = True, item.trace_id
        if item.over:
            row.over = row.over or item.over
        if item.crashed:
            row.crashed(item.crashed)
        if (item.over or item.crashed) and row.ended:
            row.open = False

    def _ended(self, finding: Finding) -> None:
        """A session's end was told: it says all that was known of the generation then."""
        told: dict[str, Any] = finding.session
        row = self._rows.get(told["generation"])
        if not (self._beyond or self.beyond) or (row is not None and row.told >= finding.revision):
            return
        row = self._generations.settle(told["generation"], told, finding.trace_id)
        for name, value in told.items():
            if name in Session.__struct_fields__:
                setattr(row, name, value)
        row.open = False
        row.told, row.told_as = finding.revision, f"{told['state']}: {told['reason']}"
        if told["state"] != State.CRASHED and not row.ended:
            row.idle_at = self._now
