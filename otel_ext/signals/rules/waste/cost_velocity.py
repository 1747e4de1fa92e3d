"""waste.cost_velocity: spending faster than allowed, for minutes on end.

Law of this file: what is too fast only the operator knows, so without a configured limit it is silent.
"""

from struct import Struct
from typing import Final

from otel_ext.signals.findings.episodes import advance, find, keep, put
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.usage import PICO, cost_of, reported
from otel_ext.signals.lane.waste import mark_of
from otel_ext.signals.rule import Context, Limits, Rule, evidence
from otel_ext.signals.settings import MINUTE, Levels
from otel_ext.step import Step

FAST: Final = "OTX-W022/fast"
"""Table: one entry, the lane's spending."""

MINUTES: Final = "OTX-W022/minutes"
"""Ring: the newest minutes with a model call: number of the minute, tokens, cost, packed."""

_KEY: Final = b"lane"
_MINUTE: Final = Struct(">QQQQ")  # the minute, tokens, cost in two halves
_LOWER: Final = (1 << 64) - 1


class CostVelocityLimits(Limits, frozen=True):
    """What is too fast.

    Attributes:
        tokens: tokens a minute, in and out; 0, as built in, for no such limit.
        cents: hundredths of the currency a minute; 0, as built in, for no such limit.
        minutes: minutes in a row.
    """

    tokens: int = 0
    cents: int = 0
    minutes: int = 3


class CostVelocity(Rule[CostVelocityLimits]):
    """A lane uses as many tokens or as much money a minute as configured, three minutes in a row, or more."""

    id = "OTX-W022"
    signal = "waste.cost_velocity"
    costs = "these minutes"
    react = "Slow the agent down, or stop it, and look at what it repeats."
    guards = (
        "silent until a limit is configured, of tokens or of money",
        "each of the minutes must be above it, the newest one included",
        "money only where a price is known",
    )
    origin = (
        "OBEY has 10,000 tokens or half a dollar a minute, agentloopguard two dollars; ours asks for "
        "three minutes in a row."
    )
    per_turn = False

    def __init__(self, limits: CostVelocityLimits | None = None) -> None:
        super().__init__(limits)
        self.deaf = not (self.limits.tokens or self.limits.cents)

    def model(self, context: Context, step: Step) -> None:
        """Add a step to its minute and look at the last ones."""
        limits = self.limits
        if self.deaf or step.start <= 0:
            return
        tokens = max(0, reported(step.input_tokens)) + max(0, reported(step.output_tokens))
        minute, cost = step.start // MINUTE, max(0, cost_of(context.settings, step)) if limits.cents else 0
        ring = context.lane.rings.setdefault(MINUTES, [])
        if ring:
            newest, spent, upper, lower = _MINUTE.unpack(ring[-1])
            if newest == minute:
                ring.pop()
                tokens += spent
                cost += (upper << 64) + lower
        ring.append(_MINUTE.pack(minute, tokens, cost >> 64, cost & _LOWER))
        del ring[: -max(1, limits.minutes)]
        if not self._fast(tokens, cost):
            return
        row = [int.from_bytes(one[:8], "big") for one in ring] == [
            *range(minute - limits.minutes + 1, minute + 1)
        ]
        each = map(_MINUTE.unpack, ring)
        if row and all(self._fast(spent, (upper << 64) + lower) for _, spent, upper, lower in each):
            track = find(context, FAST, _KEY) or keep(self, context, FAST, _KEY, Track(tool=""))
            put(context, track, mark_of(step, evidence(context, step).round, context.settings))
            severity = Levels(notice=1).severity(track.count)
            advance(self, context, FAST, _KEY, track, severity=severity, confidence="confirmed")

    def _fast(self, tokens: int, cost: int) -> bool:
        return 0 < self.limits.tokens <= tokens or 0 < self.limits.cents * (PICO // 100) <= cost

    def thresholds(self, track: Track) -> dict[str, int]:
        """The limits."""
        return {"tokens": self.limits.tokens, "cents": self.limits.cents, "minutes": self.limits.minutes}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"The agent spent more than the configured limit in each of {self.limits.minutes} minutes in a "
            "row; slow it down, or stop it and look at what it repeats"
        )
