"""One request's spans: times repaired, re-deliveries dropped, rendered once, read as steps.

Law of this file: a span is looked at in the cheapest way that answers the next question. Notes on its keys
say whether its values are read at all, and only a span that a convention may understand becomes an object;
everything else goes from bytes to bytes.
"""

from collections.abc import Iterator
from typing import Final

from otel_ext import conventions, otlp, timestamps
from otel_ext.dedup import Verdict, Window
from otel_ext.otlp.packed import PACKED
from otel_ext.pipeline.batch import Batch
from otel_ext.pipeline.groups import Group, Groups
from otel_ext.pipeline.hold import Item
from otel_ext.pipeline.members import Members
from otel_ext.pipeline.notes import (
    CONFLICT,
    LATE,
    UNFINISHED,
    has_remote_parent,
    note_marks,
    note_step,
)
from otel_ext.pipeline.noticed import HINT, OURS, Notes, hinted, note_of
from otel_ext.pipeline.outbox.entry import Edits
from otel_ext.pipeline.records import unpack_request
from otel_ext.pipeline.reorder import Outline
from otel_ext.pipeline.spansteps import StepReader, events_may_tell
from otel_ext.pipeline.unfinished import Begun, Unfinished
from otel_ext.signals import SCOPE_NAME
from otel_ext.span import Value
from otel_ext.step import Kind

# Looked up once: a member of an enum costs more than a branch.
_OTHER, _AGENT, _DUPLICATE, _CONFLICT = Kind.OTHER, Kind.AGENT, Verdict.DUPLICATE, Verdict.CONFLICT

_SCOPES: Final = conventions.scopes
_UNFINISHED: Final = UNFINISHED[0].encode()
_INVERT: Final = bytes(byte ^ 0xFF for byte in range(256))
_SESSIONS: Final = 4096
"""Encoded attributes whose session id is remembered,"""
_SHORT: Final = 256
"""and the bytes up to which one is."""
_NOWHERE: Final = (b"", "")
"""No trace: the next span begins a run."""


class SpanReader:
    """Reads requests; holds the re-delivery window and memos that depend on bytes alone."""

    def __init__(
        self,
        window: Window,
        members: Members,
        unfinished: Unfinished,
        steps: StepReader,
        edits: Edits,
    ) -> None:
        self._window, self._members, self._unfinished = window, members, unfinished
        self._steps, self._edits, self._number, self._received = steps, edits, 0, 0
        self._oldest, self._latest = timestamps.ordinary(0)
        self._groups = Groups()
        self._where = _NOWHERE
        self._known, self._late = dict[tuple[bytes, str], bool](), False
        self._attributes, self._notes = otlp.Reader(note_of), Notes()
        self._sessions: dict[bytes, str] = {}

    def read(self, body: bytes, received: int) -> Batch:
        """Read one admitted request or packed span, received at `received` (wall time, ns)."""
        batch, self._received, self._number = Batch([], [], [], {}, []), received, -1
        self._oldest, self._latest = timestamps.ordinary(received)
        self._known.clear()
        check, read, reader, notes = self._window.check, otlp.read, self._attributes, self._notes
        open_spans = self._unfinished or None
        for group, spans in self._groups.of(body):
            self._where = _NOWHERE
            for raw in spans:
                self._number += 1
                seen = read(raw, reader)
                noted, sessions = notes[seen.notes]
                key = seen.trace_id + seen.span_id
                if open_spans is not None:
                    open_spans.ended(key)
                if noted & OURS and seen.attributes().get(UNFINISHED[0]) is True:
                    # Another engine's word on a span without an end is no telling of the span itself.
                    key = seen.trace_id + seen.span_id.translate(_INVERT)
                verdict = check(key, seen.digest())
                if verdict is _DUPLICATE:
                    batch.duplicates.append(seen.trace_id)
                    self._edits.leave_out(self._number)
                    continue
                own = group.session_id
                if sessions is not None:
                    own = self._session_of(sessions(seen.pairs), seen) or own
                where = seen.trace_id, own
                if where != self._where or noted & OURS:
                    self._begin_run(where, batch)
                item = self._fresh(
                    seen, raw, group, batch, own=own, noted=noted, conflict=verdict is _CONFLICT
                )
                if noted & OURS:
                    self._where = _NOWHERE  # it may state something, and the next one does not
                    note_marks(item, seen.attributes())
                    if item.unfinished and (step := batch.forget_step(seen.span_id)) is not None:
                        note_step(item, step)
        return batch

    def begun(self, payload: bytes) -> Iterator[Begun]:
        """The spans of a started record."""
        if payload[:1] == PACKED:
            group, seen = self._groups.packed(payload)
            own = group.session_id
            if conventions.may_name_session(payload):
                own = conventions.session_of(seen.attributes) or own
            yield Begun(seen.trace_id, seen.span_id, payload, own)
            return
        for group, spans in self._groups.of(payload):
            for raw in spans:
                span, own = otlp.parse(raw), group.session_id
                if conventions.may_name_session(raw):
                    own = conventions.session_of(otlp.attributes(span)) or own
                resource, url, scope, scope_url, *_ = group
                alone = otlp.request_of(resource, scope, raw, resource_url=url, scope_url=scope_url)
                yield Begun(span.trace_id, span.span_id, alone, own)

    def unfinished(self, begun: Begun) -> Item:
        """A begun span as it is stored when its end will never come; detectors do not see it."""
        body, _ = unpack_request(begun.payload)
        ((group, (raw,)),) = self._groups.of(body)
        span = otlp.parse(raw)
        attributes = otlp.attributes(span)
        start = span.start_time_unix_nano
        item = Item(
            begun.trace_id,
            *group[:4],
            otlp.span_json(raw, (UNFINISHED,), start, 0),
            start,
            0,
            begun.session_id or group.session_id,
            span_id=begun.span_id,
            unfinished=True,
        )
        self._edits.unfinished(body, UNFINISHED)
        times = start, 0
        note_step(item, self._steps.step(span, group, item.own, attributes=attributes, times=times))
        return item

    def _session_of(self, said: bytes | tuple[bytes, ...], seen: otlp.Seen) -> str:
        """The session id that the encoded attributes `said` give a span, "" for none."""
        if isinstance(said, tuple):
            return conventions.session_of(seen.attributes()) or ""
        own = self._sessions.get(said)
        if own is None:
            own = conventions.session_of(seen.attributes()) or ""
            if len(said) <= _SHORT:
                if len(self._sessions) >= _SESSIONS:
                    self._sessions.clear()
                self._sessions[said] = own
        return own

    def _begin_run(self, where: tuple[bytes, str], batch: Batch) -> None:
        """Begin a run of spans; what follows from their trace and session is decided once."""
        trace_id, own = where
        self._where = where
        batch.runs.append([])
        late = self._known.get(where)
        if late is None:
            if own:
                batch.named.setdefault(trace_id, own)
            # Whether the session of a known trace had ended before this record.
            trace = self._members.trace(trace_id)
            late = trace is not None and self._members.session(trace, own).ended
            self._known[where] = late
        self._late = late

    def _fresh(
        self,
        seen: otlp.Seen,
        raw: bytes,
        group: Group,
        batch: Batch,
        *,
        own: str,
        noted: int,
        conflict: bool,
    ) -> Item:
        """Note a span that was not seen before: where it belongs, when it was, what it is."""
        trace_id, start, end = seen.trace_id, seen.start, seen.end
        marks: tuple[tuple[str, Value], ...] = ()
        ordinary = self._oldest <= start <= end <= self._latest
        repair = None if ordinary else timestamps.repair(start, end, self._received)
        # A span that never ended has no end to mend.
        if repair is not None and not (end == 0 and _UNFINISHED in raw):
            start, end, marks = repair.start, repair.end, tuple(repair.marks)
        if conflict:
            marks += (CONFLICT,)
        if self._late:
            marks += (LATE,)
        if marks or repair is not None:
            self._edits.add(self._number, otlp.addition(marks, start=start, end=end))
        root = not seen.parent_id or has_remote_parent(seen.flags)
        item = Item(
            trace_id,
            group.resource,
            group.resource_url,
            group.scope,
            group.scope_url,
            seen.json(marks, start, end),
            start,
            end,
            own,
            root,
            conflict=conflict,
            span_id=seen.span_id,
        )
        if root and seen.failed:
            item.root_error = otlp.parse(raw).status.message or "status ERROR"
        batch.runs[-1].append(item)
        if conflict or group.scope_name == SCOPE_NAME:
            return item  # the same call told in other words, or a finding of ours that came back
        told = seen.has_events and events_may_tell(raw)
        if not (noted & HINT or told or group.scope_name in _SCOPES or hinted(seen.name)):
            batch.outlines.append(Outline(trace_id, seen.span_id, seen.parent_id, start, end, root))
            return item
        span, times = otlp.parse(raw), (start, end)
        step = self._steps.step(span, group, own, attributes=seen.attributes(), times=times)
        if step.kind is not _OTHER:
            item.agentic = True
        batch.steps.append((step, root or step.kind is _AGENT))
        if told:
            batch.steps.extend((step, False) for step in self._steps.events(span, group, own, times))
        return item
