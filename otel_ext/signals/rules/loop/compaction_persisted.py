"""loop.compaction_persisted: after its history was made smaller, the agent goes on as before.

Law of this file: a compaction takes results away, so reading one of them again is right, once. The same
call with the same result as before, three times in the rounds right after it: the agent is where it was.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, advance, close, find, held, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.lane.periods import outcome_of
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.rules.loop.exact_repeat import is_poll
from otel_ext.signals.settings import Levels

SAME: Final = "OTX-L027/same"
"""Table: one call with its result, after a compaction."""

NEWEST: Final = "OTX-L027/newest"
"""Ring: the newest calls, each its round and its symbol."""

BEFORE: Final = "OTX-L027/before"
"""Ring: the compaction's round, then the symbols of the newest calls before it."""

KEPT: Final = 8
"""Calls before a compaction that are remembered."""


class CompactionPersistedLimits(Limits, frozen=True):
    """When a compaction did not help.

    Attributes:
        rounds: rounds after it with the same call and the same result as before it.
        within: rounds after it that are looked at.
    """

    rounds: Levels = Levels(warning=3, error=6)
    within: int = 12


class CompactionPersisted(Rule[CompactionPersistedLimits]):
    """The same (tool, arguments, result) as before a compaction, three times right after it."""

    id = "OTX-L027"
    signal = "loop.compaction_persisted"
    react = "Compacting again will not help: stop the agent, or give it what the summary left out."
    guards = (
        "a compaction is seen in the model's usage: its input halved and stayed small",
        "one re-read after it is expected, and two do not speak yet",
        "a result that changed, or a write between, is progress",
    )
    origin = "OpenClaw's guard after a compaction (3 identical calls); ours needs no mark of the agent."

    def call(self, context: Context, call: Call) -> None:
        """Remember a call; after a compaction compare it with those before."""
        step, rings = call.step, context.lane.rings
        compacted = context.lane.contexts.compacted
        if compacted:
            self._learn(context, compacted)
        if step.error or step.result_hash is None or step.arguments_hash is None or is_poll(call):
            return
        mine, number = outcome_of(call), call.round.number
        if (newest := rings.get(NEWEST)) is None:
            newest = rings[NEWEST] = []
        newest.append(number.to_bytes(8, "big") + mine)
        del newest[: -2 * KEPT]  # a compaction is known a round late
        before = rings.get(BEFORE)
        if not before or not compacted <= number <= compacted + self.limits.within or mine not in before:
            return
        track = find(context, SAME, mine)
        if track is None:
            track = keep(self, context, SAME, mine, Track(tool=call.tool, value=mine))
        if add(context, SAME, mine, track, call):
            severity = self.limits.rounds.severity(track.count)
            advance(self, context, SAME, mine, track, severity=severity, confidence="confirmed")

    def _learn(self, context: Context, compacted: int) -> None:
        rings, round_of = context.lane.rings, compacted.to_bytes(8, "big")
        if (old := rings.get(BEFORE)) and old[0] == round_of:
            return
        earlier = [each[8:] for each in rings.get(NEWEST, []) if each[:8] < round_of]
        rings[BEFORE] = [round_of, *earlier[-KEPT:]]
        for key, _ in held(context.lane, SAME):
            close(self, context, SAME, key, "persisted")

    def wrote(self, context: Context, call: Call) -> None:
        """A write is progress."""
        for key, _ in held(context.lane, SAME):
            close(self, context, SAME, key, "recovered")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Rounds per severity, and how many are looked at."""
        return {**self.limits.rounds.as_dict(), "within": self.limits.within}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"After its history was compacted the agent called {track.tool} {track.count} times"
            f"{over(track.end - track.start)} as before, with the same result; compacting again will not "
            "help, so give it what it misses, or stop it"
        )
