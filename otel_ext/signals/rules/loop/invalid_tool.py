"""loop.invalid_tool: calls that no tool takes.

Law of this file: only what the failure itself says: there is no such tool, or it does not take such
arguments. What `loop.error_repeat` and `loop.error_variants` tell already is not told again.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, advance, claimed, close, find, keep
from otel_ext.signals.findings.explain import over, quoted
from otel_ext.signals.hears import ERROR, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels

TOOL: Final = "OTX-L021/tool"
"""Table: one tool's name."""


class InvalidToolLimits(Limits, frozen=True):
    """When calls that no tool takes are a loop.

    Attributes:
        rounds: rounds in which one name was called so, with no success of it between.
    """

    rounds: Levels = Levels(notice=2, warning=3)


class InvalidTool(Rule[InvalidToolLimits]):
    """One tool's name, called although there is no such tool, or with arguments that it does not take."""

    id = "OTX-L021"
    signal = "loop.invalid_tool"
    react = "Show the agent the tools that it has and what they take; often a schema is wrong or missing."
    guards = (
        "the failure says so itself",
        "what a program in a shell or an interpreter says of its own functions is left out",
        "a success of the tool starts anew",
        "failures that another finding owns do not count",
    )
    origin = "OpenClaw (unknown tool 10 times), Cline and Roo (mistake counters)."
    per_turn = False
    counts = False
    hears = Hears(after=ERROR)

    def call(self, context: Context, call: Call) -> None:
        """Count a call that was not taken."""
        step = call.step
        if not step.invalid and TOOL not in context.lane.tables:
            return
        key = call.tool.encode("utf-8", "surrogatepass")
        track = find(context, TOOL, key)
        if not step.error:
            if track is not None:
                close(self, context, TOOL, key, "recovered")
            return
        if not step.invalid:
            return
        if track is None:
            track = keep(self, context, TOOL, key, Track(tool=call.tool))
        if not add(context, TOOL, key, track, call):
            return
        track.score += track.marks[-1].owned and not self._told(context, call, track)
        severity = self.limits.rounds.severity(track.score)
        advance(self, context, TOOL, key, track, severity=severity, confidence="confirmed")

    def _told(self, context: Context, call: Call, track: Track) -> bool:
        return track.episode is None and claimed(context, call.step.span_id)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Rounds per severity."""
        return self.limits.rounds.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tool} was called {track.count} times{over(track.end - track.start)} in a way that no "
            f"tool takes{quoted(track.error_text, 'the last ')}; show the agent which tools it has and what "
            "they take"
        )
