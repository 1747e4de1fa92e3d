"""waste.abandoned_subagent: a sub-agent that goes on after the agent that asked for it has ended.

Law of this file: both ends must be known, and the clocks of two machines may differ by a second. An agent
that was cancelled is as much an answer nobody waits for as one that was forgotten.
"""

from typing import Final

from otel_ext.signals.findings.episodes import advance, find, keep, put
from otel_ext.signals.findings.explain import lasting
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.waste import Mark
from otel_ext.signals.rule import Context, Limits, Rule
from otel_ext.signals.settings import SECOND, Levels
from otel_ext.step import Step

LEFT: Final = "OTX-W019/left"
"""Table of the trace's own lane: sub-agents that outlived one agent."""


class AbandonedSubagentLimits(Limits, frozen=True):
    """When a sub-agent counts as abandoned.

    Attributes:
        agents: sub-agents of one agent.
        after: ns that it must have gone on.
    """

    agents: Levels = Levels(notice=1)
    after: int = SECOND


class AbandonedSubagent(Rule[AbandonedSubagentLimits]):
    """A sub-agent whose span ends more than a second after that of the agent above it."""

    id = "OTX-W019"
    signal = "waste.abandoned_subagent"
    costs = "this"
    react = "Wait for sub-agents, or cancel them when the agent ends."
    guards = (
        "both ends must be known",
        "a second's difference may be the clocks'",
        "an agent that began after the other ended was started by a hand-over",
    )
    origin = "Structured concurrency in programming languages; no product in our comparison looks for it."
    per_turn = False

    def agent_ended(self, context: Context, step: Step) -> None:
        """Compare an agent's end with that of the one above it."""
        trace = context.trace
        above = trace.above(step.span_id)
        until = trace.ended.get(above, 0)
        if not until or step.start <= 0 or step.start >= until or step.end - until <= self.limits.after:
            return
        track = find(context, LEFT, above) or keep(self, context, LEFT, above, Track(tool=""))
        put(context, track, Mark(step.span_id, until, step.end, 0, measured=True, turn=True))
        track.gap = max(track.gap, step.end - until)
        severity = self.limits.agents.severity(track.count)
        advance(self, context, LEFT, above, track, severity=severity, confidence="confirmed")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Sub-agents, and the time."""
        return {**self.limits.agents.as_dict(), "after": self.limits.after}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        who = "A sub-agent" if track.count == 1 else f"{track.count} sub-agents"
        return (
            f"{who} went on for up to {lasting(track.gap)} after the agent above had ended; wait for "
            "sub-agents, or cancel them"
        )
