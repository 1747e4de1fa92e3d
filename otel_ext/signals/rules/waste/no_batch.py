"""waste.no_batch: one call a turn where one turn could have asked for all of them.

Law of this file: whether a call needed the result before it cannot be seen, so this is never more than a
candidate. Exploring before the first change is how work begins, and pages must come one after the other.
"""

from typing import Final

from otel_ext.signals.calls.classify import own_name
from otel_ext.signals.calls.words import SHELLS
from otel_ext.signals.findings.episodes import add, close, find, held, keep
from otel_ext.signals.findings.last import speak_last
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.step import Effect, Step

ROW: Final = "OTX-W017/row"
"""Table: the tool of the row that is open."""

BEGUN: Final = "OTX-W017/begun"
"""Ring: not empty once the agent did something else than read."""

_READ = Effect.READ


class NoBatchLimits(Limits, frozen=True):
    """When single calls are told.

    Attributes:
        rounds: rounds in a row, each with one call of the same tool and other arguments.
    """

    rounds: int = 5


class NoBatch(Rule[NoBatchLimits]):
    """The same reading tool, once a round, round after round, with other arguments each time."""

    id = "OTX-W017"
    signal = "waste.no_batch"
    costs = "the single turns"
    react = "Let the agent ask for several at once, or give the tool a list."
    guards = (
        "reading before the first other call is exploration",
        "pages, polls and shells are left alone",
        "only where model calls are seen, and each asked for one call",
        "never more than a candidate: a call may need the one before",
    )
    origin = "cheasee-pi advises on it; ours leaves out exploration and pages, and stays a candidate."

    def call(self, context: Context, call: Call) -> None:
        """Lengthen the row or begin a new one."""
        step, at = call.step, call.round
        if not self._fits(context, step, call):
            if step.effect is not _READ:
                context.lane.rings[BEGUN] = [b"1"]
            self._drop(context, "recovered")
            return
        if not context.lane.rings.get(BEGUN) or not context.lane.rounds.modelled:
            return
        key = call.tool.encode("utf-8", "surrogatepass")
        track = find(context, ROW, key)
        if track is None:
            self._drop(context, "recovered")
            track = keep(self, context, ROW, key, Track(tool=call.tool))
        elif at.number == track.round or step.arguments_hash in track.distinct:
            self._drop(context, "recovered")
            return
        add(context, ROW, key, track, call)

    def _fits(self, context: Context, step: Step, call: Call) -> bool:
        if step.effect is not _READ or step.error or step.waiting or not call.key:
            return False
        paged = step.subject is not None and step.subject.page >= 0
        return not paged and len(call.round.issued) <= 1 and own_name(call.tool) not in SHELLS

    def _drop(self, context: Context, status: str) -> None:
        if ROW in context.lane.tables:
            for key, _ in held(context.lane, ROW):
                close(self, context, ROW, key, "recovered")

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak for a row that no loop owns."""
        if track.count >= self.limits.rounds > 0:
            least = self.limits.rounds - 1
            speak_last(context, table, key, track, least=least, confidence="candidate")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Rounds in a row."""
        return {"notice": self.limits.rounds}

    def missing(self, context: Context, track: Track) -> list[str]:
        """What would make it sure."""
        return ["dependence of the calls"]

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.count} turns in a row each made one call of {track.tool}; where they do not need one "
            "another, let the agent ask for them at once"
        )
