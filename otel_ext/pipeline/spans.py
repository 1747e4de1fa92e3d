"""One request's spans: times repaired, re-deliveries dropped, rendered once, read as steps.

Law of this file: a span is looked at in the cheapest way that answers the next question. Notes on its keys
say whether its values are read at all, and only a span that a convention may understand becomes an object;
everything else goes from bytes to bytes.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from otel_ext import conventions, otlp, timestamps
from otel_ext.dedup import Verdict, Window
from otel_ext.otlp import packed
from otel_ext.pipeline.batch import Batch
from otel_ext.pipeline.groups import Group, Groups
from otel_ext.pipeline.hold import Item
from otel_ext.pipeline.meaning import Effects, step_of, steps_of_events
from otel_ext.pipeline.members import Members
from otel_ext.pipeline.notes import (
    CONFLICT,
    LATE,
    UNFINISHED,
    has_remote_parent,
    is_root,
    note_marks,
    note_step,
)
from otel_ext.pipeline.noticed import HINT, OURS, Notes, hinted, note_of
from otel_ext.pipeline.outbox.entry import Edits
from otel_ext.pipeline.records import unpack_request
from otel_ext.pipeline.reorder import Outline
from otel_ext.pipeline.unfinished import Begun, Unfinished
from otel_ext.signals import SCOPE_NAME
from otel_ext.span import Value
from otel_ext.step import Kind, Step

# Looked up once: a member of an enum costs more than a branch.
_OTHER, _AGENT, _DUPLICATE, _CONFLICT = Kind.OTHER, Kind.AGENT, Verdict.DUPLICATE, Verdict.CONFLICT

_SCOPES: Final = conventions.scopes
_UNFINISHED: Final = UNFINISHED[0].encode()
_INVERT: Final = bytes(byte ^ 0xFF for byte in range(256))
_SESSIONS: Final = 4096
"""Encoded attributes whose session id is remembered,"""
_SHORT: Final = 256
"""and the bytes up to which one is."""
_PACKED: Final = bytes((packed.PACKED,))


class SpanReader:
    """Reads requests; holds the re-delivery window and memos that depend on bytes alone."""

    def __init__(
        self,
        window: Window,
        members: Members,
        unfinished: Unfinished,
        effects: Effects,
        edits: Edits | None = None,
    ) -> None:
        self._window, self._members, self._unfinished, self._effects = window, members, unfinished, effects
        self._edits, self._number, self._received = edits or Edits(), 0, 0
        self._groups = Groups()
        self._known: dict[tuple[bytes, str], bool] = {}
        self._attributes, self._notes = otlp.Reader(note_of), Notes()
        self._sessions: dict[bytes, str] = {}

    def read(self, body: bytes, received: int) -> Batch:
        """Read one admitted request, received at `received` (wall time, ns)."""
        batch, self._received, self._number = Batch([], [], [], {}, []), received, -1
        self._known.clear()
        check, rendered, reader, notes = self._window.check, otlp.rendered, self._attributes, self._notes
        open_spans = self._unfinished or None
        for group, spans in self._groups.of(body):
            for raw in spans:
                self._number += 1
                seen = rendered(raw, reader)
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
                self._fresh(seen, raw, group, batch, own=own, noted=noted, conflict=verdict is _CONFLICT)
                if noted & OURS:
                    item = batch.items[-1]
                    note_marks(item, seen.attributes())
                    if item.unfinished and (step := batch.forget_step(seen.span_id)) is not None:
                        note_step(item, step)
        return batch

    def begun(self, payload: bytes) -> Iterator[Begun]:
        """The spans of a started record."""
        if payload[:1] == _PACKED:
            seen = packed.unpack(payload)
            own, _ = self._groups.resource(packed.shared(seen)[0])
            if any(hint in payload for hint in conventions.session_hints):
                own = conventions.session_of(seen.attributes) or own
            yield Begun(seen.trace_id, seen.span_id, payload, own)
            return
        for group, spans in self._groups.of(payload):
            for raw in spans:
                span, own = otlp.parse(raw), group.session_id
                if any(hint in raw for hint in conventions.session_hints):
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
        seen = otlp.to_span(span, attributes, group.resource_attributes, group.scope_name, start=start, end=0)
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
        step = step_of(seen, item.own, self._effects)
        note_step(item, step)
        return item

    def _session_of(self, said: bytes | tuple[bytes, ...], seen: otlp.Rendered) -> str:
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

    def _fresh(
        self,
        seen: otlp.Rendered,
        raw: bytes,
        group: Group,
        batch: Batch,
        *,
        own: str,
        noted: int,
        conflict: bool,
    ) -> None:
        """Note a span that was not seen before: where it belongs, when it was, what it is."""
        trace_id, start, end = seen.trace_id, seen.start, seen.end
        late = self._known.get((trace_id, own))
        if late is None:
            late = self._known[trace_id, own] = self._late(trace_id, own)
            if own:
                batch.named.setdefault(trace_id, own)
        marks: tuple[tuple[str, Value], ...] = ()
        repair = timestamps.repair(start, end, self._received)
        # A span that never ended has no end to mend.
        if repair is not None and not (end == 0 and _UNFINISHED in raw):
            start, end, marks = repair.start, repair.end, tuple(repair.marks)
        if conflict:
            marks += (CONFLICT,)
        if late:
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
        batch.items.append(item)
        if conflict or group.scope_name == SCOPE_NAME:
            return  # the same call told in other words, or a finding of ours that came back
        told = seen.has_events and any(hint in raw for hint in conventions.span_records)
        if not (noted & HINT or told or group.scope_name in _SCOPES or hinted(seen.name)):
            batch.outlines.append(Outline(trace_id, seen.span_id, seen.parent_id, start, end, root))
            return
        span, times = otlp.parse(raw), (start, end)
        step = self.step(span, group, own, attributes=seen.attributes(), times=times)
        if step.kind is not _OTHER:
            item.agentic = True
        batch.steps.append((step, root or step.kind is _AGENT))
        if told:
            batch.steps.extend((step, False) for step in self._events(span, group, own, times))

    def _events(self, span: otlp.RawSpan, group: Group, own: str, times: tuple[int, int]) -> Iterator[Step]:
        """The steps that a span's events tell of."""
        start, end = times
        seen = otlp.to_span(span, {}, group.resource_attributes, group.scope_name, start=start, end=end)
        yield from steps_of_events(seen, own, self._effects)

    def steps(self, body: bytes) -> Iterator[tuple[Step, bool]]:
        """The steps of stored spans, as `Batch.steps` had them when they were received."""
        for group, spans in self._groups.of(body):
            for raw in spans if group.scope_name != SCOPE_NAME else ():
                span = otlp.parse(raw)
                attributes = otlp.attributes(span)
                if not any(attributes.get(mark) for mark, _ in (CONFLICT, UNFINISHED)):
                    own = conventions.session_of(attributes) or group.session_id
                    times = span.start_time_unix_nano, span.end_time_unix_nano
                    step = self.step(span, group, own, attributes=attributes, times=times)
                    yield step, is_root(span) or step.kind is Kind.AGENT
                    if any(hint in raw for hint in conventions.span_records):
                        yield from ((told, False) for told in self._events(span, group, own, times))

    def step(
        self,
        span: otlp.RawSpan,
        group: Group,
        own: str,
        *,
        attributes: Mapping[str, Value],
        times: tuple[int, int],
    ) -> Step:
        """What the agent did."""
        start, end = times
        scope = group.scope_name
        if scope in _SCOPES or hinted(span.name) or any(map(hinted, attributes)):
            seen = otlp.to_span(span, attributes, group.resource_attributes, scope, start=start, end=end)
            return step_of(seen, own, self._effects)
        trace_id, parent_id = span.trace_id, span.parent_span_id
        return Step(
            kind=_OTHER, trace_id=trace_id, span_id=span.span_id, parent_id=parent_id, start=start, end=end
        )

    def _late(self, trace_id: bytes, own: str) -> bool:
        """Whether the session of a known trace had ended before this record."""
        trace = self._members.trace(trace_id)
        return trace is not None and self._members.session(trace, own).ended
