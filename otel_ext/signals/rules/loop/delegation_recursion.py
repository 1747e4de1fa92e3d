"""loop.delegation_recursion: an agent hands its own task down to itself.

Law of this file: the same agent with the same task, one inside the other, and the outer one has done
something before (a span around a span of the same run is an instrumentation's habit, not a delegation).
"""

from collections.abc import Collection
from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, find, keep
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.lane.lanes import DEEPEST, Trace
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import LONGEST_NAME, Context, Limits, Rule, evidence, key_of
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

CHAIN: Final = "OTX-L023/chain"
"""Table: an agent and its task; notes: its runs."""

WORKED: Final = "OTX-L023/worked"
"""Ring of the trace's own lane: agents that called a model themselves."""

_MOST: Final = 64
"""Runs that are remembered in a trace, and of one agent with one task."""


class DelegationRecursionLimits(Limits, frozen=True):
    """How deep an agent may be inside itself.

    Attributes:
        chain: runs of one agent with one task, each inside the one before.
    """

    chain: Levels = Levels(warning=2, error=3)


class DelegationRecursion(Rule[DelegationRecursionLimits]):
    """An agent runs inside a run of itself that was asked the very same."""

    id = "OTX-L023"
    signal = "loop.delegation_recursion"
    react: ClassVar[str] = "Take the delegating tool away from the inner agent, or bound the depth."
    guards: ClassVar[tuple[str, ...]] = (
        "the outer run has called a model itself: two spans of one run are no delegation",
        "runs next to each other are no recursion",
        "silent where tasks were not captured; depth alone says nothing",
    )
    origin: ClassVar[str] = (
        "Frameworks bound the depth (LangGraph 25); a bound does not say whose fault it was."
    )

    def ended(self, context: Context, status: Status) -> None:
        """Note that an agent has done something."""
        lane = context.lane
        if lane.usage.steps and lane.span_id in context.trace.agents:
            ring = context.trace.own_lane().rings.setdefault(WORKED, [])
            ring.append(lane.span_id)
            del ring[:-_MOST]

    def agent_ended(self, context: Context, step: Step) -> None:
        """Look for runs of the same agent and task inside this one."""
        if step.task is None:
            return
        name = (step.agent_name or step.name)[:LONGEST_NAME]
        key = key_of(name, step.task)
        track = find(context, CHAIN, key)
        if track is None:
            track = keep(self, context, CHAIN, key, Track(tool="", tools=[name]))
        track.notes = [*track.notes[-_MOST + 1 :], step.span_id]
        outer = set(track.notes).intersection(context.lane.rings.get(WORKED, ()))
        # Agents that end at one instant come in any order, so each run is looked at again.
        depth = max(_around(context.trace, run, outer) for run in track.notes) + 1 if outer else 1
        track.score = max(track.score, depth)
        if add(context, CHAIN, key, track, evidence(context, step), each=True) and depth > 1:
            severity = self.limits.chain.severity(track.score)
            advance(self, context, CHAIN, key, track, severity=severity, confidence="confirmed")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Depth per severity."""
        return self.limits.chain.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tools[0]} handed its own task down to itself, {track.score} runs deep; take the "
            "delegating tool away from the inner one"
        )


def _around(trace: Trace, span_id: bytes, runs: Collection[bytes]) -> int:
    """How many of these runs a span is known to be below."""
    found, here = 0, trace.parents.get(span_id, b"")
    for _ in range(DEEPEST):
        if not here:
            break
        found += here in runs
        here = trace.parents.get(here, b"")
    return found
