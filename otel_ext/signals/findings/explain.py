"""The words of an explanation: numbers that a person reads without a calculator.

Law of this file: one sentence, what happened first, then its cost, then what to do; no payload beyond the
producer's short failure text, and no claim that stopping would have saved the cost.
"""

from otel_ext.signals.findings.finding import Waste
from otel_ext.signals.settings import MINUTE, SECOND

LONGEST_ERROR = 120
"""Characters of a failure's text in an explanation."""

_CENT = 10_000_000  # billionths


def lasting(duration: int) -> str:
    """A duration in the unit a person would choose; "" when it is not known."""
    if duration <= 0:
        return ""
    if duration < SECOND:
        return f"{max(1, duration // 1_000_000)} ms"
    if duration < 2 * MINUTE:
        return f"{duration // SECOND} s"
    if duration < 120 * MINUTE:
        return f"{duration // MINUTE} min"
    return f"{duration // (60 * MINUTE)} h"


def over(duration: int) -> str:
    """The words " in <duration>", or nothing."""
    text = lasting(duration)
    return f" in {text}" if text else ""


def quoted(text: str, which: str = "") -> str:
    """A failure's text on one line, short, `which` before it; "" stays ""."""
    line = " ".join(text.split())
    if len(line) > LONGEST_ERROR:
        line = line[: LONGEST_ERROR - 3] + "..."
    return f' ({which}"{line}")' if line else ""


def costing(sentence: str, waste: Waste, which: str = "the repeats") -> str:
    """Put the cost of `which` between what happened and what to do; the two are parted by "; "."""
    parts = []
    tokens = waste.input_tokens + waste.output_tokens
    if tokens:
        parts.append(f"{'' if waste.basis == 'measured' else 'about '}{tokens:,} tokens")
    if waste.cost and waste.cost >= _CENT // 2:
        parts.append(f"{waste.cost / 1e9:,.2f} {waste.currency}")
    if waste.duration >= SECOND or (waste.duration and not tokens):
        parts.append(lasting(waste.duration))
    if waste.carried_tokens and not tokens:
        parts.append(f"about {waste.carried_tokens:,} tokens read again by later turns")
    happened, mark, advice = sentence.partition("; ")
    cost = f", {which} costing {' and '.join(parts)}" if parts else ""
    return f"{happened}{cost}{mark}{advice}."
