"""waste.subsumed_read: a part of what was read already.

Law of this file: only lines that were returned before are called read. A whole reading counts as all lines
only while its result is so short that no tool would have cut it.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, again, close, drop, forget
from otel_ext.signals.findings.last import speak_last
from otel_ext.signals.hears import WRITE, Hears
from otel_ext.signals.lane.tracks import NO_NOTES, Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.step import Effect

RANGES: Final = "OTX-W002/ranges"
"""Table: one resource; `notes` are its read intervals, first and last line of 8 bytes each."""

MOST_RANGES: Final = 16
"""Intervals remembered of one resource."""

_END: Final = (1 << 63) - 1
_READ, _UNKNOWN = Effect.READ, Effect.UNKNOWN


class SubsumedReadLimits(Limits, frozen=True):
    """When reading a part again is waste.

    Attributes:
        repeats: readings of parts that were read before.
        whole: bytes of a result up to which a reading without a range is taken for the whole thing.
    """

    repeats: int = 1
    whole: int = 16_000


class SubsumedRead(Rule[SubsumedReadLimits]):
    """A range of a resource that lies in what the lane has read of it, nothing written to it since."""

    id = "OTX-W002"
    signal = "waste.subsumed_read"
    react = "Tell the agent that it has these lines already, or let it read larger parts at a time."
    guards = (
        "needs a resource and line numbers in the arguments",
        "a whole reading whose result may have been cut covers nothing",
        "a write to the resource or to nobody knows what, a call of unknown effect, a user turn or a "
        "compaction in between excuse it",
        "the very same call again is waste.redundant_read",
    )
    origin = (
        "veyyon refuses a range that is in the context and unchanged, inside the agent; ours tells it "
        "from telemetry, over several ranges."
    )
    hears = Hears(skips=WRITE)

    def call(self, context: Context, call: Call) -> None:
        """Count a range that is known; remember one that is not."""
        step, subject = call.step, call.step.subject
        if step.effect is _UNKNOWN:
            self._forget(context, None)
            return
        if step.effect is not _READ or step.error or not call.key or step.result_hash is None:
            return
        if subject is None or subject.resource is None:
            return
        asked = (max(0, subject.first), subject.last if subject.last >= 0 else _END)
        got = asked[1] < _END or 0 < step.result_size <= self.limits.whole
        notes = (_packed(asked),) if got else NO_NOTES
        track = again(self, context, RANGES, subject.resource, call, notes=notes)
        if track is None:
            return
        if context.lane.contexts.dropped > track.round:
            close(self, context, RANGES, subject.resource, "recovered")
            again(self, context, RANGES, subject.resource, call, notes=notes)
        elif subject.first >= 0 and _covered(track.notes, asked):
            if step.arguments_hash not in track.distinct:
                add(context, RANGES, subject.resource, track, call)
        else:
            track.notes = [*track.notes, *notes][-MOST_RANGES:]

    def wrote(self, context: Context, call: Call) -> None:
        """Forget the resource, or all of them when the write does not say what it wrote to."""
        subject = call.step.subject
        self._forget(context, subject.resource if subject is not None else None)

    def _forget(self, context: Context, resource: bytes | None) -> None:
        ranges = context.lane.tables.get(RANGES)
        if not ranges:
            return
        if resource is None:
            forget(self, context, RANGES)
        elif resource in ranges:
            drop(self, context, RANGES, resource, "recovered")

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak for what no loop owns."""
        if track.count > self.limits.repeats > 0:
            speak_last(context, table, key, track, least=self.limits.repeats, confidence="probable")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Readings, the first included."""
        return {"notice": self.limits.repeats + 1, "whole": self.limits.whole}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        times = "once more" if track.count == 2 else f"{track.count - 1} times more"
        return (
            f"{track.tool} was asked {times} for lines that the agent had read already, and nothing was "
            "written to them since; let it read larger parts at a time"
        )


def _covered(known: list[bytes], asked: tuple[int, int]) -> bool:
    """Whether the union of the intervals holds all that was asked for."""
    here = asked[0]
    for first, last in sorted(map(_plain, known)):
        if first > here:
            return False
        if last >= asked[1]:
            return True
        here = max(here, last + 1)
    return False


def _packed(asked: tuple[int, int]) -> bytes:
    return min(asked[0], _END).to_bytes(8, "big") + min(asked[1], _END).to_bytes(8, "big")


def _plain(packed: bytes) -> tuple[int, int]:
    return int.from_bytes(packed[:8], "big"), int.from_bytes(packed[8:], "big")
