"""What repeats cost: the cost model of the taxonomy.

A repeat costs its share of the model turn that asked for it, the tool's time, the tool's price, and that its
result is read again by every later model turn of the lane until the context is compacted (carried tokens).

Law of this file: the first occurrence is never waste, a moment of wall time and a token of input are
counted once (a turn that is itself counted as a repeat's carries nothing on top), money is told only where a
price was observed or configured, and a number never claims to be measured when it is not. Arithmetic is in
integers, so a replay agrees. What is told is an upper bound, never a saving; beside it stands what a cautious
operator, who lets every call be repeated twice, could have avoided.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from otel_ext.signals.findings.finding import Basis, Waste
from otel_ext.signals.lane.rounds import Round
from otel_ext.signals.lane.usage import PICO, per_call, reported
from otel_ext.signals.settings import Settings
from otel_ext.step import Kind, Step

BYTES_PER_TOKEN: Final = 4
"""The usual rough figure for English text and code; used only where no usage was reported."""

TOLERATED: Final = 2
"""Repeats after which a cautious operator would have stepped in."""

_NANO: Final = PICO // 10**9

_LLM = Kind.LLM  # looked up once: a member of an enum costs a call


class Mark(msgspec.Struct, array_like=True, gc=False):
    """One counted call, with its share of the model turn that issued it; or one counted model step.

    Attributes:
        size: tokens of its result, estimated.
        cost: its share of the turn's cost and its own price, in units of `usage`; -1 when unknown.
        fee: the tool's own price.
        rate: what each token of its result costs in a later turn; -1 when unknown.
        measured: the tokens are reported ones.
        turn: it is a model step itself, its tokens are its own.
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
    size: int = 0
    cost: int = -1
    fee: int = 0
    rate: int = -1
    measured: bool = False
    turn: bool = False
    owned: bool = True
    counted: bool = False


COPY: Final[Callable[[Mark], Mark]] = Mark.__copy__  # type: ignore[attr-defined]
"""A mark of one's own, in a third of `copy.copy`'s time."""


class Ledger(msgspec.Struct, array_like=True, gc=False):
    """The running sum of an episode's marks, added in order of time.

    Attributes:
        size: tokens of results that are still in the context; `entered` the sum of size x round; `paid` the
            part of their carrying that lies in turns which are counted anyway.
        last: the newest mark's round.
        carried: tokens carried until the newest compaction that a mark came after.
        avoidable, spared: tokens and cost after the tolerated repeats.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    duration: int = 0
    until: int = 0
    measured: int = 0
    estimated: int = 0
    cost: int = 0
    priced: int = 0
    rate: int = -1
    size: int = 0
    entered: int = 0
    paid: int = 0
    last: int = 0
    carried: int = 0
    avoidable: int = 0
    spared: int = 0

    def add(self, mark: Mark, compacted: int) -> None:
        """Add one mark; the part of its interval that is already covered adds nothing.

        Args:
            mark: a call that is later than all that were added before.
            compacted: the first round after the lane's context was last compacted, 0 for never.
        """
        given, made, size, number, measured = mark.input, mark.output, mark.size, mark.round, mark.measured
        self.input += given
        self.output += made
        self.cached += mark.cached
        if 0 < mark.start < mark.end and mark.end > self.until:
            self.duration += mark.end - max(mark.start, self.until)
            self.until = mark.end
        if measured:
            self.measured += 1
        else:
            self.estimated += 1
        if mark.cost >= 0:
            self.cost += mark.cost
            self.priced += 1
        if self.measured + self.estimated > TOLERATED:
            self.avoidable += given + made
            self.spared += max(0, mark.cost)
        # What is carried from turn to turn:
        if self.last < compacted <= number:
            self.carried = self._until(compacted - 1)
            self.size = self.entered = self.paid = 0
        if measured:
            self.paid += self.size  # this turn's whole input is counted, with what it carries
        if mark.rate >= 0:
            self.rate = mark.rate
        if size:
            self.size += size
            # Without usage the first time that a result is read is what it is estimated by.
            self.entered += size * (number + (not measured))
        self.last = max(self.last, number)

    def _until(self, number: int) -> int:
        return self.carried + max(0, self.size * number - self.entered - self.paid)

    def total(self, now: int, compacted: int, currency: str) -> Waste:
        """The sum as a finding states it.

        Args:
            now: the lane's newest round.
            compacted: as in `add`.
            currency: of the settings.
        """
        basis: Basis = "none"
        if self.measured and self.estimated:
            basis = "mixed"
        elif self.measured or self.estimated:
            basis = "measured" if self.measured else "estimated"
        carried = self._until(compacted - 1 if compacted > self.last else max(now, self.last))
        cost = self.cost + carried * max(0, self.rate)
        return Waste(
            input_tokens=self.input,
            output_tokens=self.output,
            cached_tokens=self.cached,
            carried_tokens=carried,
            duration=self.duration,
            cost=cost // _NANO if self.priced else None,
            currency=currency if self.priced else "",
            avoidable_tokens=self.avoidable,
            avoidable_cost=self.spared // _NANO if self.priced else None,
            basis=basis,
        )


def mark_of(step: Step, at: Round, settings: Settings) -> Mark:
    """A call's mark. Its share of the model turn is corrected by `price` when the round has ended."""
    start, end = step.start, step.end
    if step.kind is _LLM:
        given, made = reported(step.input_tokens), reported(step.output_tokens)
        return Mark(
            step.span_id,
            start,
            max(start, end),
            at.number,
            input=max(0, given),
            output=max(0, made),
            cached=max(0, reported(step.cached_tokens)),
            cost=at.cost,
            measured=given > 0 or made > 0,
            turn=True,
        )
    # Without usage all we know is that the result was read back by the model.
    size = step.result_size // BYTES_PER_TOKEN
    mark = Mark(step.span_id, start, max(start, end), at.number, size, size=size)
    if settings.tool_prices and (fee := per_call(settings, step.name)) >= 0:
        mark.fee = mark.cost = fee
    price(mark, at)
    return mark


def price(mark: Mark, at: Round) -> None:
    """Give a mark its share of its round's model turn; a turn that reports 0 tokens reports nothing."""
    given, made, cached = at.input, at.output, at.cached
    if mark.turn or (given <= 0 and made <= 0):
        return
    share = max(1, at.calls, len(at.issued))
    mark.measured = True
    mark.input = given // share if given > 0 else 0
    mark.output = made // share if made > 0 else 0
    mark.cached = cached // share if cached > 0 else 0
    if at.cost >= 0:
        mark.cost = at.cost // share + mark.fee
    mark.rate = at.rate
