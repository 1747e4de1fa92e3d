"""Detectors made anew from files, when their dumped state is of another version (law L2).

Law of this file: what was said is not said again. The steps of every open session are read back from its
files and pass the detectors in the order of their times; a revision that the catalog holds is left out.
Steps that wait for their turn are in the files too, so the reorder buffer starts empty. Where spans
came later than the reorder window, an episode may begin earlier than it did; it has another id then.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from otel_ext import otlp, timestamps
from otel_ext.pipeline.logs import time_of
from otel_ext.pipeline.logsteps import LogReader
from otel_ext.pipeline.reorder import CLOSE, Reorder
from otel_ext.pipeline.spans import SpanReader
from otel_ext.pipeline.tellings import Tellings
from otel_ext.sessions import Catalog, FileRow, Session
from otel_ext.signals import Detectors, Finding
from otel_ext.step import Kind
from otel_ext.telemetry import Telemetry

log = logging.getLogger(__name__)

_UNBOUNDED: Final = 2**62


def rebuild(
    signals: Detectors,
    catalog: Catalog,
    readers: tuple[SpanReader, LogReader],
    lines: Callable[[FileRow], Iterable[bytes]],
) -> list[Finding]:
    """Bring empty detectors to where the open sessions are.

    Returns:
        Findings that the catalog does not hold: this version sees what another one did not.
    """
    known = catalog.finding_revisions()
    found: list[Finding] = []
    open_sessions = catalog.active()
    log.warning("the detectors' state is made anew from the files of %d sessions", len(open_sessions))
    for session in open_sessions:
        found += _session(session, signals, catalog, readers, lines)
    return [finding for finding in found if (finding.id, finding.revision) not in known]


def _session(
    session: Session,
    signals: Detectors,
    catalog: Catalog,
    readers: tuple[SpanReader, LogReader],
    lines: Callable[[FileRow], Iterable[bytes]],
) -> list[Finding]:
    now, found = session.last_seen, []
    spans, logs = readers
    followed = set(catalog.followed(session.session_id, session.generation))
    order = Reorder(_UNBOUNDED, _UNBOUNDED)
    for row in catalog.stock.files_of(session.session_id):
        for line in lines(row) if row.telemetry is Telemetry.LOGS else ():
            told = otlp.read_json(Telemetry.LOGS, line)
            for step, _ in logs.steps(told, session.session_id, lambda log: time_of(log, 0)):
                if step.trace_id in followed:
                    order.add(step, now, bounds=False)
        for line in lines(row) if row.telemetry is Telemetry.TRACES else ():
            body = otlp.read_traces(line, instant=lambda value: timestamps.parse_instant(value)[0])
            for step, bounds in spans.steps(body):
                if step.trace_id in followed:
                    order.add(step, now, bounds=bounds or step.kind is Kind.AGENT)
    tellings = Tellings()
    for trace_id in order.waiting():
        for happening in tellings.put_together(order.take(trace_id), session.session_id):
            fold = signals.close if happening.phase == CLOSE else signals.open
            found += fold(happening.step, now)
    return found
