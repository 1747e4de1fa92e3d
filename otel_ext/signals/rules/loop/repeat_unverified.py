"""loop.repeat_unverified: the same call over and over, whose results were not captured.

Law of this file: a result that nobody saw may have changed each time, so this is a candidate, never more.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, advance, claimed, close, find, held, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.hears import DONE, KEYED, POLLS, UNTOLD, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.rules.loop.exact_repeat import is_poll

SAME: Final = "OTX-L002/same"
"""Table: one call, results unknown."""

RECENT: Final = "OTX-L002/recent"
"""Ring: the newest rounds' calls, by arguments."""


class RepeatUnverifiedLimits(Limits, frozen=True):
    """When repeating a call without a known result is worth a look.

    Attributes:
        consecutive: rounds in a row.
        within: rounds among the last `window`.
        window: how many rounds are looked back at.
    """

    consecutive: int = 5
    within: int = 8
    window: int = 30


class RepeatUnverified(Rule[RepeatUnverifiedLimits]):
    """The same (tool, arguments) five rounds in a row, or eight of the last thirty, results not captured."""

    id = "OTX-L002"
    signal = "loop.repeat_unverified"
    react = "Capture the tool's results, so that it can be told whether the repeats bring anything new."
    guards = (
        "arguments were captured",
        "polls are left out",
        "failures are left out",
        "a write by another call and a user turn start anew",
        "never an alarm",
    )
    origin = "Most agents' own guards (opencode, Roo, goose, qwen-code) judge so; ours calls it a candidate."
    hears = Hears(DONE | KEYED, skips=POLLS, after=UNTOLD)

    def call(self, context: Context, call: Call) -> None:
        """Count a call without a result."""
        step, rings = call.step, context.lane.rings
        if step.arguments_hash is None or step.error or is_poll(call):
            return
        ring = rings.get(RECENT)
        if step.result_hash is not None:
            if ring:
                self._note(ring, step.arguments_hash)
            return
        track = find(context, SAME, call.key)
        if track is None:
            track = keep(self, context, SAME, call.key, Track(tool=call.tool))
        if not add(context, SAME, call.key, track, call):
            return
        ring = rings.setdefault(RECENT, [])
        self._note(ring, step.arguments_hash)
        row = 0
        for digest in reversed(ring):
            if digest != step.arguments_hash:
                break
            row += 1
        limits, often = self.limits, ring.count(step.arguments_hash)
        enough = (limits.consecutive and row >= limits.consecutive) or (
            limits.within and often >= limits.within
        )
        if track.episode is not None or (enough and not claimed(context, step.span_id)):
            advance(self, context, SAME, call.key, track, severity="notice", confidence="candidate")

    def _note(self, ring: list[bytes], digest: bytes) -> None:
        ring.append(digest)
        del ring[: -self.limits.window]

    def wrote(self, context: Context, call: Call) -> None:
        """After a write it is worth asking again."""
        context.lane.rings.pop(RECENT, None)
        for key, _ in held(context.lane, SAME):
            if key != call.key:
                close(self, context, SAME, key, "recovered")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Rounds in a row, rounds in the window, the window."""
        limits = self.limits
        return {"consecutive": limits.consecutive, "within": limits.within, "window": limits.window}

    def missing(self, context: Context, track: Track) -> list[str]:
        """The results."""
        return ["result"]

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tool} was called {track.count} times{over(track.end - track.start)} with the same "
            "arguments, results unknown; capture the results to see whether anything changed"
        )
