"""loop.same_result: whatever is asked, the answer is the same.

Law of this file: an answer that says little ("ok", nothing) is what many different calls give, so it proves
something only where the call was a question; and one question put to many places is a batch.
"""

from typing import Final

from otel_ext.signals.calls.similar import says_little, silent
from otel_ext.signals.findings.episodes import (
    MOST_DISTINCT,
    add,
    advance,
    again,
    claimed,
    close,
    differ,
    find,
    forget,
)
from otel_ext.signals.findings.explain import over
from otel_ext.signals.hears import ABOUT, DONE, KEYED, POLLS, TOLD, WRITE, Hears
from otel_ext.signals.lane.tracks import NO_NOTES, Track
from otel_ext.signals.rule import Call, Context, Limits, Rule, key_of
from otel_ext.signals.rules.loop.exact_repeat import is_poll
from otel_ext.signals.settings import Levels
from otel_ext.step import Effect

RESULT: Final = "OTX-L008/result"
"""Table: one tool, one place, one result; notes where that says little and the call was no question."""

RECENT: Final = "OTX-L008/recent"
"""Ring: the newest calls' keys of the table."""

_LITTLE: Final = (b"little",)
_WRITE = Effect.WRITE


class SameResultLimits(Limits, frozen=True):
    """When an answer that stays the same is a loop.

    Attributes:
        rounds: rounds among the last `window` calls with one result.
        little: the same for results of few words, where the call was no question.
        distinct: different arguments among them, at least.
        window: calls of a lane that are looked back at.
    """

    rounds: Levels = Levels(warning=5)
    little: Levels = Levels(warning=8)
    distinct: int = 3
    window: int = 30


class SameResult(Rule[SameResultLimits]):
    """One tool gives the identical result for three or more different sets of arguments, five times."""

    id = "OTX-L008"
    signal = "loop.same_result"
    react = (
        "The answer does not depend on the question: see whether the tool is broken, or the calls do nothing "
        "as commands behind a stray character do, or stop the agent's asking."
    )
    guards = (
        "the result is the same to the letter",
        "results of few words count only for questions, or from eight on",
        "the same question to other files, URLs or ids is a batch",
        "calls that write, poll or fail, and commands of unknown effect with few words, are left out",
        "a write and a user turn start anew",
    )
    origin = "zeroclaw (5 times anywhere in 20); ours knows batches, trivial results and writes."
    hears = Hears(ABOUT | DONE | KEYED | TOLD, skips=POLLS | WRITE)

    def call(self, context: Context, call: Call) -> None:
        """Count a result."""
        step, subject = call.step, call.step.subject
        if step.error or not call.key or step.result_hash is None or step.effect is _WRITE or is_poll(call):
            return
        if subject is None or not subject.words or step.arguments_hash is None:
            return
        if silent(step):
            return
        little = says_little(subject.result_words)
        place = subject.resource or subject.place or bytes(16)
        key = key_of(call.tool, step.result_hash + place)
        ring = context.lane.rings.setdefault(RECENT, [])
        ring.append(key)
        while len(ring) > self.limits.window:
            gone = ring.pop(0)
            if gone not in ring and find(context, RESULT, gone) is not None:
                close(self, context, RESULT, gone, "recovered")
        track = again(
            self, context, RESULT, key, call, notes=_LITTLE if little and not subject.asks else NO_NOTES
        )
        if track is None:
            return
        if not add(context, RESULT, key, track, call):
            differ(track, step.arguments_hash)
            return
        levels = self.limits.little if track.notes else self.limits.rounds
        severity = levels.severity(min(track.count, ring.count(key)))
        if severity is not None and track.episode is None:
            free = sum(not claimed(context, mark.span_id) for mark in track.marks)
            if len(track.distinct) < self.limits.distinct or levels.severity(free) is None:
                return
        advance(self, context, RESULT, key, track, severity=severity, confidence="probable")

    def wrote(self, context: Context, call: Call) -> None:
        """After a write the answer may be another."""
        forget(self, context, RESULT)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Rounds per severity, different arguments, and the window."""
        levels = self.limits.little if track.notes else self.limits.rounds
        return {**levels.as_dict(), "distinct": self.limits.distinct, "window": self.limits.window}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        distinct = len(track.distinct)
        different = f"{distinct} or more" if distinct == MOST_DISTINCT else str(distinct)
        return (
            f"{track.tool} gave the same result {track.count} times{over(track.end - track.start)} for "
            f"{different} different sets of arguments; the answer does not depend on the question, "
            "so see whether the tool is broken or these calls do nothing"
        )
