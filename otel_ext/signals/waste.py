"""What repeats cost (the cost model of the taxonomy, without money).

Law of this file: the first occurrence is never waste, a moment of wall time is counted once, and a
number never claims to be measured when it is not. Arithmetic is in integers, so a replay agrees.
"""

from typing import Final

import msgspec

from otel_ext.signals.finding import Basis, Waste
from otel_ext.signals.rounds import Round
from otel_ext.step import Step

BYTES_PER_TOKEN: Final = 4
"""The usual rough figure for English text and code; used only where no usage was reported."""


class Mark(msgspec.Struct, array_like=True, gc=False):
    """One counted call, with its share of the model turn that issued it.

    Attributes:
        owned: this finding owns the span; others merely count it.
        counted: already in the ledger, or the first occurrence, which never is.
    """

    span_id: bytes
    start: int
    end: int
    round: int
    input: int = 0
    output: int = 0
    cached: int = 0
    measured: bool = False
    owned: bool = True
    counted: bool = False


class Ledger(msgspec.Struct, array_like=True, gc=False):
    """The running sum of an episode's marks, added in order of time."""

    input: int = 0
    output: int = 0
    cached: int = 0
    duration: int = 0
    until: int = 0
    measured: int = 0
    estimated: int = 0

    def add(self, mark: Mark) -> None:
        """Add one mark; the part of its interval that is already covered adds nothing."""
        self.input += mark.input
        self.output += mark.output
        self.cached += mark.cached
        if 0 < mark.start < mark.end:
            self.duration += max(0, mark.end - max(mark.start, self.until))
            self.until = max(self.until, mark.end)
        if mark.measured:
            self.measured += 1
        else:
            self.estimated += 1

    def total(self) -> Waste:
        """The sum as a finding states it."""
        basis: Basis = "none"
        if self.measured and self.estimated:
            basis = "mixed"
        elif self.measured or self.estimated:
            basis = "measured" if self.measured else "estimated"
        return Waste(
            input_tokens=self.input,
            output_tokens=self.output,
            cached_tokens=self.cached,
            duration=self.duration,
            basis=basis,
        )


def mark_of(step: Step, at: Round) -> Mark:
    """A call's mark. Its share of the model turn is corrected by `price` when the round has ended."""
    start, end = step.start, step.end
    # Without usage all we know is that the result was read back by the model.
    estimate = step.result_size // BYTES_PER_TOKEN
    mark = Mark(step.span_id, start, max(start, end), at.number, estimate)
    price(mark, at)
    return mark


def price(mark: Mark, at: Round) -> None:
    """Give a mark its share of its round's model turn; a turn that reports 0 tokens reports nothing."""
    given, made, cached = at.input, at.output, at.cached
    if given <= 0 and made <= 0:
        return
    share = max(1, at.calls, len(at.issued))
    mark.measured = True
    mark.input = given // share if given > 0 else 0
    mark.output = made // share if made > 0 else 0
    mark.cached = cached // share if cached > 0 else 0
