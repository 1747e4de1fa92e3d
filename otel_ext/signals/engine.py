"""The detectors as the pipeline holds them: steps in, findings out.

Law of this file: no clock and no I/O; time is the steps' own and the engine time that is given in. The
same calls in the same order give the same findings, ids and dumps, also when a dump and a load lie
between two of them. Everything kept is bounded, and what a bound removes is counted and says so.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, Final

from otel_ext.signals import fold
from otel_ext.signals.chosen import chosen
from otel_ext.signals.findings.episodes import EVICTIONS
from otel_ext.signals.findings.finding import Finding, Status
from otel_ext.signals.installed import every_rule
from otel_ext.signals.lane.baselines import Baseline, Baselines
from otel_ext.signals.lane.dumps import LaneKey, State, decode, encode, name_of
from otel_ext.signals.lane.lanes import Lane, Trace
from otel_ext.signals.lane.storable import storable
from otel_ext.signals.rule import LONGEST_NAME, Context, Rule
from otel_ext.signals.settings import Settings
from otel_ext.signals.watch import Watch
from otel_ext.step import Kind, Step

REPEATED = "otel_ext.detector.repeated"
TWINS = "otel_ext.detector.twins"
"""Counters of steps whose span, and of calls that another span had told already; they change nothing."""

WEIGHED: Final = 8  # calls of a lane after which its tracks are counted anew

_AGENT, _OTHER = Kind.AGENT, Kind.OTHER  # looked up once: a member of an enum costs a call


class Signals:
    """All lanes of all traces. Not thread-safe: one pipeline thread owns it.

    Args:
        settings: thresholds and bounds.
        rules: the rules by precedence; all that are installed unless given.
        shadow: those in shadow are on, too.

    Raises:
        ConfigError: the settings name a rule or a threshold that does not exist.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        rules: Sequence[type[Rule[Any]]] | None = None,
        *,
        shadow: bool = False,
    ) -> None:
        self.settings = settings or Settings()
        self.rules = chosen(every_rule().types if rules is None else rules, self.settings, shadow=shadow)
        self._hooks = fold.Hooks(self.rules)
        self.took = False  # whether the step opened last was of no span and no call told before
        self.counters: dict[str, int] = {}
        self.watch = Watch(self.counters, self.settings.most_errors, self.settings.budget)
        self._traces: dict[bytes, Trace] = {}  # both in the order of use, least recent first
        self._lanes: dict[LaneKey, Lane] = {}
        self._changed: dict[bytes | str | LaneKey, State | None] = {}  # named when dumped, not when touched
        self._baselines = Baselines(self.settings.baselines, self._changed.__setitem__)
        self._order = self._tracks = 0

    def open(self, step: Step, now: int) -> list[Finding]:
        """Take in a step, in order of start times as far as that is known."""
        found: list[Finding] = []
        step = storable(step)
        trace = self._trace(step.trace_id, now, found)
        self.took = trace.add(step, self.settings.spans_per_trace)
        if not self.took:
            self._count(REPEATED)
            return found
        mine = self._lanes.get((step.trace_id, step.span_id))
        if step.kind is _AGENT:
            trace.agents[step.span_id] = (step.agent_name or step.name)[:LONGEST_NAME]
            if mine is not None:
                self._decide(mine)
            return found
        steps = [] if step.kind is _OTHER else [step]
        if steps and trace.twins.has(step, trace.parents, trace.agents):
            self._count(TWINS)
            steps, self.took = [], False
        target = trace.lane_of(step)
        if mine is not None and target != step.span_id:
            if mine.emitted or mine.pending is None:
                trace.own[step.span_id] = True
                self._decide(mine)
            else:
                steps += mine.pending
                self._forget(mine)
        if steps:
            self._absorb(trace, target, steps, now, found)
        if mine is not None and target == step.span_id:
            self._decide(self._lanes[step.trace_id, step.span_id])
        return found

    def close(self, step: Step, now: int) -> list[Finding]:
        """End the lane of an agent, or of a root that is none; a failed one was terminated."""
        found: list[Finding] = []
        lane = self._lanes.get((step.trace_id, step.span_id))
        if lane is None and step.trace_id not in self._traces:
            return found
        trace = self._trace(step.trace_id, now, found)
        if lane is not None:
            self._end(lane, "terminated" if step.error else "persisted", found)
        if step.kind is _AGENT:
            trace.end(step)
        if step.kind is _AGENT and self._hooks.agent_ended:
            fold.agent_ended(self._hooks, self._context(trace, trace.own_lane(), found), storable(step))
        return found

    def end_trace(self, trace_id: bytes, status: Status, now: int) -> list[Finding]:
        """End every lane of a trace and forget the trace; `now` is taken like everywhere, not needed."""
        found: list[Finding] = []
        if trace_id in self._traces:
            self._drop(self._traces[trace_id], status, found)
        return found

    def tick(self, now: int) -> list[Finding]:
        """Evict what has not been touched for the time to live."""
        found: list[Finding] = []
        before = now - self.settings.ttl
        while self._lanes and (lane := next(iter(self._lanes.values()))).touched <= before:
            self._evict(lane, found)
        while self._traces and (trace := next(iter(self._traces.values()))).touched <= before:
            self._count(EVICTIONS)
            self._drop(trace, "evicted", found)
        return found

    def next_deadline(self) -> int | None:
        """The engine time at which `tick` has something to do; None when it has nothing."""
        oldest = [lane.touched for lane in islice(self._lanes.values(), 1)]
        oldest += [trace.touched for trace in islice(self._traces.values(), 1)]
        return min(oldest) + self.settings.ttl if oldest else None

    def dump(self) -> dict[str, bytes]:
        """What changed since the last dump, by a stable key; empty bytes mean that it is gone."""
        items = {
            name: b"" if state is None else encode(state)
            for name, state in sorted((name_of(key), state) for key, state in self._changed.items())
        }
        self._changed.clear()
        return items

    def load(self, items: Mapping[str, bytes]) -> None:
        """Take over dumped state.

        Raises:
            UnsupportedVersion: another version wrote it; the caller rebuilds it from the spans.
        """
        held = sorted((decode(name, data) for name, data in items.items() if data), key=attrgetter("order"))
        self._baselines.load([state for state in held if isinstance(state, Baseline)])
        for state in held:
            if isinstance(state, Lane):
                self._lanes[state.trace_id, state.span_id] = state
                self._tracks += state.held
            elif isinstance(state, Trace):
                self._traces[state.trace_id] = state
        self._order = max((state.order for state in held if not isinstance(state, Baseline)), default=0)

    def _trace(self, trace_id: bytes, now: int, found: list[Finding]) -> Trace:
        trace = self._traces.pop(trace_id, None) or Trace(trace_id)
        self._traces[trace_id] = trace
        self._touch(trace, trace_id, now)
        if len(self._traces) > self.settings.traces:
            self._count(EVICTIONS)
            self._drop(next(iter(self._traces.values())), "evicted", found)
        return trace

    def _lane(self, trace: Trace, span_id: bytes, now: int, found: list[Finding]) -> Lane:
        key = trace.trace_id, span_id
        lane = self._lanes.pop(key, None)
        if lane is None:
            lane = Lane(trace.trace_id, span_id, pending=None if trace.knows(span_id) else [])
        self._lanes[key] = lane
        self._touch(lane, key, now)
        if len(self._lanes) > self.settings.lanes:
            self._evict(next(iter(self._lanes.values())), found)
        return lane

    def _absorb(
        self, trace: Trace, span_id: bytes, steps: list[Step], now: int, found: list[Finding]
    ) -> None:
        lane = self._lane(trace, span_id, now, found)
        if len(steps) > 1:
            steps = sorted(steps, key=attrgetter("start"))
        kept = lane.pending
        if kept is not None:
            if kept and steps[0].start < lane.last_start:
                # Nothing was said yet and all steps are at hand: count again, in the right order.
                steps = sorted([*kept, *steps], key=attrgetter("start"))
                kept = []
                lane = lane.blank()
                self._lanes[trace.trace_id, span_id] = lane
                self._touch(lane, (trace.trace_id, span_id), now)
            kept += steps
        fold.run(self._hooks, self._context(trace, lane, found), steps)
        if self.watch.news:
            self._hooks = fold.Hooks(self.rules, self.watch.off)
        lane.pending = None if lane.emitted or (kept and len(kept) > self.settings.pending) else kept
        if not lane.calls % WEIGHED:
            self._weigh(lane, found)

    def _weigh(self, lane: Lane, found: list[Finding]) -> None:
        """Count a lane's tracks anew, and keep those of all lanes within their bound."""
        held = sum(map(len, lane.tables.values()))
        self._tracks += held - lane.held
        lane.held = held
        while self._tracks > self.settings.tracks and len(self._lanes) > 1:
            self._evict(next(iter(self._lanes.values())), found)

    def _context(self, trace: Trace, lane: Lane, found: list[Finding]) -> Context:
        return Context(self.settings, lane, trace, found, self.counters, self._baselines, self.watch)

    def _decide(self, lane: Lane) -> None:
        lane.pending = None
        self._changed[lane.trace_id, lane.span_id] = lane

    def _touch(self, state: Lane | Trace, key: bytes | LaneKey, now: int) -> None:
        self._order += 1
        state.order = self._order
        state.touched = max(state.touched, now)
        self._changed[key] = state

    def _end(self, lane: Lane, status: Status, found: list[Finding]) -> None:
        trace = self._traces.get(lane.trace_id) or Trace(lane.trace_id)
        fold.end(self._hooks, self._context(trace, lane, found), status)
        self._forget(lane)

    def _evict(self, lane: Lane, found: list[Finding]) -> None:
        self._count(EVICTIONS)
        self._end(lane, "evicted", found)

    def _drop(self, trace: Trace, status: Status, found: list[Finding]) -> None:
        for lane in [lane for lane in self._lanes.values() if lane.trace_id == trace.trace_id]:
            self._end(lane, status, found)
        if trace.shared is not None:
            fold.end(self._hooks, self._context(trace, trace.shared, found), status)
        del self._traces[trace.trace_id]
        self._changed[trace.trace_id] = None

    def _forget(self, lane: Lane) -> None:
        self._tracks -= self._lanes.pop((lane.trace_id, lane.span_id)).held
        self._changed[lane.trace_id, lane.span_id] = None

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1
