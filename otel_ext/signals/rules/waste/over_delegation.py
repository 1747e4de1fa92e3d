"""waste.over_delegation: sub-agents that hardly do anything.

Law of this file: a sub-agent is judged only by steps that were seen, and only in a trace where other agents'
tool calls are seen; else it would be the telemetry that is thin. Never more than a candidate: a question to a
specialist may be worth a model call.
"""

from typing import Final

from otel_ext.signals.findings.episodes import advance, find, held, keep, put
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.waste import Mark
from otel_ext.signals.rule import Context, Limits, Rule
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

IDLE: Final = "OTX-W018/idle"
"""Table of the trace's own lane: sub-agents of one agent."""

BUSY: Final = "OTX-W018/busy"
"""Ring of the trace's own lane: not empty once an agent made several calls."""

RUNS: Final = "OTX-W018/runs"
"""Ring of the trace's own lane: span ids and use of lanes that did little and ended."""

_OPEN: Final = 56
"""Length of an entry of `RUNS` whose agent has not ended."""


class OverDelegationLimits(Limits, frozen=True):
    """When delegation is told.

    Attributes:
        agents: sub-agents of one agent that did next to nothing.
        calls: tool calls of a sub-agent up to which that is so.
    """

    agents: Levels = Levels(notice=3)
    calls: int = 1


class OverDelegation(Rule[OverDelegationLimits]):
    """Three sub-agents of one agent, each with a model call and at most one tool call in its whole run."""

    id = "OTX-W018"
    signal = "waste.over_delegation"
    costs = "these runs"
    react = "Let the agent make such calls itself, or give a sub-agent all of them at once."
    guards = (
        "the sub-agent's model calls must be seen",
        "another agent of the trace must have made several tool calls, else tools are not instrumented",
        "never more than a candidate",
    )
    origin = "New Relic preflight counts three calls of an agent tool; ours looks at what the sub-agents did."
    per_turn = False

    def ended(self, context: Context, status: Status) -> None:
        """Note how much a lane did."""
        lane, trace, usage = context.lane, context.trace, context.lane.usage
        if lane.calls > self.limits.calls:
            trace.own_lane().rings[BUSY] = [b"1"]
        elif usage.steps and lane.span_id in trace.agents and status != "evicted":
            spent = (usage.input, usage.output, usage.cost if usage.priced else -1)
            packed = b"".join(number.to_bytes(16, "big", signed=True) for number in spent)
            ring = trace.own_lane().rings.setdefault(RUNS, [])
            ring.append(packed + lane.span_id)
            del ring[: -context.settings.keys]

    def agent_ended(self, context: Context, step: Step) -> None:
        """Count it against the agent above, once that is known; see whether others were busy."""
        ring, trace = context.lane.rings.get(RUNS, []), context.trace
        times = _packed(step.start) + _packed(step.end)
        ring[:] = [run + times if run[48:] == step.span_id else run for run in ring]
        for run in list(ring):
            above = trace.above(run[48:56])
            if len(run) > _OPEN and above in trace.agents:
                ring.remove(run)
                self._count(context, above, run)
        if BUSY in context.lane.rings:
            for key, track in held(context.lane, IDLE):
                severity = self.limits.agents.severity(track.count)
                advance(self, context, IDLE, key, track, severity=severity, confidence="candidate")

    def _count(self, context: Context, above: bytes, run: bytes) -> None:
        given, made, cost = (int.from_bytes(run[at : at + 16], "big", signed=True) for at in (0, 16, 32))
        start, end = int.from_bytes(run[56:64], "big"), int.from_bytes(run[64:72], "big")
        track = find(context, IDLE, above) or keep(self, context, IDLE, above, Track(tool=""))
        mark = Mark(run[48:56], start, max(start, end), 0, given, made, cost=cost)
        mark.measured, mark.turn = given > 0, True
        put(context, track, mark)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Sub-agents, and calls of one."""
        return {**self.limits.agents.as_dict(), "calls": self.limits.calls}

    def missing(self, context: Context, track: Track) -> list[str]:
        """What would make it sure."""
        return ["use of the sub-agents' answers"]

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.count} sub-agents of one agent made at most {self.limits.calls} tool call each; let "
            "the agent make such calls itself"
        )


def _packed(time: int) -> bytes:
    return min(max(time, 0), (1 << 63) - 1).to_bytes(8, "big")
