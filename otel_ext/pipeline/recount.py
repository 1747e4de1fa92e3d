"""What sessions count of their calls, counted again from their files.

Law of this file: it is the count that `detect` keeps, of the same steps in the order of their times, by the
same tellings and twins. A count that is known stays when less is found: files may have gone since.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from otel_ext import otlp, timestamps
from otel_ext.pipeline.groups import Groups
from otel_ext.pipeline.logs import time_of
from otel_ext.pipeline.logsteps import LogReader
from otel_ext.pipeline.notes import CONFLICT, UNFINISHED, count_step
from otel_ext.pipeline.reorder import OPEN, Reorder
from otel_ext.pipeline.spansteps import StepReader
from otel_ext.pipeline.tellings import Tellings
from otel_ext.sessions import Catalog, FileRow, Session
from otel_ext.signals.engine import Signals
from otel_ext.step import Kind, Step
from otel_ext.telemetry import Telemetry


class Stored(NamedTuple):
    """An engine's files, and who reads them; `lines` gives the committed lines of one."""

    catalog: Catalog
    spans: StepReader
    logs: LogReader
    lines: Callable[[FileRow], Iterable[bytes]]


COUNTED: Final = ("tool_calls", "errors", "input_tokens", "output_tokens")
"""Sums of a session that `detect` counts."""

_UNBOUNDED: Final = 2**62


def stored_steps(session_id: str, stored: Stored) -> Reorder:
    """All steps in a session's files, to be taken in order."""
    order = Reorder(_UNBOUNDED, _UNBOUNDED)
    for step, bounds in _steps(session_id, stored):
        order.add(step, 0, bounds=bounds)
    return order


def recount(session_id: str, stored: Stored) -> dict[int, Session]:
    """What each generation of a session counts; only `COUNTED` is told of them.

    A trace of another session is counted for the newest generation, as its spans were.
    """
    found: dict[int, Session] = {}

    def of(trace_id: bytes) -> Session:
        trace = stored.catalog.trace(trace_id)
        if trace is not None and trace.session_id == session_id:
            number = trace.generation
        else:
            newest = stored.catalog.session(session_id)
            number = newest.generation if newest else 1
        return found.setdefault(number, Session(session_id=session_id, generation=number))

    signals, tellings = Signals(rules=()), Tellings()
    order = stored_steps(session_id, stored)
    for trace_id in order.waiting():
        for happening in tellings.put_together(order, trace_id, session_of=lambda _: session_id):
            if happening.phase == OPEN:
                signals.open(happening.step, 0)
                if signals.took:
                    count_step(of(trace_id), happening.step)
    for row in stored.catalog.stock.files_of(session_id):
        for line in stored.lines(row) if row.telemetry is Telemetry.TRACES else ():
            for trace_id in _never_ended(_spans(line), stored.spans):
                of(trace_id).tool_calls += 1
    return found


def recounted(session_id: str, stored: Stored) -> list[Session]:
    """The catalog's rows of a session, which know at least what was counted of them."""
    found = recount(session_id, stored)
    rows = (stored.catalog.generation(session_id, generation) for generation in found)
    return [learnt(row, found) for row in rows if row is not None]


def learnt(session: Session, counted: Mapping[int, Session]) -> Session:
    """A generation that knows at least what was counted of it; the same object."""
    for name in COUNTED if session.generation in counted else ():
        setattr(session, name, max(getattr(session, name), getattr(counted[session.generation], name)))
    return session


def _steps(session_id: str, stored: Stored) -> Iterator[tuple[Step, bool]]:
    for row in stored.catalog.stock.files_of(session_id):
        for line in stored.lines(row) if row.telemetry is Telemetry.LOGS and session_id else ():
            told = otlp.read_json(Telemetry.LOGS, line)
            for step, _ in stored.logs.steps(told, session_id, lambda log: time_of(log, 0)):
                yield step, False
        for line in stored.lines(row) if row.telemetry is Telemetry.TRACES else ():
            for step, bounds in stored.spans.steps(_spans(line)):
                yield step, bounds or step.kind is Kind.AGENT


def _never_ended(body: bytes, reader: StepReader) -> Iterator[bytes]:
    """The trace id of each stored span that is a call which had begun and never ended."""
    groups = Groups()
    for group, spans in groups.of(body) if UNFINISHED[0].encode() in body else ():
        for raw in spans:
            span = otlp.parse(raw)
            attributes = otlp.attributes(span)
            if attributes.get(UNFINISHED[0]) is True and not attributes.get(CONFLICT[0]):
                step = reader.step(span, group, "", attributes=attributes, times=(0, 0))
                if step.kind is Kind.TOOL and not step.view:
                    yield span.trace_id


def _spans(line: bytes) -> bytes:
    return otlp.read_traces(line, instant=lambda value: timestamps.parse_instant(value)[0])
