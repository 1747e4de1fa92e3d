"""waste.cache_write_unread: prompts are written to the cache, at a surcharge, and never read from it.

Law of this file: only a next call of the same model shows whether a write was read, so the last write of a
lane is never counted.
"""

from typing import Final

from otel_ext.signals.findings.episodes import advance, close, find, keep, put
from otel_ext.signals.hears import CACHED, DONE, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.usage import per_token, price_of, reported
from otel_ext.signals.lane.waste import Mark
from otel_ext.signals.rule import Context, Limits, Rule
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

WRITES: Final = "OTX-W012/writes"
"""Table: one model; `notes` hold its newest write: tokens, start, end, round, span id."""


class CacheWriteUnreadLimits(Limits, frozen=True):
    """When writes to the cache are waste.

    Attributes:
        writes: writes in a row of which nothing was read.
        least: tokens below which a write is not looked at.
    """

    writes: Levels = Levels(notice=2)
    least: int = 1024


class CacheWriteUnread(Rule[CacheWriteUnreadLimits]):
    """Calls of one model that each write to the prompt cache while none reads from it."""

    id = "OTX-W012"
    signal = "waste.cache_write_unread"
    costs = "the writes"
    react = (
        "Move the cache mark behind what stays equal from call to call, or do not write to the cache here."
    )
    guards = (
        "any read from the cache starts anew",
        "the lane's last write is not counted: nobody could have read it",
        "needs the tokens written to and read from the cache",
    )
    origin = (
        "From the providers' price lists, where a write costs more than plain input; no product in our "
        "comparison tells it."
    )
    per_turn = False
    hears_model = Hears(CACHED | DONE)

    def model(self, context: Context, step: Step) -> None:
        """See whether the write before was read; remember this one's."""
        created, cached = reported(step.created_tokens), reported(step.cached_tokens)
        if step.error or (created < 0 and cached < 0):
            return
        key = step.name.encode("utf-8", "surrogatepass")
        track = find(context, WRITES, key)
        if cached > 0:
            if track is not None:
                close(self, context, WRITES, key, "recovered")
            return
        if created < max(1, self.limits.least):
            return  # a small prompt, which need not be cached, says nothing of the others
        track = track or keep(self, context, WRITES, key, Track(tool=""))
        if track.notes:
            put(context, track, self._mark(context, step.name, track.notes))
            severity = self.limits.writes.severity(track.count)
            advance(self, context, WRITES, key, track, severity=severity, confidence="confirmed")
        times = (created, max(0, step.start), max(0, step.start, step.end))
        packed = [min(number, (1 << 63) - 1).to_bytes(8, "big") for number in times]
        track.notes = [*packed, context.lane.rounds.recent[-1].number.to_bytes(8, "big"), step.span_id]

    def _mark(self, context: Context, model: str, notes: list[bytes]) -> Mark:
        tokens, start, end, number = (int.from_bytes(note, "big") for note in notes[:4])
        price, cost = price_of(context.settings, model), -1
        if price is not None and price.created is not None:
            cost = tokens * max(0, per_token(price.created) - per_token(price.input))
        return Mark(notes[4], start, end, number, tokens, cost=cost, measured=True, turn=True)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Writes in a row, and their tokens."""
        return {**self.limits.writes.as_dict(), "least": self.limits.least}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.count} calls of the model in a row wrote to the prompt cache and none read from it; "
            "move the cache mark behind what stays equal, or do not write"
        )
