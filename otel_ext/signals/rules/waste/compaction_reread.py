"""waste.compaction_reread: reading again what a compaction of the context dropped.

Law of this file: the agent is right to ask, so this is the compaction's cost and not the agent's. What looks
like a compaction may be a side call until the model step after it, so it is told last, when that is known.
"""

from struct import Struct
from typing import Final

from otel_ext.signals.findings.episodes import add, find, keep, put
from otel_ext.signals.findings.last import speak_last
from otel_ext.signals.hears import DONE, KEYED, READ, TOLD, Hears
from otel_ext.signals.lane.periods import outcome_of
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.waste import Mark
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.step import Effect

AGAIN: Final = "OTX-W003/again"
"""Table: one reading call, as last read before a compaction and as read after it."""

READS: Final = "OTX-W003/reads"
"""Ring: the newest reads, by what was read and its result."""

WHEN: Final = "OTX-W003/when"
"""Ring: of each its round, its times and its span."""

_WHEN: Final = Struct(">QQQ")
_LATEST: Final = (1 << 63) - 1

_READ = Effect.READ


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
        "the result must be equal, byte for byte",
        "a user turn in between excuses it",
    )
    origin = "fak splits its meter of re-reads by cause, compaction among them; ours prices them."
    hears = Hears(DONE | KEYED | READ | TOLD)

    def call(self, context: Context, call: Call) -> None:
        """Remember a read; count one whose earlier result may have been dropped."""
        step = call.step
        if step.effect is not _READ or step.error or not call.key or step.result_hash is None:
            return
        same, rings, number = outcome_of(call), context.lane.rings, call.round.number
        ring, when = rings.setdefault(READS, []), rings.setdefault(WHEN, [])
        if same in ring:
            at = ring.index(same)
            del ring[at]
            before = when.pop(at)
            if int.from_bytes(before[:8], "big") < context.lane.contexts.dropped:
                self._again(context, call, before)
        start, end = max(0, step.start), max(0, step.start, step.end)
        ring.append(same)
        when.append(_WHEN.pack(number, min(start, _LATEST), min(end, _LATEST)) + step.span_id)
        if len(ring) > context.settings.keys:
            del ring[0], when[0]

    def _again(self, context: Context, call: Call, before: bytes) -> None:
        track = find(context, AGAIN, call.key)
        if track is None:
            track = keep(self, context, AGAIN, call.key, Track(tool=call.tool))
            number, start, end = _WHEN.unpack(before[:24])
            put(context, track, Mark(before[24:], start, end, number, counted=True, owned=False))
            track.epoch = number
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
            "the compaction keep what the agent still needs"
        )
