"""loop.handoff_ping_pong: two agents send the work back and forth, and it does not change.

Law of this file: planner and executor take turns by design. It is a loop only when each of the two is given
(or gives) the very same each time; where neither is known, it is a candidate.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.finding import Confidence
from otel_ext.signals.hears import DONE, HANDOFF, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import LONGEST_NAME, Call, Context, Limits, Rule, evidence
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

TURNS: Final = "OTX-L022/turns"
"""Table: the newest turns of agents; tools: whose turn it was, newest two; notes: what each was given."""

_KEY: Final = b"turns"


class HandoffPingPongLimits(Limits, frozen=True):
    """From how many returns on it is a loop.

    Attributes:
        cycles: times that both agents had their turn in a row (A, B, A, B is two).
    """

    cycles: Levels = Levels(warning=3, error=6)


class HandoffPingPong(Rule[HandoffPingPongLimits]):
    """Two agents of one trace take turns, each with the same task (or answer) as in its turn before."""

    id = "OTX-L022"
    signal = "loop.handoff_ping_pong"
    react: ClassVar[str] = "Give one of the two the right to end the work, or tell each what the other lacks."
    guards: ClassVar[tuple[str, ...]] = (
        "another task or answer of either agent is progress and begins anew",
        "a third agent between begins anew",
        "where tasks and answers were not captured it is a candidate",
    )
    origin: ClassVar[str] = (
        "Strands' swarm limits repetitive hand-overs by agents' names alone; MAST finds such loops by "
        "reading."
    )
    hears = Hears(DONE | HANDOFF)

    def call(self, context: Context, call: Call) -> None:
        """A hand-over by a call within one lane."""
        if call.step.handoff and not call.step.error:
            self._turn(context, call, call.step.handoff, call.step.arguments_hash)

    def agent_ended(self, context: Context, step: Step) -> None:
        """An agent's run is a turn of it, in the trace's own lane."""
        given = step.task or (step.said.hash if step.said is not None else None)
        self._turn(context, evidence(context, step), step.agent_name or step.name, given, each=True)

    def _turn(
        self, context: Context, call: Call, agent: str, given: bytes | None, *, each: bool = False
    ) -> None:
        agent, told = agent[:LONGEST_NAME], given or b""
        track = find(context, TURNS, _KEY)
        if track is not None and len(track.tools) == 2:
            if track.tools[0] != agent or track.notes[0] != told:
                close(self, context, TURNS, _KEY, "recovered")
                track = None
            else:
                track.tools.append(track.tools.pop(0))
                track.notes.append(track.notes.pop(0))
        elif track is not None and track.tools[0] != agent:
            track.tools.append(agent)
            track.notes.append(told)
        elif track is not None:
            close(self, context, TURNS, _KEY, "recovered")
            track = None
        if track is None:
            fresh = Track(tool="", tools=[agent], notes=[told])
            track = keep(self, context, TURNS, _KEY, fresh)
        if add(context, TURNS, _KEY, track, call, each=each):
            confidence: Confidence = "confirmed" if all(track.notes) else "candidate"
            severity = self.limits.cycles.severity(track.count // 2)
            advance(self, context, TURNS, _KEY, track, severity=severity, confidence=confidence)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Cycles per severity."""
        return self.limits.cycles.as_dict()

    def missing(self, context: Context, track: Track) -> list[str]:
        """Tasks and answers, where a turn had neither."""
        return [] if all(track.notes) else ["task"]

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{' and '.join(sorted(track.tools))} handed the work to each other {track.count} times"
            f"{over(track.end - track.start)} and the task did not change; give one of them the right "
            "to end it"
        )
