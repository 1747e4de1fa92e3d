"""waste.retry_amplification: retries inside of retries multiply.

Law of this file: it needs both layers: two or more failing calls, each with two or more failing calls inside
of it. Either layer alone is a retry like any other.
"""

from collections import Counter
from typing import Final

from otel_ext.signals.findings.episodes import add, advance, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.hears import ERROR, TRANSIENT, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule, evidence
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

FAILED: Final = "OTX-W010/failed"
"""Ring: the newest transient failures: span id, parent id, tool; also the table of what was told, by tool."""

NEWEST: Final = 32
"""Failures that are looked back at."""


class RetryAmplificationLimits(Limits, frozen=True):
    """When nested retries are told.

    Attributes:
        attempts: inner attempts in all, over two or more outer ones.
    """

    attempts: Levels = Levels(notice=6)


class RetryAmplification(Rule[RetryAmplificationLimits]):
    """A failing call that is retried, each time with failing calls inside of it that are retried as well."""

    id = "OTX-W010"
    signal = "waste.retry_amplification"
    costs = "the retries"
    react = "Retry in one layer only, best the innermost that knows the service; give the others none."
    guards = (
        "only failures that waiting mends",
        "two outer attempts with two inner ones each at least",
        "the same call told by two spans counts once",
    )
    origin = "Known of nested retries in services; no product in our comparison looks for it."
    hears = Hears(TRANSIENT)
    hears_model = Hears(ERROR | TRANSIENT)

    def call(self, context: Context, call: Call) -> None:
        """Look at a failing call and at those inside or around it."""
        if call.step.transient:
            self._failed(context, call)

    def model(self, context: Context, step: Step) -> None:
        """The same for a model."""
        if step.transient and step.error:
            self._failed(context, evidence(context, step))

    def _failed(self, context: Context, call: Call) -> None:
        step = call.step
        ring = context.lane.rings.setdefault(FAILED, [])
        name = call.tool.encode("utf-8", "surrogatepass")
        ring.append(step.span_id + step.parent_id.ljust(8, b"\0") + name)
        del ring[:-NEWEST]
        tools = {one[:8]: one[16:] for one in ring}
        inside = Counter(one[8:16] for one in ring if one[8:16] in tools)
        layers = [outer for outer, count in inside.items() if count >= 2]
        mine = step.span_id if step.span_id in layers else step.parent_id
        tool = tools.get(mine)
        alike = [outer for outer in layers if tools[outer] == tool]
        if tool is None or len(alike) < 2 or mine not in alike:
            return
        track = find(context, FAILED, tool)
        if track is None:
            shown = tool.decode("utf-8", "replace")
            track = keep(self, context, FAILED, tool, Track(tool=shown))
        add(context, FAILED, tool, track, call, each=True)
        track.count = max(track.count, sum(inside[outer] for outer in alike))
        track.score = len(alike)
        severity = self.limits.attempts.severity(track.count)
        advance(self, context, FAILED, tool, track, severity=severity, confidence="confirmed")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Inner attempts."""
        return self.limits.attempts.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.score} failing attempts of {track.tool or 'a model call'} made {track.count} "
            f"failing calls inside of them{over(track.end - track.start)}; retry in one layer only"
        )
