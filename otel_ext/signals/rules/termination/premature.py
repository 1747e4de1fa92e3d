"""termination.premature: the agent ended although its last check had failed.

Law of this file: a notice. Whether the failure was meant to stay (a test that shows a bug) telemetry does not
tell.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.explain import quoted
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.hears import CHECKS, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule

FAILED: Final = "OTX-T002/failed"
"""Table: the newest check, when it failed; one key a lane."""

_KEY: Final = b"failed"


class Premature(Rule[Limits]):
    """An agent ended without a failure of its own, and the last test or build that it ran had failed."""

    id = "OTX-T002"
    signal = "termination.premature"
    react: ClassVar[str] = (
        "Look whether the answer says that the check fails; let the agent end by a passing one."
    )
    guards: ClassVar[tuple[str, ...]] = (
        "only the newest check counts, and only calls that are known to check",
        "an agent that failed itself did not end too early, it failed",
    )
    origin: ClassVar[str] = "MAST's FM-3.1 (premature termination) is found there by reading."
    per_turn = False
    owns = False
    hears = Hears(CHECKS)

    def call(self, context: Context, call: Call) -> None:
        """Note how a check went."""
        if call.step.subject is None or not call.step.subject.verifies:
            return
        if find(context, FAILED, _KEY) is not None:
            close(self, context, FAILED, _KEY, "recovered")
        if call.step.error:
            track = keep(self, context, FAILED, _KEY, Track(tool=call.tool))
            add(context, FAILED, _KEY, track, call)

    def ended(self, context: Context, status: Status) -> None:
        """Speak for the newest check."""
        track = find(context, FAILED, _KEY)
        if track is not None and status == "persisted":
            advance(self, context, FAILED, _KEY, track, severity="notice", confidence="candidate")

    def thresholds(self, track: Track) -> dict[str, int]:
        """One check is enough."""
        return {"notice": 1}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"The agent ended although its last check by {track.tool} had failed{quoted(track.error_text)}; "
            "see whether its answer says so"
        )
