"""loop.monologue: the model talks on, and does nothing.

Law of this file: a candidate and no more. Planning, reviewing and writing are done by talking; only an agent
that stays open, was asked nothing new and calls nothing may be stuck.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Context, Limits, Rule, evidence
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

TALK: Final = "OTX-L019/talk"
"""Table: answers in a row without a call; one key a lane."""

_KEY: Final = b"talk"


class MonologueLimits(Limits, frozen=True):
    """From how many answers without a call on it may be a loop.

    Attributes:
        answers: answers in a row for one reason to stop, without a call and without a user turn.
    """

    answers: Levels = Levels(notice=3)


class Monologue(Rule[MonologueLimits]):
    """Several answers in a row of a running agent call nothing, and nobody spoke to it between."""

    id = "OTX-L019"
    signal = "loop.monologue"
    react: ClassVar[str] = "See whether the agent knows which tools it has, and how it says that it is done."
    guards: ClassVar[tuple[str, ...]] = (
        "only inside a known agent whose inputs tell of user turns",
        "a call, a user turn or another reason to stop begins anew",
        "an answer that asks for a call, or holds code to run, is no talk",
    )
    origin: ClassVar[str] = "OpenHands' monologue rule asks for equal messages; ours for none that acts."

    def model(self, context: Context, step: Step) -> None:
        """Count an answer that does nothing."""
        said, lane = step.said, context.lane
        track = find(context, TALK, _KEY)
        acts = said is None or not said.words or said.code is not None or bool(step.issued)
        same = track is not None and said is not None and track.notes[0] == said.finish.encode()
        if track is not None and (acts or not same or track.epoch != lane.calls):
            close(self, context, TALK, _KEY, "recovered")
            track = None
        if acts or said is None or step.user_turns is None:
            return
        if track is None:
            fresh = Track(tool="", epoch=lane.calls, notes=[said.finish.encode()])
            track = keep(self, context, TALK, _KEY, fresh)
        if add(context, TALK, _KEY, track, evidence(context, step)):
            self._tell(context, track)

    def ended(self, context: Context, status: Status) -> None:
        """Only now an agent may be known as one whose span came last."""
        track = find(context, TALK, _KEY)
        if track is not None and status != "evicted":
            self._tell(context, track)

    def _tell(self, context: Context, track: Track) -> None:
        severity = self.limits.answers.severity(track.count)
        if context.lane.span_id in context.trace.agents:
            advance(self, context, TALK, _KEY, track, severity=severity, confidence="candidate")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Answers per severity."""
        return self.limits.answers.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"The model answered {track.count} times in a row{over(track.end - track.start)} without calling "
            "a tool; see whether it knows its tools and how to say that it is done"
        )
