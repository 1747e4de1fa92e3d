"""termination.silent_tool_error: a call failed, and its span says that it went well.

Law of this file: the failure is unmistakable in the result (`conventions.failures`), and nothing on the span
marks it: whoever counts failed spans does not see it.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, find, held, keep
from otel_ext.signals.findings.explain import quoted
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.hears import UNMARKED, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels

SILENT: Final = "OTX-T006/silent"
"""Table: a tool's failures that its spans do not mark."""


class SilentToolErrorLimits(Limits, frozen=True):
    """From how many silent failures on it is told.

    Attributes:
        calls: failed calls of one tool in a lane whose spans are not marked as failed.
    """

    calls: Levels = Levels(notice=1, warning=3)


class SilentToolError(Rule[SilentToolErrorLimits]):
    """Calls of a tool returned an unmistakable error, and their spans are not marked as failed."""

    id = "OTX-T006"
    signal = "termination.silent_tool_error"
    react: ClassVar[str] = (
        "Have the tool, or its wrapper, set the span's status: dashboards count these as good."
    )
    guards: ClassVar[tuple[str, ...]] = (
        "only results that are an error as a whole; the word alone, in a log or a page, says nothing",
        "told at the lane's end, once for a tool",
    )
    origin: ClassVar[str] = (
        "OpenInference sets OK for every call that returned; evaluators find it by a model."
    )
    per_turn = False
    counts = False
    owns = False
    hears = Hears(UNMARKED)

    def call(self, context: Context, call: Call) -> None:
        """Note a failure that the span does not mark."""
        if call.step.unmarked:
            key = call.tool.encode("utf-8", "surrogatepass")
            track = find(context, SILENT, key) or keep(self, context, SILENT, key, Track(tool=call.tool))
            add(context, SILENT, key, track, call, each=True)

    def ended(self, context: Context, status: Status) -> None:
        """Speak for each tool."""
        if status == "evicted":
            return
        for key, track in held(context.lane, SILENT):
            severity = self.limits.calls.severity(track.count)
            advance(self, context, SILENT, key, track, severity=severity, confidence="confirmed")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Calls per severity."""
        return self.limits.calls.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        times = "once" if track.count == 1 else f"{track.count} times"
        return (
            f"{track.tool} returned an error {times}{quoted(track.error_text)} in a span that says it went "
            "well; have it set the status"
        )
