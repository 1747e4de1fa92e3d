"""behavior.no_verification: files were changed, and nobody looked whether it works.

Law of this file: a notice of what was not seen, no more: the check may have been made elsewhere.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.hears import ABOUT, WRITE, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels
from otel_ext.step import Effect

WRITES: Final = "OTX-B001/writes"
"""Table: writes to files since the newest check; one key a lane."""

_KEY: Final = b"writes"
_WRITE = Effect.WRITE


class NoVerificationLimits(Limits, frozen=True):
    """How many writes want a check.

    Attributes:
        writes: successful writes to files after which the agent ended without a check.
    """

    writes: Levels = Levels(notice=3)


class NoVerification(Rule[NoVerificationLimits]):
    """An agent ended after several writes to files without a test, build, linter or type check after them."""

    id = "OTX-B001"
    signal = "behavior.no_verification"
    react: ClassVar[str] = "Tell the agent how its work is checked, and that it has to be."
    guards: ClassVar[tuple[str, ...]] = (
        "any test, build, linter or type check after the writes, be it a failing one, is a check",
        "writes that name no file (orders, messages) want none",
        "told at the agent's end only",
    )
    origin: ClassVar[str] = "MAST's FM-3.2 (no or incomplete verification) is found there by reading."
    per_turn = False
    owns = False
    hears = Hears(ABOUT, after=WRITE)

    def call(self, context: Context, call: Call) -> None:
        """Count a write; a check begins anew."""
        subject = call.step.subject
        if subject is None:
            return
        track = find(context, WRITES, _KEY)
        if subject.verifies:
            if track is not None:
                close(self, context, WRITES, _KEY, "recovered")
        elif call.step.effect is _WRITE and not call.step.error and subject.resource is not None:
            if track is None:
                track = keep(self, context, WRITES, _KEY, Track(tool=call.tool))
            add(context, WRITES, _KEY, track, call, each=True)

    def ended(self, context: Context, status: Status) -> None:
        """Speak for what was never checked."""
        track = find(context, WRITES, _KEY)
        if track is not None and status != "evicted":
            severity = self.limits.writes.severity(track.count)
            advance(self, context, WRITES, _KEY, track, severity=severity, confidence="candidate")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Writes per severity."""
        return self.limits.writes.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"The agent ended after {track.count} writes to files, and no test, build, linter or type check "
            "followed them; check them, and tell the agent how its work is checked"
        )
