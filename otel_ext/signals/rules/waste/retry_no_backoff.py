"""waste.retry_no_backoff: trying again at once what only waiting mends.

Law of this file: it is about a habit, so it is told once a tool and last, for the attempts that no storm and
no loop owns, and a success in the end does not excuse it.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, find, keep
from otel_ext.signals.findings.explain import lasting
from otel_ext.signals.findings.last import speak_last
from otel_ext.signals.hears import KEYED, TRANSIENT, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import SECOND

RETRIES: Final = "OTX-W009/retries"
"""Table: one tool; `notes` are its newest transient failures: the call's key and its end."""

NEWEST: Final = 4
"""Failing calls of one tool that may still be retried."""


class RetryNoBackoffLimits(Limits, frozen=True):
    """When retries are too quick.

    Attributes:
        retries: quick retries of one tool's calls.
        gap: ns between the end of a failure and the next attempt below which it is quick.
    """

    retries: int = 3
    gap: int = SECOND


class RetryNoBackoff(Rule[RetryNoBackoffLimits]):
    """The same call made again within a second after a failure that waiting mends, several times a tool.

    What Retry-After asked for is in no telemetry, so a second is taken for everybody.
    """

    id = "OTX-W009"
    signal = "waste.retry_no_backoff"
    costs = "the retries"
    react = "Put a wait between attempts: exponential with jitter, or what Retry-After asks for."
    guards = (
        "only retries of the very same call count",
        "overlapping calls are a fan-out",
        "attempts that a storm or a loop owns are left to it",
    )
    origin = (
        "RFC 9110 (Retry-After) and the usual advice on back-off; no product in our comparison checks it."
    )
    hears = Hears(KEYED, after=TRANSIENT)

    def call(self, context: Context, call: Call) -> None:
        """Count an attempt that came too soon after its predecessor's failure."""
        step = call.step
        if not call.key or not (step.transient or RETRIES in context.lane.tables):
            return
        key = call.tool.encode("utf-8", "surrogatepass")
        track = find(context, RETRIES, key)
        if track is None:
            if not step.transient:
                return
            track = keep(self, context, RETRIES, key, Track(tool=call.tool))
        for note in track.notes:
            if note[:-8] != call.key:
                continue
            if 0 <= step.start - int.from_bytes(note[-8:], "big") < self.limits.gap:
                add(context, RETRIES, key, track, call, each=True)
            track.notes = [other for other in track.notes if other != note]
            break
        if step.transient and step.end > 0:
            ended = call.key + min(step.end, (1 << 63) - 1).to_bytes(8, "big")
            track.notes = [*track.notes[1 - NEWEST :], ended]

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak for what nobody else owns."""
        if track.count >= self.limits.retries > 0:
            speak_last(context, table, key, track, least=self.limits.retries, first=False)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Quick retries, and what is quick."""
        return {"notice": self.limits.retries, "gap": self.limits.gap}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tool} was tried again within {lasting(self.limits.gap)} {track.count} times after "
            "a failure that only waiting mends; wait between the attempts"
        )
