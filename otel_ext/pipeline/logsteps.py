"""Log records that tell of calls, on their way to the detectors.

Law of this file: a record stays a record, stored as what it is; what it tells is a step beside it. A record
that stands in no trace belongs to a trace derived from its session, one for each session. A trace of which
only records are known is *adopted* by the session: findings have a home there, and its session's state does
not hear of it (it has no root whose end could be missing) until a span of it comes.
"""

from collections.abc import Callable, Iterator

from otel_ext import conventions, otlp
from otel_ext.pipeline.detect import Detection
from otel_ext.pipeline.groups import Groups
from otel_ext.pipeline.hold import Hold
from otel_ext.pipeline.meaning import Effects, told_step
from otel_ext.pipeline.members import Members
from otel_ext.sessions import Trace
from otel_ext.step import Step


class LogReader:
    """Reads the steps that log records tell of; holds memos that depend on bytes alone."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._groups = Groups()

    def step(
        self, raw: bytes, log: otlp.RawLog, group: otlp.Group, session_id: str, time: int
    ) -> Step | None:
        """What a log record tells of a call, or None.

        Args:
            raw: the record.
            log: the same, parsed.
            group: what it stands under.
            session_id: the session that it belongs to, "" when unknown.
            time: its time, ns, after any repair.
        """
        if not any(hint in raw for hint in conventions.record_hints):
            return None
        _, resource = self._groups.resource(group.resource)
        scope = self._groups.scope_name(group.scope)
        seen = otlp.to_log(log, otlp.attributes(log), resource, scope, time=time)
        told = conventions.observe_log(seen)
        if told is None:
            return None
        return told_step(told, seen, time=time, session_id=session_id, effects=self._effects)

    def steps(
        self, body: bytes, session_id: str, time_of: Callable[[otlp.RawLog], int]
    ) -> Iterator[tuple[Step, bytes]]:
        """The steps of a session's stored records, each with its resource."""
        for group in otlp.split(body):
            for raw in group.items:
                log = otlp.parse_log(raw)
                step = self.step(raw, log, group, session_id, time_of(log))
                if step is not None:
                    yield step, group.resource


class LogSteps:
    """Hands steps of log records to the detectors; used by the pipeline's thread only.

    Args:
        settle: gives a trace whose spans wait for a session to one.
        held: traces whose spans wait so.
    """

    def __init__(
        self,
        members: Members,
        detection: Detection,
        effects: Effects,
        *,
        settle: Callable[[bytes, str, int], Trace],
        held: Hold,
    ) -> None:
        self.reader = LogReader(effects)
        self._members, self._detection = members, detection
        self._settle, self._held = settle, held

    def take(
        self, raw: bytes, log: otlp.RawLog, group: otlp.Group, session_id: str, *, time: int, now: int
    ) -> None:
        """Take in a log record of `session_id` ("" for none) with its time in ns, at engine time `now`."""
        step = self.reader.step(raw, log, group, session_id, time)
        if step is None:
            return
        trace = self._members.trace(step.trace_id)
        if trace is None and step.trace_id in self._held:
            if not session_id:
                return  # nobody knows yet whose call it is
            trace = self._settle(step.trace_id, session_id, now)
        elif trace is None or trace.adopted:
            if not session_id:
                return
            trace = self._adopt(step.trace_id, session_id, now)
        # Where spans are known, derived spans stand under their resource.
        self._members.follow(trace, group.resource if trace.adopted else b"", now)
        self._detection.add([(step, False)], now)

    def _adopt(self, trace_id: bytes, session_id: str, now: int) -> Trace:
        """The trace, in the newest generation of a session that its records name."""
        newest = self._members.newest(session_id, now)
        trace = self._members.trace(trace_id)
        if trace is None:
            trace = Trace(trace_id=trace_id, session_id=session_id, generation=newest.generation, rooted=True)
            self._members.put(trace)
        elif trace.session_id == session_id and trace.generation != newest.generation:
            trace.generation, trace.agentic = newest.generation, False
            self._members.put(trace)
        return trace


def claim(trace: Trace, members: Members) -> None:
    """Count an adopted trace for its session: a span of it came."""
    trace.rooted, trace.resource = False, b""
    members.put(trace)
    members.session(trace).new_trace()
