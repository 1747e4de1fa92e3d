"""loop.error_variants: the arguments change, the failure does not.

Law of this file: what `loop.error_repeat` owns stays its own; such calls count here and are shown, but their
cost is not counted twice. Failures that waiting mends never count. On TRAIL this raised recall from .44 to
.59 at unchanged precision, because the arguments of a failing call mutate (`{"": ""}`, `{"": {}}`,
`{"arguments": {}}`).
"""

from typing import Final

from otel_ext.signals.findings.episodes import (
    MOST_DISTINCT,
    add,
    advance,
    claimed,
    close,
    differ,
    find,
    held,
    keep,
)
from otel_ext.signals.findings.explain import over, quoted
from otel_ext.signals.hears import ERROR, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule, key_of
from otel_ext.signals.rules.loop.error_repeat import SAME
from otel_ext.signals.settings import Levels, Severity
from otel_ext.step import Step

TOOL: Final = "OTX-L004/tool"
"""Table: one tool, one failure, several arguments."""

ACROSS: Final = "OTX-L004/across"
"""Table: one failure over several tools; also the ring of the newest failures."""


class ErrorVariantsLimits(Limits, frozen=True):
    """When failures that are alike are a loop although the calls differ.

    Attributes:
        rounds: rounds in which one tool failed alike with two or more sets of arguments.
        across: failures alike among the last `across_window`, over two or more tools.
        across_window: how many failures of a lane are looked back at.
    """

    rounds: Levels = Levels(warning=3)
    across: Levels = Levels(warning=5)
    across_window: int = 6


class ErrorVariants(Rule[ErrorVariantsLimits]):
    """One tool failing alike for different arguments, or different tools failing alike."""

    id = "OTX-L004"
    signal = "loop.error_variants"
    react = (
        "Changing the arguments does not help: show the agent what the tool takes. Where several tools fail "
        "alike, mend what they share (a session, a permission, a path)."
    )
    guards = (
        "a success of the tool halves what was counted",
        "failures that waiting mends, or that say nothing, never count",
        "one missing path after another is exploration, at most a notice",
        "digits are not blurred: test_0 and test_1 are different failures",
        "what loop.error_repeat owns is not counted twice",
    )
    origin = (
        "Roo Code and Cline count mistakes in a row, StuckGuard one tool's failures. Ours compares the "
        "failures' fingerprints, from which the call's own arguments are taken out, within a tool and "
        "across tools."
    )
    per_turn = False
    hears = Hears(after=ERROR)

    def call(self, context: Context, call: Call) -> None:
        """Count a failure; a success of a tool halves what was counted against it."""
        step = call.step
        if not step.error:
            self._succeeded(context, call)
            return
        if step.transient or step.vague or step.error_hash is None or not call.key:
            return
        self._tool(context, call, key_of(call.tool, step.error_hash))
        self._across(context, call, step.error_hash)

    def _tool(self, context: Context, call: Call, key: bytes) -> None:
        track = find(context, TOOL, key)
        if track is None:
            track = keep(self, context, TOOL, key, Track(tool=call.tool, value=call.step.error_hash or b""))
        if not add(context, TOOL, key, track, call):
            differ(track, call.step.arguments_hash or b"")
            return
        track.score += 1
        severity = self._severity(self.limits.rounds, track, call.step)
        if len(track.distinct) < 2 or (track.episode is None and self._told(context, call)):
            return
        advance(self, context, TOOL, key, track, severity=severity, confidence="probable")

    def _severity(self, levels: Levels, track: Track, step: Step) -> Severity | None:
        if step.absent and step.absent not in track.absent and len(track.absent) < MOST_DISTINCT:
            track.absent.append(step.absent)
        severity = levels.severity(track.score)
        # One missing path after another: the agent explores.
        explores = len(track.absent) >= min(track.count, MOST_DISTINCT)
        return "notice" if severity is not None and explores else severity

    def _told(self, context: Context, call: Call) -> bool:
        # An alarm about this very call is on; the variants before it would add noise, not news.
        repeat = find(context, SAME, call.key)
        return repeat is not None and repeat.episode is not None and repeat.episode.severity != "notice"

    def _across(self, context: Context, call: Call, failure: bytes) -> None:
        ring = context.lane.rings.setdefault(ACROSS, [])
        ring.append(failure)
        del ring[: -self.limits.across_window]
        for key in list(context.lane.tables.get(ACROSS, ())):
            if key not in ring:
                close(self, context, ACROSS, key, "recovered")
        track = find(context, ACROSS, failure)
        if track is None:
            track = keep(self, context, ACROSS, failure, Track(tool=call.tool, value=failure))
        if call.tool not in track.tools and len(track.tools) < MOST_DISTINCT:
            track.tools.append(call.tool)
        if track.episode is None and claimed(context, call.step.span_id):
            return  # told already, but its tool counts towards "several tools"
        if not add(context, ACROSS, failure, track, call):
            return
        track.score = ring.count(failure)
        severity = self._severity(self.limits.across, track, call.step)
        if len(track.tools) >= 2:
            advance(self, context, ACROSS, failure, track, severity=severity, confidence="probable")

    def _succeeded(self, context: Context, call: Call) -> None:
        tables = context.lane.tables
        for key, track in held(context.lane, TOOL) if tables.get(TOOL) else ():
            if track.tool == call.tool:
                track.score //= 2
                if not track.score or (track.episode is not None and track.score < 2):
                    track.recovered = True
                    close(self, context, TOOL, key, "recovered", by=call)
        ring = context.lane.rings.get(ACROSS)
        if ring:
            ring.pop(0)  # five of the last six failures, but not over a whole healthy run
            for key in [*tables[ACROSS]] if tables.get(ACROSS) else ():
                if key not in ring:
                    close(self, context, ACROSS, key, "recovered")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Rounds per severity, and the window of the second form."""
        across = {f"across_{name}": least for name, least in self.limits.across.as_dict().items()}
        return {**self.limits.rounds.as_dict(), **across, "window": self.limits.across_window}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        alike = f"{over(track.end - track.start)} with the same error{quoted(track.error_text, 'the last ')}"
        if track.tools:
            return (
                f"{track.count} calls of {len(track.tools)} different tools failed{alike}; the cause lies "
                "outside the tools, so look at what they share"
            )
        # Calls of one turn count once, so there may be more sets of arguments than counts.
        times = f"{track.count} times" if track.count >= len(track.distinct) else f"in {track.count} turns"
        advice = (
            "then a call of it did not fail, so see what that one did otherwise"
            if track.recovered
            else "changing the arguments does not help, so show the agent what the tool takes or remove it"
        )
        return f"{track.tool} failed {times}{alike} for {len(track.distinct)} sets of arguments; {advice}"
