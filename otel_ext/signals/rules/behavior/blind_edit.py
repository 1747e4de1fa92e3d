"""behavior.blind_edit: one file is edited over and over, and never looked at between.

Law of this file: a notice. An edit whose result shows the file is a look at it, which telemetry does not
tell.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, held, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.hears import ABOUT, DONE, WRITE, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels
from otel_ext.step import Effect

EDITS: Final = "OTX-B002/edits"
"""Table: a file's edits since it was last looked at; recovered: enough of them, and then a look."""

_WRITE = Effect.WRITE


class BlindEditLimits(Limits, frozen=True):
    """How many edits want a look.

    Attributes:
        edits: successful edits of one file in a row, without a read of it and without a check between.
    """

    edits: Levels = Levels(notice=3)


class BlindEdit(Rule[BlindEditLimits]):
    """One file was edited several times and neither read nor tested or built between the edits."""

    id = "OTX-B002"
    signal = "behavior.blind_edit"
    react: ClassVar[str] = "Have the agent read a file again before it edits it a third time."
    guards: ClassVar[tuple[str, ...]] = (
        "a read of the file, a check or a question about any place looks at it",
        "told at the agent's end, once for a file, with the edits up to the next look at it",
    )
    origin: ClassVar[str] = "SWE-agent's linter guard is the remedy; no peer tells the behaviour."
    per_turn = False
    owns = False
    hears = Hears(ABOUT | DONE, after=WRITE)

    def call(self, context: Context, call: Call) -> None:
        """Count an edit; a look at the file begins anew."""
        step, subject = call.step, call.step.subject
        if subject is None or step.error:
            return
        if subject.verifies:
            for key in list(context.lane.tables.get(EDITS, ())):
                self._looked(context, key)
        if subject.resource is None:
            return
        if step.effect is not _WRITE:
            self._looked(context, subject.resource)
            return
        track = find(context, EDITS, subject.resource)
        if track is not None and track.recovered:
            return  # what is told are the edits up to the look
        if track is None:
            track = keep(self, context, EDITS, subject.resource, Track(tool=call.tool))
        add(context, EDITS, subject.resource, track, call, each=True)

    def _looked(self, context: Context, key: bytes) -> None:
        tracks = context.lane.tables.get(EDITS)
        track = tracks.get(key) if tracks else None
        if not isinstance(track, Track):
            return
        if self.limits.edits.severity(track.count) is None:
            close(self, context, EDITS, key, "recovered")
        track.recovered = True

    def ended(self, context: Context, status: Status) -> None:
        """Speak for each file."""
        if status == "evicted":
            return
        for key, track in held(context.lane, EDITS):
            severity = self.limits.edits.severity(track.count)
            advance(self, context, EDITS, key, track, severity=severity, confidence="candidate")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Edits per severity."""
        return self.limits.edits.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"One file was edited {track.count} times{over(track.end - track.start)} and neither read nor "
            "checked between; have the agent read it before it edits it again"
        )
