"""One request's spans: times repaired, re-deliveries dropped, rendered once, read as steps.

Law of this file: a span is looked at in the cheapest way that answers the next question. Its bytes are
searched for hints before its attributes are read, and only a span that a convention may understand
becomes an object; everything else goes from bytes to bytes (`design`: never iterate attributes here).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from otel_ext import conventions, otlp, timestamps
from otel_ext.dedup import Verdict, Window
from otel_ext.pipeline.hold import Item
from otel_ext.pipeline.meaning import step_of
from otel_ext.pipeline.members import Members
from otel_ext.sessions import Trace
from otel_ext.signals import SCOPE_NAME
from otel_ext.span import STATUS_ERROR, Value
from otel_ext.step import Effect, Kind, Step

CONFLICT: Final = ("otel_ext.dedup.conflict", True)
"""Mark of a span whose ids were seen before with other content."""
LATE: Final = ("otel_ext.session.late", True)
"""Mark of a span that came after its session had ended."""

_REMOTE_PARENT: Final = 0x300
"""Span flags bits 8 and 9: the parent is known to be in another process (opentelemetry-proto 1.5)."""
_CACHE: Final = 4096
"""Resources and scopes whose reading is remembered."""


class Batch(msgspec.Struct):
    """What a request brought.

    Attributes:
        items: spans to store, in order.
        steps: `(step, whether its end bounds a lane)` for the detectors, in order.
        named: session ids that spans of a trace carry, the first of each.
        duplicates: the trace id of each re-delivery.
    """

    items: list[Item]
    steps: list[tuple[Step, bool]]
    named: dict[bytes, str]
    duplicates: list[bytes]


class _Group(NamedTuple):
    """What the spans under one scope share."""

    resource: bytes
    resource_url: str
    scope: bytes
    scope_url: str
    session_id: str
    resource_attributes: Mapping[str, Value]
    scope_name: str


class SpanReader:
    """Reads requests; holds the re-delivery window and memos that depend on bytes alone."""

    def __init__(self, window: Window, members: Members, effects: Mapping[str, Effect]) -> None:
        self._window, self._members, self._effects = window, members, effects
        self._resources: dict[bytes, tuple[str, Mapping[str, Value]]] = {}
        self._scopes: dict[bytes, str] = {}
        self._traces: dict[bytes, Trace | None] = {}

    def read(self, body: bytes, received: int) -> Batch:
        """Read one admitted request, received at `received` (wall time, ns)."""
        batch = Batch([], [], {}, [])
        check, digest, parse = self._window.check, otlp.content_digest, otlp.parse
        self._traces.clear()
        for resource, resource_url, scope, scope_url, spans in otlp.split(body):
            session_id, attributes = self._resource(resource)
            group = _Group(
                resource, resource_url, scope, scope_url, session_id, attributes, self._scope_name(scope)
            )
            for raw in spans:
                span = parse(raw)
                verdict = check(span.trace_id + span.span_id, digest(span, raw))
                if verdict is Verdict.DUPLICATE:
                    batch.duplicates.append(span.trace_id)
                else:
                    self._fresh(span, raw, group, batch, received, conflict=verdict is Verdict.CONFLICT)
        return batch

    def _fresh(
        self, span: otlp.RawSpan, raw: bytes, group: _Group, batch: Batch, received: int, *, conflict: bool
    ) -> None:
        """Note a span that was not seen before: where it belongs, when it was, what it is."""
        trace_id = span.trace_id
        attributes: dict[str, Value] | None = None
        own = group.session_id
        for hint in conventions.session_hints:
            if hint in raw:
                attributes = otlp.attributes(span)
                own = conventions.session_of(attributes) or own
                break
        if own and trace_id not in batch.named:
            batch.named[trace_id] = own
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        marks: tuple[tuple[str, Value], ...] = ()
        repair = timestamps.repair(start, end, received)
        if repair is not None:
            start, end, marks = repair.start, repair.end, tuple(repair.marks)
        if conflict:
            marks += (CONFLICT,)
        if self._late(trace_id, own):
            marks += (LATE,)
        root = not span.parent_span_id or span.flags & _REMOTE_PARENT == _REMOTE_PARENT
        json = otlp.span_json(span, raw, marks, start, end)
        item = Item(trace_id, *group[:4], json, start, end, own, root, conflict=conflict)
        if root and span.status.code == STATUS_ERROR:
            item.root_error = span.status.message or "status ERROR"
        batch.items.append(item)
        if conflict or group.scope_name == SCOPE_NAME:
            return  # the same call told in other words, or a finding of ours that came back
        for hint in conventions.hints:
            if hint in raw:
                if attributes is None:
                    attributes = otlp.attributes(span)
                step = step_of(
                    otlp.to_span(
                        span, attributes, group.resource_attributes, group.scope_name, start=start, end=end
                    ),
                    own,
                    self._effects,
                )
                _count(item, step)
                break
        else:
            step = Step(
                kind=Kind.OTHER,
                trace_id=trace_id,
                span_id=span.span_id,
                parent_id=span.parent_span_id,
                start=start,
                end=end,
            )
        batch.steps.append((step, root or step.kind is Kind.AGENT))

    def _late(self, trace_id: bytes, own: str) -> bool:
        """Whether the session of a known trace had ended before this record."""
        if trace_id in self._traces:
            trace = self._traces[trace_id]
        else:
            trace = self._traces[trace_id] = self._members.trace(trace_id)
        return trace is not None and self._members.session(trace, own).ended

    def _resource(self, resource: bytes) -> tuple[str, Mapping[str, Value]]:
        known = self._resources.get(resource)
        if known is None:
            if len(self._resources) >= _CACHE:
                self._resources.clear()
            attributes = otlp.resource_attributes(resource)
            known = self._resources[resource] = (conventions.session_of(attributes) or "", attributes)
        return known

    def _scope_name(self, scope: bytes) -> str:
        known = self._scopes.get(scope)
        if known is None:
            if len(self._scopes) >= _CACHE:
                self._scopes.clear()
            known = self._scopes[scope] = otlp.scope_name(scope)
        return known


def _count(item: Item, step: Step) -> None:
    """Note on the item what its session counts of the step; usage from model calls only."""
    item.agentic = step.kind is not Kind.OTHER
    item.tool = step.kind is Kind.TOOL
    item.failed = step.error
    if step.kind is Kind.LLM:
        item.input_tokens, item.output_tokens = step.input_tokens or 0, step.output_tokens or 0
