"""The orders in which a run's spans may reach us, and what comes of them.

Law of this file: times are the spans' own in every order; only when a span arrives differs, and by no more
than the window in which the engine puts steps in order.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext import conventions, otlp
from otel_ext.pipeline.meaning import step_of
from otel_ext.pipeline.reorder import CLOSE, Happening, Reorder
from otel_ext.signals import Finding, Settings, Signals
from otel_ext.step import Kind, Step
from otel_ext.testing.agentspans import key_value

SERVICE: Final = "shop"
"""The service that all spans come from."""

Order = Literal["ended", "late", "reversed", "shuffled"]
"""As each span ends; the same, each up to 1.9 s late; after the end, the last span first or at random."""

_WAIT: Final = 2_000_000_000
"""ns; the engine's default `hold`."""

_LATEST: Final = 1_900_000_000
"""ns; shorter than that."""


class Arrival(NamedTuple):
    """An encoded request and the engine time at which it comes, ns."""

    at: int
    body: bytes


def arrivals(spans: Sequence[Span], order: Order = "ended", seed: int = 0) -> list[Arrival]:
    """Spans as requests of one span each, in an order of arrival."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    ended = sorted(spans, key=lambda span: (span.end_time_unix_nano, -span.start_time_unix_nano))
    last = ended[-1].end_time_unix_nano if ended else 0
    if order == "late":
        late = [(span.end_time_unix_nano + chance.randrange(_LATEST), span) for span in ended]
        late.sort(key=lambda one: one[0])
        return [Arrival(at, request(span)) for at, span in late]
    if order == "reversed":
        ended.reverse()
    elif order == "shuffled":
        chance.shuffle(ended)
    return [Arrival(span.end_time_unix_nano if order == "ended" else last, request(span)) for span in ended]


def request(*spans: Span) -> bytes:
    """An encoded export request."""
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.append(key_value("service.name", SERVICE))
    scope = group.scope_spans.add()
    scope.scope.name = "an agent"
    scope.spans.extend(spans)
    return message.SerializeToString(deterministic=True)


def steps_of(spans: Iterable[Span], *, settings: Settings | None = None) -> list[Step]:
    """What the engine's detectors see of spans, one step a span."""
    effects = (settings or Settings()).effects
    found = []
    for span in spans:
        raw = otlp.parse(span.SerializeToString())
        attributes = otlp.attributes(raw)
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        seen = otlp.to_span(raw, attributes, {"service.name": SERVICE}, "an agent", start=start, end=end)
        found.append(step_of(seen, conventions.session_of(attributes) or "", effects))
    return found


def in_order(steps: Iterable[Step]) -> list[Happening]:
    """Steps as beginnings and ends, in the order in which the engine hands them to the detectors."""
    reorder = Reorder(0, 0)
    traces = dict[bytes, None]()
    for step in steps:
        traces[step.trace_id] = None
        reorder.add(step, 0, bounds=step.kind is Kind.AGENT or not step.parent_id)
    return [happening for trace_id in traces for happening in reorder.take(trace_id)]


def detect(steps: Iterable[Step], signals: Signals | None = None) -> list[Finding]:
    """Every revision of what detectors find in steps, from the first to the end of each trace."""
    signals = signals or Signals()
    found: list[Finding] = []
    last = dict[bytes, int]()
    for happening in in_order(steps):
        fold = signals.close if happening.phase == CLOSE else signals.open
        found += fold(happening.step, happening.time)
        last[happening.step.trace_id] = happening.time
    for trace_id, time in last.items():
        found += signals.end_trace(trace_id, "persisted", time)
    return found


def arrived(requests: Iterable[Arrival], signals: Signals) -> list[Finding]:
    """Every revision of what detectors find in requests, whose steps wait for their turn as in the engine."""
    reorder, found, now = Reorder(_WAIT, 100_000), list[Finding](), 0
    traces = dict[bytes, None]()

    def turn(trace_id: bytes, until: int | None) -> None:
        for happening in reorder.take(trace_id, until):
            fold = signals.close if happening.phase == CLOSE else signals.open
            found.extend(fold(happening.step, now))

    for now, body in requests:
        while (due := reorder.due(now)) is not None:
            turn(*due)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            for step in steps_of(span for scope in group.scope_spans for span in scope.spans):
                traces[step.trace_id] = None
                reorder.add(step, now, bounds=step.kind is Kind.AGENT or not step.parent_id)
    for trace_id in traces:
        turn(trace_id, None)
        found += signals.end_trace(trace_id, "persisted", now)
    return found
