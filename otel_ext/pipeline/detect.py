"""Detectors at work: steps wait for their turn, pass the detectors, and findings become spans and rows.

Law of this file: a step counts for its session when it passes the detectors, a call once however often it
was told. A finding is written once, as a derived span in its session's own file and a row of the
catalog, in the order in which the detectors gave it. Where another otel_ext on the way here has said the very
same, its span is the one: the window of re-deliveries knows ours as well, whichever comes first.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from otel_ext import __version__, otlp
from otel_ext.dedup import Verdict, Window
from otel_ext.errors import UnsupportedVersion
from otel_ext.pipeline.ledger import Ledger
from otel_ext.pipeline.lines import LineWriter
from otel_ext.pipeline.members import SECOND, Members
from otel_ext.pipeline.notes import count_step
from otel_ext.pipeline.outbox.entry import Edits
from otel_ext.pipeline.reorder import CLOSE, Outline, Reorder
from otel_ext.pipeline.settings import EngineSettings
from otel_ext.pipeline.tellings import Tellings
from otel_ext.sessions import Session
from otel_ext.signals import Detectors, Finding, Status, derived_span, scope_bytes
from otel_ext.signals.findings.episodes import EVICTIONS
from otel_ext.signals.watch import Watch
from otel_ext.step import Kind, Step

log = logging.getLogger(__name__)

_TOOL, _LLM = Kind.TOOL, Kind.LLM  # looked up once: a member of an enum costs more than a branch

Row = tuple[str, int, str, bytes, bytes]
"""A finding as the catalog keeps it: id, revision, session id, trace id, JSON."""


REBUILD: Final = "rebuild"
"""Key of a dump that says: there is none, make the detectors anew from the open sessions' files."""


class Detection:
    """The detectors of one engine and what stands around them; used by the pipeline's thread only.

    Args:
        window: of re-deliveries.
        edits: takes each derived span as an encoded request of its own, once its line was handed over.
    """

    def __init__(
        self,
        settings: EngineSettings,
        *,
        members: Members,
        lines: LineWriter,
        ledger: Ledger,
        window: Window,
        edits: Edits,
    ) -> None:
        self._signals = Detectors(settings.signals)
        self._reorder = Reorder(int(settings.hold * SECOND), settings.reorder_steps)
        self._members, self._lines, self._ledger, self._edits = members, lines, ledger, edits
        self._window, self._tellings = window, Tellings()
        self._scope = scope_bytes(__version__)
        self._rows: list[Row] = []
        self._stale: tuple[str, ...] = ()

    def add(self, steps: Iterable[tuple[Step, bool]], now: int, outlines: Iterable[Outline] = ()) -> None:
        """Let steps wait for their turn, each with whether its end bounds a lane; and spans that are none."""
        for step, bounds in steps:
            self._reorder.add(step, now, bounds=bounds)
        self._reorder.outline(outlines, now)

    def due(self, now: int) -> Iterator[bytes]:
        """Detect in each trace whose turn has come; it is yielded first, so that its session is decided."""
        while (ready := self._reorder.due(now)) is not None:
            trace_id, until = ready
            yield trace_id
            self._detect(trace_id, until, now)

    def rest(self, now: int) -> None:
        """Let no step wait any longer."""
        for trace_id in self._reorder.waiting():
            self._detect(trace_id, None, now)

    def tick(self, now: int) -> None:
        """Evict what was not touched for long."""
        self.emit(self._signals.tick(now))

    def close(self, trace_id: bytes, status: Status, now: int) -> None:
        """End what the detectors have open in a trace."""
        self.catch_up(trace_id, now)
        self.emit(self._signals.end_trace(trace_id, status, now))

    def catch_up(self, trace_id: bytes, now: int) -> None:
        """Let no step of a trace wait any longer."""
        self._detect(trace_id, None, now)

    def emit(self, findings: Iterable[Finding]) -> None:
        """Write findings."""
        for finding in findings:
            trace = self._members.trace(finding.trace_id)
            if trace is None:
                continue  # its spans are still held: impossible while hold and reorder wait equally long
            # Two conversations may share a trace; a finding belongs to the one whose calls it is about.
            home = trace.session_id
            if finding.session_id and home != finding.trace_id.hex():
                home = finding.session_id
            finding.session_id = trace.joined or home
            row = msgspec.json.encode(finding.as_json())
            self._rows.append((finding.id, finding.revision, home, finding.trace_id, row))
            if finding.hidden:
                continue  # on trial, or muted: it can be looked up, and nobody is told
            if finding.revision == 1:
                self._ledger.find(finding.signal)
            raw = derived_span(finding)
            seen = otlp.rendered(raw)
            told = self._window.check(seen.trace_id + seen.span_id, seen.digest())
            if told is not Verdict.DUPLICATE:
                self._lines.derived(home, trace.resource, self._scope, seen.json())
                self._ledger.derived += 1
                self._edits.finding(otlp.request_of(trace.resource, self._scope, raw))

    @property
    def evictions(self) -> int:
        """What the detectors had to forget since they were loaded."""
        return self._signals.heard.counters.get(EVICTIONS, 0)

    @property
    def watch(self) -> Watch:
        """Which rules broke, and which are off."""
        return self._signals.heard.watch

    def next_deadline(self) -> int | None:
        """Engine time at which something becomes due although nothing arrives."""
        deadlines = (self._reorder.next_deadline(), self._signals.next_deadline())
        return min((d for d in deadlines if d is not None), default=None)

    def take_rows(self) -> list[Row]:
        """Findings since the last call, for the checkpoint."""
        rows, self._rows = self._rows, []
        return rows

    def dump(self) -> dict[str, bytes]:
        """What the checkpoint must hold: every part that changed, by key; empty for what is gone."""
        parts = {f"signals/{key}": data for key, data in self._signals.dump().items()}
        stale, self._stale = self._stale, ()
        told = self._tellings.dump()
        tellings = {} if told is None else {"tellings": told}
        return {**dict.fromkeys(stale, b""), "reorder": self._reorder.dump(), **tellings, **parts}

    def load(
        self, dumped: Mapping[str, bytes], rebuild: Callable[[Detectors, Tellings], list[Finding]]
    ) -> None:
        """Restore what `dump` gave; `rebuild` makes detectors anew whose dump is of another version."""
        if REBUILD in dumped or not self._load(dumped):
            self._reorder.clear()
            self._stale = tuple(dumped)
            self.emit(rebuild(self._signals, self._tellings))

    def _load(self, dumped: Mapping[str, bytes]) -> bool:
        """Load what this version dumped; False when another one did."""
        try:
            self._reorder.load(dumped.get("reorder", b""))
            self._tellings.load(dumped.get("tellings", b""))
            self._signals.load(
                {
                    key.removeprefix("signals/"): data
                    for key, data in dumped.items()
                    if key not in {"reorder", "tellings"}
                }
            )
        except UnsupportedVersion:
            return False
        return True

    def _session_of(self, trace_id: bytes) -> str:
        trace = self._members.trace(trace_id)
        return (trace.joined or trace.session_id) if trace is not None else trace_id.hex()

    def _detect(self, trace_id: bytes, until: int | None, now: int) -> None:
        trace, counted = self._members.trace(trace_id), dict[str, Session]()
        for happening in self._tellings.put_together(
            self._reorder, trace_id, until, session_of=self._session_of
        ):
            step = happening.step
            if happening.phase == CLOSE:
                self.emit(self._signals.close(step, now))
                continue
            self.emit(self._signals.open(step, now))
            if trace is None or not self._signals.heard.took:
                continue
            if step.kind is _TOOL or step.kind is _LLM or step.error:
                session = counted.get(step.session_id)
                if session is None:
                    session = counted[step.session_id] = self._members.session(trace, step.session_id)
                count_step(session, step)
        for session in counted.values():
            self._members.changed(session, active=False)
        for text in self._signals.take_news():
            log.error("%s; its findings may be missing", text)
