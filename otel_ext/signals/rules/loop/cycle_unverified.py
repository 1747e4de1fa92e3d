"""loop.cycle_unverified: the same few calls in turn, whose outcomes were not captured.

Law of this file: without outcomes nobody knows whether anything changed, so this is a candidate at most, and
it speaks only where most outcomes are missing: where they are there, `loop.cycle` knows better.
"""

from otel_ext.signals.cycling import Cycling
from otel_ext.signals.findings.explain import over
from otel_ext.signals.hears import UNTOLD, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits
from otel_ext.signals.rules.loop.exact_repeat import is_poll
from otel_ext.signals.settings import Levels


class CycleUnverifiedLimits(Limits, frozen=True):
    """When a sequence of calls without known outcomes is worth a look.

    Attributes:
        repeats: how often the whole sequence was gone through.
        longest: rounds of the longest sequence that is looked for.
    """

    repeats: Levels = Levels(notice=5)
    longest: int = 8


class CycleUnverified(Cycling[CycleUnverifiedLimits]):
    """Two to eight different rounds of calls in the same order, their outcomes not captured."""

    id = "OTX-L006"
    signal = "loop.cycle_unverified"
    confidence = "candidate"
    react = "Capture the tools' results, so that it can be told whether this sequence gets anywhere."
    guards = (
        "a call whose outcome was captured breaks the sequence",
        "polls break it",
        "a user turn ends it",
        "never an alarm",
    )
    origin = "gemini-cli and forks of opencode judge by arguments alone; ours says so, and asks for more."
    hears = Hears(after=UNTOLD)

    def member(self, call: Call) -> bytes | None:
        """The call alone, as long as its outcome is not known."""
        step = call.step
        unknown = not step.error and step.result_hash is None
        return step.arguments_hash if unknown and call.key and not is_poll(call) else None

    def levels(self) -> tuple[Levels, int]:
        """Repeats per severity, longest period."""
        return self.limits.repeats, self.limits.longest

    def missing(self, context: Context, track: Track) -> list[str]:
        """The outcomes."""
        return ["result"]

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"The same {self.period(track)} rounds of calls were gone through {track.score} times"
            f"{over(track.end - track.start)}, results unknown; capture them to see whether anything changed"
        )
