"""waste.cache_bust: a prompt that was in the cache is paid for in full again.

Law of this file: usage says so, nothing else. A provider that does not report cache reads of a call says
nothing about it, and whatever ends a cache by itself (time, another model, a compaction) is no bust.
"""

from typing import Final

from otel_ext.signals.findings.episodes import advance, find, keep, put
from otel_ext.signals.hears import CACHED, DONE, USED, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.usage import per_token, price_of, reported
from otel_ext.signals.lane.waste import Mark
from otel_ext.signals.rule import Context, Limits, Rule
from otel_ext.signals.settings import MINUTE, Levels
from otel_ext.step import Step

BUST: Final = "OTX-W011/bust"
"""Table: one model; `numbers` hold its newest call: tokens in, tokens read from the cache, end, round."""


class CacheBustLimits(Limits, frozen=True):
    """When a cache was lost.

    Attributes:
        times: losses in one lane.
        drop: points of per cent by which the cached share of the input falls.
        within: ns; after so long a cache has gone by itself.
        least: cached tokens that must have been lost.
    """

    times: Levels = Levels(notice=1)
    drop: int = 50
    within: int = 5 * MINUTE
    least: int = 1024


class CacheBust(Rule[CacheBustLimits]):
    """The share of the input that is read from the cache falls, although the input only grew."""

    id = "OTX-W011"
    signal = "waste.cache_bust"
    costs = "this"
    react = (
        "Look for what changes at the front of the prompt from call to call: a time, an id, the order of "
        "tools, "
        "an edited history."
    )
    guards = (
        "the same model, at most five minutes after the call before",
        "an input that shrank is a side call or a compaction",
        "cache reads must be reported for both calls",
    )
    origin = (
        '"Don\'t Break the Cache" (arXiv 2601.06007) measures what it costs; no product in our '
        "comparison tells it per call."
    )
    per_turn = False
    hears_model = Hears(CACHED | DONE | USED)

    def model(self, context: Context, step: Step) -> None:
        """Compare a call's cache with that of the call before."""
        given, cached = reported(step.input_tokens), reported(step.cached_tokens)
        if given <= 0 or cached < 0 or step.error:
            return
        key = step.name.encode("utf-8", "surrogatepass")
        track = find(context, BUST, key) or keep(self, context, BUST, key, Track(tool=""))
        at = context.lane.rounds.recent[-1].number
        if track.numbers:
            before, held, end, last = track.numbers
            fresh = 0 <= step.start - end <= self.limits.within and context.lane.contexts.compacted <= last
            if fresh and given < before:
                return  # a side call: the chain goes on from what came before it
            if fresh and self._lost(given, cached, before, held):
                put(context, track, self._mark(context, step, held - cached))
                severity = self.limits.times.severity(track.count)
                advance(self, context, BUST, key, track, severity=severity, confidence="probable")
        ends = min(max(step.start, step.end, 0), (1 << 63) - 1)
        track.numbers = [given, min(cached, given), ends, at]

    def _lost(self, given: int, cached: int, before: int, held: int) -> bool:
        dropped = held * 100 // before - cached * 100 // given
        return dropped >= self.limits.drop > 0 and held - cached >= self.limits.least

    def _mark(self, context: Context, step: Step, lost: int) -> Mark:
        price, cost = price_of(context.settings, step.name), -1
        if price is not None and price.cached is not None:
            cost = lost * max(0, per_token(price.input) - per_token(price.cached))
        number, start = context.lane.rounds.recent[-1].number, step.start
        return Mark(step.span_id, start, start, number, lost, cost=cost, measured=True, turn=True)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Losses, points of per cent, time and tokens."""
        limits = self.limits
        return {**limits.times.as_dict(), "drop": limits.drop, "within": limits.within, "least": limits.least}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        what = "A model call" if track.count == 1 else f"{track.count} model calls"
        return (
            f"{what} paid in full for input that the call before had read from the cache, and that did "
            "not get shorter; look for what changes at the front of the prompt from call to call"
        )
