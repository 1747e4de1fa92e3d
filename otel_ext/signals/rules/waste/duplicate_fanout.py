"""waste.duplicate_fanout: one response asks for the same call twice.

Law of this file: sampling is no duplicate; calls whose results differ were worth making. A call that is made
again because it failed is a retry and not a fan-out.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, again, close, find
from otel_ext.signals.findings.last import speak_last
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.step import Effect

ROUND: Final = "OTX-W004/round"
"""Table: the calls of the round that is open; the newest call id stands in `notes`."""

_READ, _UNKNOWN = Effect.READ, Effect.UNKNOWN


class DuplicateFanoutLimits(Limits, frozen=True):
    """When equal calls of one round are waste.

    Attributes:
        calls: equal calls of one round.
        sampling: names of tools that are meant to be asked several times (best of n, votes).
    """

    calls: int = 2
    sampling: tuple[str, ...] = ()


class DuplicateFanout(Rule[DuplicateFanoutLimits]):
    """The same tool and arguments several times in one round of a lane, with the same result."""

    id = "OTX-W004"
    signal = "waste.duplicate_fanout"
    react = "Drop equal calls of one response before they run, and give each the one result."
    guards = (
        "results that differ are samples, and so are the tools named in `sampling`",
        "a call that failed and was made again is a retry",
        "polls, writes and exempt tools are left to other rules",
    )
    origin = (
        "OpenRouter, qwen-code and crush count equal calls of one turn once in their loop rules; ours "
        "tells them as well."
    )

    def call(self, context: Context, call: Call) -> None:
        """Count equal calls of the round that is open; those of older rounds are done with."""
        step, number = call.step, call.round.number
        if tracks := context.lane.tables.get(ROUND):
            for key, old in list(tracks.items()):
                if isinstance(old, Track):
                    if old.round != number:
                        close(self, context, ROUND, key, "persisted")
                elif old[0].mark.round != number:
                    del tracks[key]
        if step.effect not in (_READ, _UNKNOWN) or not call.key or call.tool in self.limits.sampling:
            return
        tracks = context.lane.tables.get(ROUND)
        if not tracks or call.key not in tracks:
            if not step.error and not step.waiting:
                value, notes = step.result_hash or b"", (step.call_id.encode()[:64],)
                again(self, context, ROUND, call.key, call, value=value, notes=notes)
            return
        track = find(context, ROUND, call.key)
        assert track is not None
        told = bool(step.call_id) and step.call_id.encode()[:64] in track.notes
        if step.error or told:
            return
        if track.value != (step.result_hash or b""):
            track.recovered = True  # samples
        track.notes = [*track.notes[-7:], step.call_id.encode()[:64]]
        add(context, ROUND, call.key, track, call, each=True)

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak for what no loop owns."""
        if not track.recovered and track.count >= self.limits.calls > 1:
            known = bool(track.value) and b"" not in track.notes
            speak_last(context, table, key, track, confidence="confirmed" if known else "probable")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Equal calls of one round."""
        return {"notice": self.limits.calls}

    def missing(self, context: Context, track: Track) -> list[str]:
        """Results or call ids, where they were not captured."""
        return [*([] if track.value else ["result"]), *(["call id"] if b"" in track.notes else [])]

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"One response of the model asked {track.count} times for the same call of {track.tool}; run it "
            "once and give its result to all of them"
        )
