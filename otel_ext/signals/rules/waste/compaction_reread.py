"""waste.compaction_reread: reading again what a compaction of the context dropped.

Law of this file: the agent is right to ask, so this is the compaction's cost and not the agent's. Beside
`waste.redundant_read` on purpose, whose memory of results it shares; without that rule it is silent.
"""

from typing import Final

import msgspec

from otel_ext.signals.episodes import add, find, keep, put
from otel_ext.signals.lanes import Track
from otel_ext.signals.last import speak_last
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.rules.waste.redundant_read import READ, dropped

AGAIN: Final = "OTX-W003/again"
"""Table: one reading call, as last read before a compaction and as read after it."""


class CompactionRereadLimits(Limits, frozen=True):
    """When reading again after a compaction is told.

    Attributes:
        repeats: readings of one thing that a compaction made necessary.
    """

    repeats: int = 1


class CompactionReread(Rule[CompactionRereadLimits]):
    """The same read with the same result, the earlier one dropped by a compaction of the context."""

    id = "OTX-W003"
    signal = "waste.compaction_reread"
    react = (
        "Let the compaction keep what the agent still works with (file names with their state, or the files "
        "themselves), or compact later."
    )
    guards = (
        "a compaction is only seen where the model's input tokens are reported",
        "a side call with a small prompt is not taken for one",
        "the guards of waste.redundant_read",
    )
    origin = "openclaw and others guard against loops after a compaction; nobody prices the reading itself."

    def call(self, context: Context, call: Call) -> None:
        """Count a read whose earlier result was dropped; runs before `waste.redundant_read` forgets it."""
        known = context.lane.tables.get(READ, {}).get(call.key) if call.key else None
        if known is None or call.step.error or known.value != call.step.result_hash:
            return
        if dropped(context.lane) <= known.round:
            return
        track = find(context, AGAIN, call.key)
        if track is None:
            track = keep(self, context, AGAIN, call.key, Track(tool=call.tool, value=known.value))
            before = msgspec.structs.replace(known.marks[-1], counted=True, owned=False)
            put(context, track, before)
            track.epoch = known.round
        add(context, AGAIN, call.key, track, call)

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak for what no loop owns, now that a smaller input is known to have been a compaction."""
        if context.lane.contexts.compacted > track.epoch and track.count > self.limits.repeats > 0:
            speak_last(context, table, key, track, least=self.limits.repeats)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Readings, the one before the compaction included."""
        return {"notice": self.limits.repeats + 1}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        times = "again" if track.count == 2 else f"{track.count - 1} times again"
        return (
            f"{track.tool} read the same {times} because a compaction had dropped it from the context; let "
            "the "
            "compaction keep what the agent still needs"
        )
