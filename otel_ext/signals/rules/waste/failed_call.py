"""waste.failed_call: a failure that was part of no loop, told once and softly.

Law of this file: it is always a notice, never an alarm, and it speaks last: only when its lane ends (or its
key is evicted) is it certain that no `loop.error_*` finding claims the call. One finding for each tool and
failure of a lane. Its waste leaves the first occurrence out, like everybody's: a failure that was met once
is information.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, claimed, find, identity, keep
from otel_ext.signals.findings.explain import quoted
from otel_ext.signals.hears import ERROR, Hears
from otel_ext.signals.lane.tracks import Episode, Track
from otel_ext.signals.rule import Call, Context, Limits, Rule, key_of

FAILED: Final = "OTX-W007/failed"
"""Table: one tool's failures of one kind."""


class FailedCall(Rule[Limits]):
    """Failures that waiting would not have mended and that no loop owns."""

    id = "OTX-W007"
    signal = "waste.failed_call"
    react = (
        "See whether the tool's description tells the agent how to call it, and whether the failure says "
        "what to do."
    )
    guards = (
        "failures that waiting mends are left out",
        "a failure that is part of a loop belongs to the loop's finding",
        "one finding for each tool and failure of an agent, always a notice",
    )
    origin = "Products show failed spans one by one; ours tells them once an agent, with what they cost."
    per_turn = False
    counts = False
    hears = Hears(after=ERROR)

    def call(self, context: Context, call: Call) -> None:
        """Remember a failure; note when the tool works again."""
        step = call.step
        if not step.error:
            failed = context.lane.tables.get(FAILED)
            for track in failed.values() if failed else ():
                if isinstance(track, Track) and track.tool == call.tool:
                    track.recovered = True
            return
        if step.transient:
            return
        # A failure without a fingerprint equals no other one but that of the same call.
        key = key_of(call.tool, step.error_hash or step.arguments_hash or step.span_id)
        track = find(context, FAILED, key) or keep(self, context, FAILED, key, Track(tool=call.tool))
        track.recovered = False
        add(context, FAILED, key, track, call, each=True)

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak for what nobody else owns."""
        free = [mark for mark in track.marks if not claimed(context, mark.span_id)]
        if not free:
            return
        if len(free) < len(track.marks):
            # What the others own has been priced there, and the first that is left was met once.
            track.ledger = track.whole = None
            free[0].counted = True
        track.count -= len(track.marks) - len(free)
        track.marks = free
        track.start, track.end = free[0].start, max(mark.end for mark in free)
        track.episode = Episode(identity(context.lane, table, key, track), 0, "notice", "confirmed", 0)

    def thresholds(self, track: Track) -> dict[str, int]:
        """One failure is enough."""
        return {"notice": 1}

    def missing(self, context: Context, track: Track) -> list[str]:
        """Arguments and failure text, where they were not captured."""
        absent = {"arguments": track.arguments_hash, "error": track.error_hash}
        return [name for name, digest in absent.items() if digest is None]

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        times = "once" if track.count == 1 else f"{track.count} times"
        after = " before it worked again" if track.recovered else ""
        return (
            f"{track.tool} failed {times}{after}{quoted(track.error_text)}; see whether its description "
            "and this message tell the agent what to do instead"
        )
