"""waste.cost_spike: a run that costs many times what this agent's runs usually cost.

Law of this file: an agent is compared with itself, and only after enough of its runs were seen; a run that
was cut off, or whose use of tokens is not known throughout, is neither compared nor remembered.
"""

from typing import Final

from otel_ext.signals.findings.episodes import keep, put
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.findings.last import speak_last
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.waste import Mark
from otel_ext.signals.rule import Context, Limits, Rule

RUN: Final = "OTX-W021/run"
"""Table: one entry, the lane's own run."""

_KEY: Final = b"run"


class CostSpikeLimits(Limits, frozen=True):
    """When a run's cost is a spike.

    Attributes:
        factor: so many times the median of the agent's runs.
        runs: runs that must be known.
        least: tokens that a run must have used.
    """

    factor: int = 5
    runs: int = 20
    least: int = 20_000


class CostSpike(Rule[CostSpikeLimits]):
    """An agent's run costs five times the median of the last runs of the same agent, or more."""

    id = "OTX-W021"
    signal = "waste.cost_spike"
    costs = "the excess"
    react = "Look at this run's other findings and at its task; set a budget for a run."
    guards = (
        "20 runs of the same agent and service must be known",
        "money where every step's cost is known, else tokens where every step told them",
        "sub-agents' runs are their own",
        "runs that were evicted are left out",
    )
    origin = (
        "SpanProof compares with five peers' median; ours with the agent's own last runs, at least twenty."
    )
    per_turn = False

    def ended(self, context: Context, status: Status) -> None:
        """Compare a run with the usual, then remember it."""
        lane, usage = context.lane, context.lane.usage
        agent = context.trace.agents.get(lane.span_id, "")
        if not agent or not usage.steps or usage.silent or status == "evicted":
            return
        tokens = usage.input + usage.output
        priced = usage.priced == usage.steps
        spent = usage.cost // 1_000_000 if priced else tokens
        name = f"cost:{context.settings.currency if priced else 'tokens'}:{lane.service}:{agent}"
        known = context.baselines.get(name)
        if known is not None and known.known >= self.limits.runs > 0 and tokens >= self.limits.least:
            usual = known.usual
            if 0 < usual * self.limits.factor <= spent:
                track = keep(self, context, RUN, _KEY, Track(tool="", score=spent // usual))
                extra = tokens - tokens * usual // spent
                cost = (spent - usual) * 1_000_000 if priced else -1
                mark = Mark(lane.span_id, lane.began, lane.last_start, 0, extra, cost=cost)
                mark.measured = mark.turn = True
                put(context, track, mark)
        context.baselines.add(name, min(spent, (1 << 62)))

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak."""
        speak_last(context, table, key, track, first=False, confidence="probable")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Factor, runs and tokens."""
        return {"factor": self.limits.factor, "runs": self.limits.runs, "least": self.limits.least}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"This run cost {track.score} times what this agent's runs usually cost; look at its other "
            "findings and set a budget for a run"
        )
