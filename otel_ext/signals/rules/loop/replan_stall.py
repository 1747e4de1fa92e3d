"""loop.replan_stall: the same plan is written again, and nothing was changed since.

Law of this file: a plan is what a planning tool is given. A plan whose words or states differ is progress,
and so is a write between.
"""

from typing import ClassVar, Final

from otel_ext.signals.calls import words
from otel_ext.signals.calls.classify import own_name
from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.hears import DONE, KEYED, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels

PLAN: Final = "OTX-L025/plan"
"""Table: a planning tool's newest plan."""

_TOOLS: Final = words.words(
    "plan_status todo_write todowrite update_plan update_todo_list write_todos create_plan set_plan"
)


class ReplanStallLimits(Limits, frozen=True):
    """From how many equal plans on planning stalls.

    Attributes:
        plans: rounds in which the same plan was written.
    """

    plans: Levels = Levels(notice=3)


class ReplanStall(Rule[ReplanStallLimits]):
    """A planning tool was given the very same plan in several rounds, with no write between."""

    id = "OTX-L025"
    signal = "loop.replan_stall"
    react: ClassVar[str] = "See what keeps the agent from its first step; the plan is not it."
    guards: ClassVar[tuple[str, ...]] = (
        "a plan of which only a state differs is another plan",
        "a write by any tool between begins anew",
    )
    origin: ClassVar[str] = "AutoGen's Magentic-One counts stalls in a ledger of its own; telemetry has none."
    counts = False
    hears = Hears(DONE | KEYED)

    def call(self, context: Context, call: Call) -> None:
        """Count a plan."""
        if not call.key or call.step.error or own_name(call.tool) not in _TOOLS:
            return
        key = call.tool.encode("utf-8", "surrogatepass")
        track = find(context, PLAN, key)
        if track is not None and (
            track.value != call.step.arguments_hash or track.epoch != context.lane.epoch
        ):
            close(self, context, PLAN, key, "recovered")
            track = None
        if track is None:
            plan = call.step.arguments_hash or b""
            track = keep(
                self, context, PLAN, key, Track(tool=call.tool, value=plan, epoch=context.lane.epoch)
            )
        if add(context, PLAN, key, track, call):
            severity = self.limits.plans.severity(track.count)
            advance(self, context, PLAN, key, track, severity=severity, confidence="probable")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Plans per severity."""
        return self.limits.plans.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tool} was given the same plan {track.count} times{over(track.end - track.start)} and "
            "nothing was written between; see what keeps the agent from its next step"
        )
