"""loop.state_oscillation: a file is changed, changed back, and changed again.

Law of this file: what counts is the file's content, whole or as edits add up, and a return to a content that
it had before. One return is a decision taken back; two are none.
"""

from typing import Final

from otel_ext.signals.calls.written import NO_CHANGE, together
from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.finding import Confidence
from otel_ext.signals.hears import ABOUT, DONE, WRITE, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels
from otel_ext.step import Effect

PATH: Final = "OTX-L013/path"
"""Table: one file; its notes are its newest contents, the newest last."""

KEPT: Final = 4
"""Contents of a file that are remembered."""

_WRITE = Effect.WRITE


class StateOscillationLimits(Limits, frozen=True):
    """When going back is going round.

    Attributes:
        returns: writes that brought a file back to a content which it had before, in a row.
    """

    returns: Levels = Levels(warning=2, error=5)


class StateOscillation(Rule[StateOscillationLimits]):
    """A file that goes A, B, A, B: each write returns it to a content that it had a few writes before."""

    id = "OTX-L013"
    signal = "loop.state_oscillation"
    react = (
        "The agent undoes its own work: have it say which of the versions it wants and why, then check it."
    )
    guards = (
        "one return is allowed: a deliberate revert",
        "a content that is new starts anew",
        "a write that changes nothing is no return",
    )
    origin = "agentloopguard-sdk and OpenClaw name oscillation of calls; ours is of contents."
    hears = Hears(ABOUT | DONE | WRITE)

    def call(self, context: Context, call: Call) -> None:
        """Follow the content of the file that a call wrote."""
        step, subject = call.step, call.step.subject
        if step.effect is not _WRITE or step.error or subject is None:
            return
        path, content = subject.resource, subject.content
        if path is None or subject.unchanged:
            return
        track = find(context, PATH, path)
        if content is None:
            if track is not None:
                close(self, context, PATH, path, "recovered")  # what it holds now is not known
            return
        if track is None:
            track = keep(self, context, PATH, path, Track(tool=call.tool, vague=subject.partial))
            if subject.partial:
                track.notes = [NO_CHANGE]  # whatever it was before
        states = track.notes
        now = together(states[-1], content) if subject.partial else content
        if states and now == states[-1]:
            return
        if now not in states:
            if track.count:
                close(self, context, PATH, path, "recovered")
                track = keep(self, context, PATH, path, Track(tool=call.tool, vague=track.vague))
            track.notes = [*states, now][-KEPT:]
            return
        track.notes = [*states, now][-KEPT:]
        if add(context, PATH, path, track, call):
            severity = self.limits.returns.severity(track.count)
            confidence: Confidence = "probable" if track.vague else "confirmed"
            advance(self, context, PATH, path, track, severity=severity, confidence=confidence)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Returns per severity."""
        return self.limits.returns.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tool} brought one file back to what it was before {track.count} times"
            f"{over(track.end - track.start)}; have the agent decide which version it wants"
        )
