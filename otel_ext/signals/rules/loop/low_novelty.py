"""loop.low_novelty: most of what an agent does lately it has done before, with the same outcome.

Law of this file: it is about calls with their outcomes, so a call that brings something new is new; it speaks
only while nothing is written, and only of what no surer rule tells. It never alarms.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, claimed, close, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.last import last_word
from otel_ext.signals.hears import KEYED, POLLS, Hears
from otel_ext.signals.lane.periods import outcome_of
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.rules.loop.exact_repeat import is_poll
from otel_ext.step import Effect

RECENT: Final = "OTX-L009/recent"
"""Ring: the newest calls since the last write, by call and outcome."""

SPANS: Final = "OTX-L009/spans"
"""Ring: their span ids, each with its round."""

OLD: Final = "OTX-L009/old"
"""Table: the calls that were nothing new."""

_WRITE = Effect.WRITE


class LowNoveltyLimits(Limits, frozen=True):
    """When too little is new.

    Attributes:
        novel: percent of the window's calls that are different ones; below it there is a finding.
        window: calls that are looked back at.
        least: calls in the window before anything is said.
    """

    novel: int = 40
    window: int = 30
    least: int = 24


class LowNovelty(Rule[LowNoveltyLimits]):
    """Of the newest thirty calls without a write fewer than 40 % differ in call or outcome."""

    id = "OTX-L009"
    signal = "loop.low_novelty"
    react = "Look at what the agent goes over again and again; a stronger model or a fresh plan may help."
    guards = (
        "a new outcome makes a call new",
        "any successful write starts anew",
        "polls are left out, and equal calls of one model response count once",
        "silent where other findings own half of the window",
        "never an alarm",
    )
    origin = "weave router (distinct calls / calls < .4 of 30, no write); ours counts outcomes too."
    hears = Hears(KEYED, skips=POLLS)

    def call(self, context: Context, call: Call) -> None:
        """Count a call that is nothing new."""
        step, rings, limits = call.step, context.lane.rings, self.limits
        if step.arguments_hash is None or is_poll(call) or (step.effect is _WRITE and not step.error):
            return
        mine, most = outcome_of(call), limits.window
        ring, spans = rings.setdefault(RECENT, []), rings.setdefault(SPANS, [])
        old, at = mine in ring, call.round.number.to_bytes(8, "big")
        if old and any(one == mine and span.endswith(at) for one, span in zip(ring, spans, strict=True)):
            return  # a fan-out counts once
        ring.append(mine)
        spans.append(step.span_id + at)
        if len(ring) > most:
            del ring[:-most], spans[:-most]
        track = find(context, OLD, b"")
        if old:
            if track is None:
                track = keep(self, context, OLD, b"", Track(tool=call.tool))
            if add(context, OLD, b"", track, call):
                track.vague = track.vague or (step.error_hash or step.result_hash) is None
                track.marks[-1].counted = False  # its first occurrence is in the window, and not in the track
        if track is None or len(ring) < limits.least:
            return
        low = 100 * len(set(ring)) < limits.novel * len(ring)
        if not low and track.score:
            close(self, context, OLD, b"", "recovered")
        elif low and 2 * sum(claimed(context, each[:-8]) for each in spans) < len(ring):
            track.score = 1

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak last, for what no surer rule has told."""
        if track.score:
            last_word(context, table, key, track, "candidate" if track.vague else "probable")

    def wrote(self, context: Context, call: Call) -> None:
        """Start anew."""
        context.lane.rings.pop(RECENT, None)
        context.lane.rings.pop(SPANS, None)
        if find(context, OLD, b"") is not None:
            close(self, context, OLD, b"", "recovered")

    def missing(self, context: Context, track: Track) -> list[str]:
        """Results, where one of them was not captured."""
        return ["result"] if track.vague else []

    def thresholds(self, track: Track) -> dict[str, int]:
        """Percent, window, and calls needed."""
        return {"novel": self.limits.novel, "window": self.limits.window, "least": self.limits.least}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.count} calls{over(track.end - track.start)} repeated earlier ones with the same outcome "
            "and little else was done; see what the agent is missing"
        )
