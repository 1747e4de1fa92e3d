"""Where a session's generations part, as the endings say that stand among its spans.

Law of this file: an ending is right about its own generation, and every span stays counted, for one. What
wakes a session without a span (a log record, a span that began) is in other files or in none, so whether a
new trace began a generation is a guess until the next ending; what was guessed otherwise then moves.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_ext.sessions import Session, Trace

_MOVED: Final = ("spans", "conflicts", "unfinished", "traces", "rootless")
"""Sums that are counted span by span; the others are told, or counted again (`recount`)."""


class Generations:
    """One session's generations and traces, which it changes.

    Args:
        rows: by number; those that are there already are known.
        traces: in the order in which they came.
        begin: makes the row of a number.

    Attributes:
        unread: spans in the files so far that could not be read, and that no ending has told of.
    """

    def __init__(
        self, rows: dict[int, Session], traces: Mapping[bytes, Trace], begin: Callable[[int], object]
    ) -> None:
        self._rows, self._traces, self._begin = rows, traces, begin
        self.unread = 0
        self._sure = {number: row.spans for number, row in rows.items()}
        """Spans that a generation is known to have; one that is not in it is a guess."""
        self._told_in = {number: row.trace_id for number, row in rows.items()}

    def settle(self, number: int, told: Mapping[str, Any], trace_id: bytes) -> Session:
        """Let a generation have as many spans as its ending tells of, from or to those beside it; its row.

        Args:
            number: of the generation.
            told: what its ending tells.
            trace_id: the trace in which it does.
        """
        if number not in self._rows:
            self._begin(number)
        row = self._rows[number]
        self._sure[number] = told["spans"]
        self._told_in[number] = row.trace_id = trace_id
        if row.spans == told["spans"]:
            return row
        damaged = min(self.unread, max(0, told["spans"] - row.spans))
        row.spans, self.unread = row.spans + damaged, self.unread - damaged
        newer = sorted(n for n in self._rows if n > number)
        older = sorted((n for n in self._rows if n < number), reverse=True)
        for other in (*newer, *older):
            spare = self._rows[other].spans - self._sure.get(other, 0)
            if row.spans >= told["spans"]:
                break
            if other not in self._sure and row.spans + spare <= told["spans"]:
                self._never_was(other, row)
            elif spare > 0:
                lacks = {name: max(0, told[name] - getattr(row, name)) for name in _MOVED}
                lacks["spans"] = min(lacks["spans"], spare)
                self._move(self._rows[other], row, lacks)
                self._slept(self._rows[other])
        if row.spans > told["spans"]:
            if number + 1 not in self._rows:
                self._begin(number + 1)
                self._rows[number + 1].open = True
            over = {name: max(0, getattr(row, name) - told[name]) for name in _MOVED}
            self._move(row, self._rows[number + 1], over)
        return row

    def _never_was(self, number: int, row: Session) -> None:
        """A generation was a wrong guess: all of it is another one's."""
        guess = self._rows.pop(number)
        row.absorb(guess)
        row.agentic = row.agentic or guess.agentic
        for trace in self._of(number):
            trace.generation = row.generation

    def _move(self, giver: Session, taker: Session, sums: Mapping[str, int]) -> None:
        """Move so much, and the traces that came last, or when they go back to an older one, first."""
        for name, most in sums.items():
            count = min(most, getattr(giver, name))
            setattr(giver, name, getattr(giver, name) - count)
            setattr(taker, name, getattr(taker, name) + count)
        traces = [trace for trace in self._of(giver.generation) if not trace.adopted]
        count = min(len(traces), sums["traces"])
        moved = traces[len(traces) - count :] if giver.generation < taker.generation else traces[:count]
        for trace in moved:
            trace.generation = taker.generation
            taker.agentic = taker.agentic or trace.agentic
        left = [trace.trace_id for trace in traces if trace.generation == giver.generation]
        if left and giver.trace_id not in left:
            giver.trace_id = left[-1]
        if moved and not taker.trace_id:
            taker.trace_id = moved[-1].trace_id

    def _slept(self, row: Session) -> None:
        """What seemed to wake a generation was another one's: it is as its ending left it."""
        if row.told and row.spans == self._sure[row.generation]:
            if not row.ended:
                row.idle_at = row.last_seen
            row.trace_id = self._told_in[row.generation]
            row.open, row.told_as = False, f"{row.state}: {row.reason}"

    def _of(self, number: int) -> list[Trace]:
        return [trace for trace in self._traces.values() if trace.generation == number]
