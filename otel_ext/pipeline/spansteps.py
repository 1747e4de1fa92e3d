"""The steps that spans and their events are.

Law of this file: attributes are understood only where a convention may know them, by their names.
"""

from collections.abc import Iterator, Mapping

from otel_ext import conventions, otlp
from otel_ext.pipeline.groups import Group, Groups
from otel_ext.pipeline.meaning import Effects, step_of, steps_of_events
from otel_ext.pipeline.notes import CONFLICT, UNFINISHED, is_root
from otel_ext.pipeline.noticed import hinted
from otel_ext.signals import SCOPE_NAME
from otel_ext.span import Value
from otel_ext.step import Kind, Step

_OTHER, _AGENT = Kind.OTHER, Kind.AGENT  # looked up once: a member of an enum costs more than a branch


class StepReader:
    """Reads steps; holds memos that depend on bytes alone."""

    def __init__(self, effects: Effects) -> None:
        self._effects, self._groups = effects, Groups()

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
                    yield step, is_root(span) or step.kind is _AGENT
                    if events_may_tell(raw):
                        yield from ((told, False) for told in self.events(span, group, own, times))

    def step(
        self,
        span: otlp.RawSpan,
        group: Group,
        own: str,
        *,
        attributes: Mapping[str, Value],
        times: tuple[int, int],
    ) -> Step:
        """What the agent did.

        Args:
            span: the span.
            group: what it stands under.
            own: the session id that it or its resource carries, "" for none.
            attributes: its own.
            times: its start and end, ns, after any repair.
        """
        start, end = times
        scope = group.scope_name
        if scope in conventions.scopes or hinted(span.name) or any(map(hinted, attributes)):
            seen = otlp.to_span(span, attributes, group.resource_attributes, scope, start=start, end=end)
            return step_of(seen, own, self._effects)
        trace_id, parent_id = span.trace_id, span.parent_span_id
        return Step(
            kind=_OTHER, trace_id=trace_id, span_id=span.span_id, parent_id=parent_id, start=start, end=end
        )

    def events(self, span: otlp.RawSpan, group: Group, own: str, times: tuple[int, int]) -> Iterator[Step]:
        """The steps that a span's events tell of."""
        start, end = times
        seen = otlp.to_span(span, {}, group.resource_attributes, group.scope_name, start=start, end=end)
        return steps_of_events(seen, own, self._effects)


def events_may_tell(raw: bytes) -> bool:
    """Whether the events of an encoded span may tell of steps."""
    return any(hint in raw for hint in conventions.span_records)
