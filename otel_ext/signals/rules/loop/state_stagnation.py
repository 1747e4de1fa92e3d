"""loop.state_stagnation: actions that leave the app's state as it was.

Law of this file: it believes only the app. A span of a tool call may carry `otel_ext.state.digest`, any text
that is equal for equal states (a page's, a board's, a workspace's digest) after the call; no known
instrumentation reports one by itself, and without it the rule is silent.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.hears import STATED, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.rules.loop.exact_repeat import is_poll
from otel_ext.signals.settings import Levels
from otel_ext.step import Effect

STATE: Final = "OTX-L014/state"
"""Table: the app's state since it last changed."""

_READ = Effect.READ


class StateStagnationLimits(Limits, frozen=True):
    """When actions that change nothing are a loop.

    Attributes:
        rounds: rounds of actions (no reads, polls or waits) after each of which the state was the same.
    """

    rounds: Levels = Levels(warning=5, error=10)


class StateStagnation(Rule[StateStagnationLimits]):
    """The app reports the same state after each of several actions."""

    id = "OTX-L014"
    signal = "loop.state_stagnation"
    react = "The agent's actions do not reach the app: look at what they target, or have it plan anew."
    guards = (
        "only states that the app itself reports",
        "reads, polls and waits do not count",
        "a state that changes, and a user turn, start anew",
    )
    origin = "browser-use (page fingerprint unchanged 5 times); ours takes any app's digest from its spans."
    hears = Hears(STATED)

    def call(self, context: Context, call: Call) -> None:
        """Compare the state after this call with the one before."""
        step = call.step
        if step.state is None:
            return
        track = find(context, STATE, b"")
        if track is not None and track.value != step.state:
            close(self, context, STATE, b"", "recovered")
            track = None
        if track is None:
            keep(self, context, STATE, b"", Track(tool=call.tool, value=step.state))
            return  # what the state was before this call is not known, or it was another
        if step.effect is _READ or is_poll(call):
            return
        if add(context, STATE, b"", track, call):
            track.tool = call.tool
            severity = self.limits.rounds.severity(track.count)
            advance(self, context, STATE, b"", track, severity=severity, confidence="confirmed")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Rounds per severity."""
        return self.limits.rounds.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.count} actions in a row{over(track.end - track.start)} (the last was {track.tool}) left "
            "the app's state as it was; look at what they target, or have the agent plan anew"
        )
