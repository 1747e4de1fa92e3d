"""waste.redundant_read: asking again for what is still in the context, and getting the same.

Law of this file: equal arguments alone are no waste, an equal result is what makes them so; and what may have
changed the thing in between (a write, a call of unknown effect, a person, time) makes asking again right.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, again, close, forget
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.last import speak_last
from otel_ext.signals.hears import WRITE, Hears
from otel_ext.signals.lane.tracks import NO_NOTES, Track, notes_of
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import MINUTE
from otel_ext.step import Effect

READ: Final = "OTX-W001/read"
"""Table: one reading call and its newest result; what it is about stands first in `notes`."""

_READ, _UNKNOWN = Effect.READ, Effect.UNKNOWN


class RedundantReadLimits(Limits, frozen=True):
    """When reading again is waste.

    Attributes:
        repeats: readings after the first.
        within: ns; after so long asking again is right, whatever comes back.
    """

    repeats: int = 1
    within: int = 10 * MINUTE


class RedundantRead(Rule[RedundantReadLimits]):
    """The same read with the same result, while the earlier result still is in the context.

    Told when it is certain that no loop claims the calls: at the latest when the lane ends.
    """

    id = "OTX-W001"
    signal = "waste.redundant_read"
    react = (
        "Keep results where the agent finds them again, or let the tool answer that nothing changed; a cache "
        "in front of the tool saves its time but not the model's turn."
    )
    guards = (
        "the result must be equal, byte for byte",
        "a write in between excuses it, unless both name different things",
        "a call of unknown effect, a user turn, a compaction or ten minutes in between excuse it",
        "calls that a loop owns are left to the loop",
    )
    origin = (
        "Sentry's detector of redundant tool calls compares results and looks for writes, New Relic "
        "preflight counts re-reads without either; ours adds user turns, compactions, and what is still "
        "in the context."
    )
    hears = Hears(skips=WRITE)

    def call(self, context: Context, call: Call) -> None:
        """Count a read that returns what it returned before."""
        step = call.step
        if step.effect is _UNKNOWN:
            if context.lane.tables.get(READ):
                forget(self, context, READ)
            return
        if step.effect is not _READ or step.error or step.waiting or not call.key or not step.result_hash:
            return
        notes = NO_NOTES
        if step.subject is not None and step.subject.resource is not None:
            notes = (step.subject.resource,)
        track = again(self, context, READ, call.key, call, value=step.result_hash, notes=notes)
        if track is not None and not self._fresh(context, track, call):
            close(self, context, READ, call.key, "recovered")
            track = again(self, context, READ, call.key, call, value=step.result_hash, notes=notes)
        if track is not None:
            add(context, READ, call.key, track, call)

    def _fresh(self, context: Context, track: Track, call: Call) -> bool:
        within = 0 <= call.step.start - track.last <= self.limits.within
        return within and context.lane.contexts.dropped <= track.round

    def wrote(self, context: Context, call: Call) -> None:
        """Forget what the write may have changed."""
        subject = call.step.subject
        written = subject.resource if subject is not None else None
        reads = context.lane.tables.get(READ, {})
        others = (
            {key for key, kept in reads.items() if notes_of(kept) and written not in notes_of(kept)}
            if written is not None
            else ()
        )
        forget(self, context, READ, but=others)

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak for what no loop owns."""
        if track.count > self.limits.repeats > 0:
            speak_last(context, table, key, track, least=self.limits.repeats)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Repeats, and how long a result counts as known."""
        return {"notice": self.limits.repeats + 1, "within": self.limits.within}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tool} was asked {track.count} times{over(track.end - track.start)} for the same and "
            "returned the same, with nothing in between that could have changed it; let the agent use the "
            "result that it has"
        )
