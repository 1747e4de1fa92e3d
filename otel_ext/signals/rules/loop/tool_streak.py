"""loop.tool_streak: one tool after another time, and little comes of it.

Law of this file: never by the tool's name alone; it needs results, and fewer than half of them new. It is a
candidate, never an alarm.
"""

from typing import Final

from otel_ext.signals.calls.similar import silent
from otel_ext.signals.findings.episodes import add, close, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.last import last_word
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.rules.loop.exact_repeat import is_poll
from otel_ext.step import Effect

STREAK: Final = "OTX-L010/streak"
"""Table: the calls of one tool in a row; its notes are the different results."""

WARM: Final = "OTX-L010/warm"
"""Ring: not empty once the agent has done anything but read."""

_READ = Effect.READ


class ToolStreakLimits(Limits, frozen=True):
    """When calls of one tool in a row bring too little.

    Attributes:
        rounds: rounds in a row.
        distinct: different arguments among them, at least (at most 8 are told apart).
        results: percent of the calls with a result that no other of them had; below it there is a finding.
    """

    rounds: int = 8
    distinct: int = 4
    results: int = 50


class ToolStreak(Rule[ToolStreakLimits]):
    """One tool eight rounds in a row with four or more sets of arguments, fewer than half the results new."""

    id = "OTX-L010"
    signal = "loop.tool_streak"
    react = "See whether the tool can give what the agent looks for."
    guards = (
        "results were captured, and failures are left out",
        "reading at the start of a run is exploration",
        "polls, and commands of unknown effect with few words, are left out",
        "a call of another tool, a write and a user turn start anew",
        "never an alarm",
    )
    origin = "qwen-code (same name 8 in a row, a judgement by name alone); ours looks at the results."

    def call(self, context: Context, call: Call) -> None:
        """Count a call of the tool that is in a row."""
        step, limits = call.step, self.limits
        if step.effect is not _READ:
            context.lane.rings[WARM] = [b"1"]
        track = find(context, STREAK, b"")
        if track is not None and track.tool != call.tool:
            close(self, context, STREAK, b"", "recovered")
            track = None
        if step.error or step.result_hash is None or not call.key or is_poll(call) or silent(step):
            return
        if WARM not in context.lane.rings:
            return
        if track is None:
            track = keep(self, context, STREAK, b"", Track(tool=call.tool))
        if not add(context, STREAK, b"", track, call):
            return
        if step.result_hash not in track.notes:
            track.notes.append(step.result_hash)
            del track.notes[: -2 * limits.rounds]
        few = 100 * len(track.notes) < limits.results * min(track.count, 4 * limits.rounds)
        enough = limits.rounds and track.count >= limits.rounds and len(track.distinct) >= limits.distinct
        track.score = int(bool(few and enough))

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak last, for what no surer rule has told."""
        if track.score:
            last_word(context, table, key, track, "candidate")

    def wrote(self, context: Context, call: Call) -> None:
        """Start anew."""
        if find(context, STREAK, b"") is not None:
            close(self, context, STREAK, b"", "recovered")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Rounds, different arguments, percent of new results."""
        limits = self.limits
        return {"rounds": limits.rounds, "distinct": limits.distinct, "results": limits.results}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tool} was called {track.count} times in a row{over(track.end - track.start)} and fewer "
            "than half of the results were new; see whether it can give what the agent looks for"
        )
