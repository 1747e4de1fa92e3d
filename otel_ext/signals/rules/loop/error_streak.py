"""loop.error_streak: one failure after another, and nothing that works between them.

Law of this file: the failures are not all alike, which is what sets it apart from `loop.error_repeat` and
`loop.error_variants`; in return any call that succeeds ends it, and what those two own is not told again.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import MOST_DISTINCT, add, advance, claimed, close, differ, find, keep
from otel_ext.signals.findings.explain import over, quoted
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels

STREAK: Final = "OTX-L028/streak"
"""Table: the failures since the last success; one key a lane."""

WORKED: Final = "OTX-L028/worked"
"""Number: the newest round in which a call succeeded."""

_KEY: Final = b"streak"


class ErrorStreakLimits(Limits, frozen=True):
    """How many failures in a row are a loop.

    Attributes:
        rounds: rounds in a row whose calls all failed.
        kinds: different failures among them: equal ones are told as a repeat or as variants.
    """

    rounds: Levels = Levels(notice=3, warning=4, error=8)
    kinds: int = 2


class ErrorStreak(Rule[ErrorStreakLimits]):
    """Every call of several rounds in a row failed, in different ways, whatever was called."""

    id = "OTX-L028"
    signal = "loop.error_streak"
    react: ClassVar[str] = (
        "Read the failures in their order: an agent that tries one thing after another without a success "
        "lacks a permission, a package or a fact that no further attempt will give it."
    )
    guards: ClassVar[tuple[str, ...]] = (
        "any call that succeeds ends it, be it one of several at once",
        "failures that waiting mends, and those that say nothing, do not count",
        "one missing path after another is exploring: a notice at most",
        "silent where the same failures are told as a repeat or as variants",
    )
    costs = "all but the first"
    origin: ClassVar[str] = (
        "Cline's mistake tracker and OpenHands' error rule count consecutive mistakes too; both count "
        "transient failures, and neither asks whether the agent merely looks where a file is."
    )

    def call(self, context: Context, call: Call) -> None:
        """Count a failure; a success ends the row."""
        step, lane = call.step, context.lane
        if not step.error:
            lane.numbers[WORKED] = [call.round.number]
            track = find(context, STREAK, _KEY) if STREAK in lane.tables else None
            if track is not None and call.round.number >= track.round:
                close(self, context, STREAK, _KEY, "recovered")
            return
        if step.transient or step.vague or step.error_hash is None or not call.key:
            return  # "exit code 1" may as well be an answer: nothing matched
        if lane.numbers.get(WORKED) != [call.round.number]:  # all of this round failed
            self._failed(context, call, step.error_hash)

    def _failed(self, context: Context, call: Call, failure: bytes) -> None:
        step = call.step
        track = find(context, STREAK, _KEY) or keep(self, context, STREAK, _KEY, Track(tool=call.tool))
        if call.tool not in track.tools and len(track.tools) < MOST_DISTINCT:
            track.tools.append(call.tool)
        if failure not in track.notes and len(track.notes) < MOST_DISTINCT:
            track.notes.append(failure)
        if step.absent and step.absent not in track.absent and len(track.absent) < MOST_DISTINCT:
            track.absent.append(step.absent)
        if not add(context, STREAK, _KEY, track, call):
            differ(track, step.arguments_hash or b"")
            return
        severity = self.limits.rounds.severity(track.count)
        if severity is not None and len(track.absent) >= min(track.count, MOST_DISTINCT):
            severity = "notice"
        told = sum(claimed(context, mark.span_id) for mark in track.marks)
        if len(track.notes) < self.limits.kinds or (track.episode is None and 2 * told > len(track.marks)):
            return
        advance(self, context, STREAK, _KEY, track, severity=severity, confidence="probable")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Rounds per severity, and how many kinds of failures."""
        return {**self.limits.rounds.as_dict(), "kinds": self.limits.kinds}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        who = track.tool if len(track.tools) == 1 else f"Calls of {len(track.tools)} tools"
        return (
            f"{who} failed {track.count} times in a row{over(track.end - track.start)} and nothing worked "
            f"between{quoted(track.error_text, 'the last ')}; find out what all these attempts lack, or stop "
            "the agent"
        )
