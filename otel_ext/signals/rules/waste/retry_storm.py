"""waste.retry_storm: failure upon failure of something that only waiting mends.

Law of this file: one target, one failure after the other. Different targets that time out are bad luck, calls
made at the same time are a fan-out, and who waits longer each time gets twice the patience.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, advance, close, find, held, keep
from otel_ext.signals.findings.explain import over, quoted
from otel_ext.signals.hears import ERROR, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule, evidence, key_of
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

TARGET: Final = "OTX-W008/target"
"""Table: one target: a tool and the thing it names, a tool and its failure, or a model."""

MODEL: Final = "\0model"
"""What stands in place of a tool's name for a model."""


class RetryStormLimits(Limits, frozen=True):
    """When failures that waiting mends are a storm.

    Attributes:
        failures: in a row, of one target.
        patience: the thresholds are taken so many times where the waits grow.
    """

    failures: Levels = Levels(warning=3)
    patience: int = 2


class RetryStorm(Rule[RetryStormLimits]):
    """Transient failures (429, 408, 5xx, timeouts, resets, locks) of one target in a row, a tool or a model.

    The target is the tool with the thing that it names; where it names none, the tool with the failure.
    """

    id = "OTX-W008"
    signal = "waste.retry_storm"
    costs = "the retries"
    react = (
        "Wait longer between the attempts (exponentially, or as Retry-After says), cap them, and tell the "
        "agent "
        "that the service is down instead of letting it try on."
    )
    guards = (
        "failures that a programming error explains are not transient",
        "a success or another failure of the target ends it",
        "calls that overlap are a fan-out and count once",
        "growing waits double the threshold",
        "six failures of the very same call are loop.error_repeat's",
    )
    origin = (
        "SpanProof knows three 429 or 5xx in a row; ours asks for one target, counts calls at once as "
        "one, and knows growing waits and failing models."
    )
    hears = Hears(after=ERROR)
    hears_model = Hears(after=ERROR)

    def call(self, context: Context, call: Call) -> None:
        """Count a failing call; a success clears its tool."""
        step = call.step
        if not step.error:
            if TARGET in context.lane.tables:
                self._clear(context, call.tool, _about(step))
            return
        if not step.transient:
            self._clear(context, call.tool, _about(step))
        elif step.error_hash is not None:
            self._count(context, key_of(call.tool, _about(step) or step.error_hash), call)

    def model(self, context: Context, step: Step) -> None:
        """The same for a model."""
        if not step.error:
            if TARGET in context.lane.tables:
                self._clear(context, MODEL, b"")
        elif step.transient:
            self._count(context, key_of(MODEL, b""), evidence(context, step))

    def _count(self, context: Context, key: bytes, call: Call) -> None:
        step = call.step
        track = find(context, TARGET, key)
        if track is None:
            tool = call.tool or MODEL
            track = keep(self, context, TARGET, key, Track(tool=call.tool, notes=[tool.encode()]))
            track.value = _about(step) or b""
        elif step.start < track.end:
            return
        add(context, TARGET, key, track, call, each=True)
        factor = self.limits.patience if _grows(track) else 1
        severity = self.limits.failures.severity(track.count, factor)
        advance(self, context, TARGET, key, track, severity=severity, confidence="confirmed")

    def _clear(self, context: Context, tool: str, about: bytes | None) -> None:
        name = tool.encode("utf-8", "surrogatepass")
        for key, track in held(context.lane, TARGET):
            if name in track.notes and (not track.value or not about or track.value == about):
                close(self, context, TARGET, key, "recovered")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Failures per severity, already multiplied where the waits grow."""
        factor = self.limits.patience if _grows(track) else 1
        return {name: least * factor for name, least in self.limits.failures.as_dict().items()}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        grown = "with growing waits" if _grows(track) else "without longer and longer waits"
        return (
            f"{track.tool or 'the model'} failed {track.count} times in a row{over(track.end - track.start)} "
            f"{grown}{quoted(track.error_text, 'the last ')}; cap the attempts and tell the agent that the "
            "service is down"
        )


def _about(step: Step) -> bytes | None:
    return step.subject.resource if step.subject is not None else None


def _grows(track: Track) -> bool:
    """Whether most waits were longer than the one before."""
    return track.count > 2 and track.grew * 2 > track.count - 2
