"""Which calls belong together: one model response, one round.

Law of this file: identical calls of one round count once in every loop rule, so a fan-out is never a
loop. A round is what one LLM step asked for; in a lane without any LLM step it is what overlaps in time, by
more than the clock's tick: JavaScript's SDK cuts a start to whole milliseconds, an end it does not.
A replayed model attempt (the same response id) does not advance.
"""

from typing import Final

import msgspec

from otel_ext.signals.lane.usage import reported
from otel_ext.step import Step

KEPT: Final = 4
"""Rounds remembered: a call that names an older response than that joins the current round."""

_TICK: Final = 1_000_000
"""ns; the coarsest clock in wide use."""

MOST_ISSUED: Final = 128
"""Call ids remembered of one response."""


class Round(msgspec.Struct, gc=False):
    """One round of a lane.

    Attributes:
        number: 1, 2, ... within the lane.
        response: the model's response id, "" when unknown or when no model opened the round.
        issued: call ids the response asked for.
        input, output, cached: the model step's tokens; -1 when not reported.
        cost, rate: what the step cost and what a token carried on costs (`usage`); -1 when unknown.
        calls: calls seen so far.
        began: the latest start among them.
        until: the latest end among them.
        touched: (table, key) of the tracks that counted a call of this round.
        dearer: a call's share is another than it was when a track counted one, so they are priced anew.
    """

    number: int
    response: str = ""
    issued: tuple[str, ...] = ()
    input: int = -1
    output: int = -1
    cached: int = -1
    cost: int = -1
    rate: int = -1
    calls: int = 0
    began: int = 0
    until: int = 0
    touched: list[tuple[str, bytes]] = []
    dearer: bool = False


class Rounds(msgspec.Struct):
    """The rounds of one lane.

    Attributes:
        recent: the newest rounds, the current one last.
        modelled: an LLM step has been seen, so only LLM steps open rounds.
        turns: how many genuine user messages the preceding LLM step held; -1 before the first.
        turn: digest of the newest of them.
    """

    recent: list[Round] = []
    modelled: bool = False
    turns: int = -1
    turn: bytes = b""

    def model(self, step: Step) -> Round | None:
        """Open a round for an LLM step; return the round that it ends, if any."""
        self.modelled = True
        if step.response_id and self.recent and self.recent[-1].response == step.response_id:
            self.recent[-1].dearer = True
            return None  # a replayed attempt: its calls belong to the round that is open
        ended = self._open()
        now = self.recent[-1]
        now.response, now.issued = step.response_id, step.issued[:MOST_ISSUED]
        now.input = reported(step.input_tokens)
        now.output = reported(step.output_tokens)
        now.cached = reported(step.cached_tokens)
        return ended

    def call(self, step: Step) -> tuple[Round, Round | None]:
        """The round of a call, and the round that this call ends, if any."""
        ended = None
        mine = self._issuer(step.call_id) if step.call_id else None
        if mine is None:
            if not self.recent or not (self.modelled or _overlaps(step, self.recent[-1])):
                ended = self._open()
            mine = self.recent[-1]
        mine.calls += 1
        if mine.calls > 1:
            mine.dearer = True
        mine.began = max(mine.began, step.start)
        mine.until = max(mine.until, step.end)
        return mine, ended

    def new_turn(self, step: Step) -> bool:
        """Whether an LLM step brings a genuine user turn (precision rule 9).

        Inputs are told whole or as what is new since the step before; in the latter form the steps
        between two turns hold 0, so the same question asked again still differs from its predecessor.
        """
        if step.user_turns is None:
            return False
        turn = step.user_turn or b""
        fresh = step.user_turns > 0 and (step.user_turns, turn) != (self.turns, self.turn)
        self.turns, self.turn = step.user_turns, turn
        return fresh

    def _open(self) -> Round | None:
        ended = self.recent[-1] if self.recent else None
        self.recent.append(Round(ended.number + 1 if ended else 1))
        if len(self.recent) > KEPT:
            del self.recent[:-KEPT]
        return ended

    def _issuer(self, call_id: str) -> Round | None:
        for one in reversed(self.recent):
            if call_id in one.issued:
                return one
        return None


def _overlaps(step: Step, current: Round) -> bool:
    """Whether a call began while one of the round's was at work.

    A start in whole milliseconds may truly be up to one later. Where that puts it behind the end of a call
    that began in an earlier tick, they are next to each other; calls of one tick cannot be told apart.
    """
    if not 0 < step.start < current.until:
        return False
    cut = step.start % _TICK == 0 and current.until - step.start < _TICK
    return not (cut and step.start > current.began)
