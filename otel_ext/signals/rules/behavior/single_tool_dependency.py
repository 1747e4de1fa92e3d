"""behavior.single_tool_dependency: one tool for everything, and most of it in vain.

Law of this file: that one tool does most of the work is how many agents are built; it is told only where most
of its calls failed or returned what was known.
"""

from typing import ClassVar, Final

from otel_ext.signals.calls.similar import silent
from otel_ext.signals.findings.episodes import add, advance, claimed, find, held, keep
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.rules.loop.exact_repeat import is_poll
from otel_ext.signals.settings import Levels
from otel_ext.step import Effect

TOOLS: Final = "OTX-B003/tools"
"""Table: a tool; score: its calls in vain; notes: its newest results."""

_WRITE = Effect.WRITE
_RESULTS: Final = 16
"""Results of one tool that are remembered."""


class SingleToolDependencyLimits(Limits, frozen=True):
    """When one tool is too much of a run.

    Attributes:
        calls: calls of one tool in an agent's run.
        percent: of all calls that are this tool's, at least.
        vain: percent of its calls that failed or returned what it had returned before, at least.
    """

    calls: Levels = Levels(notice=10)
    percent: int = 90
    vain: int = 50


class SingleToolDependency(Rule[SingleToolDependencyLimits]):
    """Nearly all calls of an agent went to one tool, and at least half of them brought nothing new."""

    id = "OTX-B003"
    signal = "behavior.single_tool_dependency"
    react: ClassVar[str] = (
        "See whether the other tools are described so that the agent can tell when to use them."
    )
    guards: ClassVar[tuple[str, ...]] = (
        "calls that returned something new are work, whatever the tool",
        "writes, polls, and commands of unknown effect that say little are work as well",
        "told at the agent's end only, and not where a loop of the same calls is",
    )
    origin: ClassVar[str] = (
        "Products score tool diversity by names and counts, which says nothing of the work."
    )
    per_turn = False
    owns = False

    def call(self, context: Context, call: Call) -> None:
        """Count a call of a tool, and whether it was in vain."""
        key = call.tool.encode("utf-8", "surrogatepass")
        track = find(context, TOOLS, key) or keep(self, context, TOOLS, key, Track(tool=call.tool))
        add(context, TOOLS, key, track, call, each=True)
        step, result, known = call.step, call.step.result_hash, track.notes
        if result is None:
            track.score += step.error
        elif result in known:
            track.score += step.error or _asks(call)
        else:
            track.score += step.error
            known.append(result)
            del known[:-_RESULTS]

    def ended(self, context: Context, status: Status) -> None:
        """Speak for the one tool."""
        if status == "evicted":
            return
        tracks = held(context.lane, TOOLS)
        every = sum(track.count for _, track in tracks)
        for key, track in tracks:
            if any(claimed(context, mark.span_id) for mark in track.marks):
                continue  # a loop of it is told
            most = 100 * track.count >= self.limits.percent * every
            if most and 100 * track.score >= self.limits.vain * track.count:
                severity = self.limits.calls.severity(track.count)
                advance(self, context, TOOLS, key, track, severity=severity, confidence="candidate")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Calls per severity, and both shares."""
        return {**self.limits.calls.as_dict(), "percent": self.limits.percent, "vain": self.limits.vain}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tool} was called {track.count} times and hardly anything else, and {track.score} of the "
            "calls failed or returned what was known; see whether the agent knows its other tools"
        )


def _asks(call: Call) -> bool:
    """Whether the same result again tells nothing: "ok" after a write, or "pending", is no repeat."""
    return call.step.effect is not _WRITE and not is_poll(call) and not silent(call.step)
