"""waste.post_completion: going on after the final answer.

Law of this file: a final answer is a successful call of a tool whose name says so; then only a user may ask
for more. Told when the lane has ended and is known to be one agent's: several agents in one lane answer one
after the other.
"""

from typing import Final

from otel_ext.signals.calls.classify import own_name
from otel_ext.signals.calls.words import words
from otel_ext.signals.findings.episodes import add, find, keep
from otel_ext.signals.findings.last import speak_last
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule, evidence
from otel_ext.step import Effect, Step

AFTER: Final = "OTX-W020/after"
"""Table: one entry, what came after the final answer."""

FINAL: Final = words(
    "attempt_completion complete_task done final_answer finish return_final_answer submit_final_answer "
    "task_complete task_done"
)
"""Whole names of tools that end a run."""

_KEY: Final = b"final"
_WRITE = Effect.WRITE


class PostCompletionLimits(Limits, frozen=True):
    """When work after the final answer is told.

    Attributes:
        steps: model turns and calls after it.
    """

    steps: int = 2


class PostCompletion(Rule[PostCompletionLimits]):
    """Model turns and tool calls in an agent's lane after its final answer, without a user asking."""

    id = "OTX-W020"
    signal = "waste.post_completion"
    costs = "the steps after it"
    react = "End the loop of the agent when its final tool returns."
    guards = (
        "the final call must have succeeded",
        "calls of the same round came with it",
        "writes may be cleaning up",
        "a user turn begins anew",
        "the lane must be known to be an agent's",
    )
    origin = (
        "MAST (arXiv 2503.13657) finds agents unaware of termination in 12 % of runs, by reading; ours "
        "is a rule."
    )
    counts = False

    def call(self, context: Context, call: Call) -> None:
        """Begin at the final answer; count what follows."""
        step = call.step
        track = find(context, AFTER, _KEY) if AFTER in context.lane.tables else None
        if track is not None:
            if call.round.number != track.round and step.effect is not _WRITE:
                track.score += 1
                add(context, AFTER, _KEY, track, call, each=True)
        elif not step.error and own_name(call.tool) in FINAL:
            track = keep(self, context, AFTER, _KEY, Track(tool=call.tool))
            add(context, AFTER, _KEY, track, call)

    def model(self, context: Context, step: Step) -> None:
        """Count a model turn after the final answer."""
        if AFTER in context.lane.tables and (track := find(context, AFTER, _KEY)) is not None:
            add(context, AFTER, _KEY, track, evidence(context, step), each=True)
            track.round = -1  # the calls of this turn count as well

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak when the lane is one agent's."""
        if context.lane.span_id in context.trace.agents and track.count > self.limits.steps > 0:
            speak_last(context, table, key, track, least=self.limits.steps)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Steps after the final answer."""
        return {"notice": self.limits.steps}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"The agent went on for {track.count - 1} steps after its final answer by {track.tool}; end its "
            "loop when that tool returns"
        )
