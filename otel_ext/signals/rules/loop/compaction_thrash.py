"""loop.compaction_thrash: the history is made smaller and is at once full again.

Law of this file: told by the tokens that the model was given. One small input between two large ones is a
question asked aside, so the first refills count only when the history was seen on its way up.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.hears import USED, Hears
from otel_ext.signals.lane.compaction import LEAST
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.usage import reported
from otel_ext.signals.rule import LONGEST_NAME, Context, Limits, Rule, evidence
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

REFILLS: Final = "OTX-L026/refills"
"""Table: a model's input and how often it was full again; numbers: largest, newest, turns since the fall."""


class CompactionThrashLimits(Limits, frozen=True):
    """When a compaction was for nothing.

    Attributes:
        refills: compactions in a row after which the input was full again.
        turns: model steps within which it is.
        percent: of the input before the compaction that count as full.
    """

    refills: Levels = Levels(notice=2, error=3)
    turns: int = 3
    percent: int = 80


class CompactionThrash(Rule[CompactionThrashLimits]):
    """Several times in a row the input of a model fell to half or less and was soon as large as before."""

    id = "OTX-L026"
    signal = "loop.compaction_thrash"
    react: ClassVar[str] = (
        "Find what fills the history again (a large file, a tool's whole output) and give the agent a "
        "part of "
        "it; each round pays for the summary and for the reading."
    )
    guards: ClassVar[tuple[str, ...]] = (
        "only with captured usage, and never below 8,000 tokens",
        "one small input between two large ones is a question asked aside",
        "a history that stays small for longer ends the row",
    )
    origin: ClassVar[str] = (
        "goose, gemini-cli and Claude Code compact; none of them tells when that is in vain."
    )
    per_turn = False
    hears_model = Hears(USED)

    def model(self, context: Context, step: Step) -> None:
        """Take in a model's input."""
        given = reported(step.input_tokens)
        if given <= 0:
            return
        key = step.name[:LONGEST_NAME].encode("utf-8", "surrogatepass")
        track = find(context, REFILLS, key)
        if track is None:
            keep(self, context, REFILLS, key, Track(tool="", numbers=[given, given, 0]))
            return
        largest, newest, since = track.numbers
        if not since:
            fell = newest >= LEAST and 2 * given <= newest
            track.numbers[:] = max(given, newest), given, int(fell)
            return
        if 100 * given >= self.limits.percent * largest:
            track.numbers = [given, given, 0]
            if (since > 1 or track.count >= 2) and add(context, REFILLS, key, track, evidence(context, step)):
                severity = self.limits.refills.severity(track.count)
                advance(self, context, REFILLS, key, track, severity=severity, confidence="confirmed")
            return
        if since >= self.limits.turns:
            close(self, context, REFILLS, key, "recovered")
            keep(self, context, REFILLS, key, Track(tool="", numbers=[given, given, 0]))
            return
        track.numbers = [largest, given, since + 1]

    def thresholds(self, track: Track) -> dict[str, int]:
        """Refills per severity, within how many turns, and how full."""
        return {**self.limits.refills.as_dict(), "turns": self.limits.turns, "percent": self.limits.percent}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"The history was made smaller {track.count} times{over(track.end - track.start)} and was full "
            f"again within {self.limits.turns} turns each time; find what fills it"
        )
