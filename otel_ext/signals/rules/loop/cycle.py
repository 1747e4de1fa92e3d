"""loop.cycle: the same few calls in turn, with the same outcomes, over and over.

Law of this file: a symbol is a call and what came of it, so any result that changes breaks the sequence, and
so does any write that is not the same again. One call over and over is `loop.exact_repeat`'s.
"""

from otel_ext.signals.cycling import Cycling
from otel_ext.signals.findings.explain import over
from otel_ext.signals.lane.periods import outcome_of
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits
from otel_ext.signals.rules.loop.exact_repeat import is_poll
from otel_ext.signals.settings import Levels


class CycleLimits(Limits, frozen=True):
    """When a sequence of calls is a loop.

    Attributes:
        repeats: how often the whole sequence was gone through.
        longest: rounds of the longest sequence that is looked for.
    """

    repeats: Levels = Levels(warning=3, error=5)
    longest: int = 8


class Cycle(Cycling[CycleLimits]):
    """Two to eight different rounds of calls, gone through in the same order with the same outcomes."""

    id = "OTX-L005"
    signal = "loop.cycle"
    react = (
        "Look at what the agent expects to change between the rounds and does not; give it that, or stop it."
    )
    guards = (
        "every outcome (result or failure) was captured and is the same in each round",
        "a poll, or a result that says something is still running, breaks the sequence",
        "a user turn ends it",
        "parallel calls of one model response are one symbol",
        "silent where other findings own half of the calls already",
    )
    origin = (
        "gemini-cli (periods 1 to 5, arguments only), a fork of opencode (1 to 10, arguments only), Stella "
        "(2 to 4, with outputs); OpenHands, OpenClaw and zeroclaw know alternations of two. Ours sees "
        "results, parallel rounds and periods up to 8."
    )

    def member(self, call: Call) -> bytes | None:
        """The call and its outcome; None breaks the sequence."""
        step = call.step
        if not call.key or step.arguments_hash is None or is_poll(call):
            return None
        known = not step.transient and step.error_hash if step.error else step.result_hash
        return outcome_of(call) if known else None

    def levels(self) -> tuple[Levels, int]:
        """Repeats per severity, longest period."""
        return self.limits.repeats, self.limits.longest

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"The same {self.period(track)} rounds of calls were gone through {track.score} times"
            f"{over(track.end - track.start)} with the same outcomes; nothing changes between them, so tell "
            "the agent what it has, or stop it"
        )
