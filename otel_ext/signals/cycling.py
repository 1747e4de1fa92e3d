"""The common part of the rules that look for a sequence of calls which repeats.

Law of this file: evidence is every call from the first round of the sequence on; the first time through is
never waste. A sequence that a later round breaks has recovered.
"""

from typing import ClassVar, Final

import msgspec

from otel_ext.signals.findings.episodes import add, advance, claimed, close, find, keep
from otel_ext.signals.findings.finding import Confidence
from otel_ext.signals.findings.marks import priced, thin
from otel_ext.signals.lane.periods import counters, extend, period_of
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import LONGEST_NAME, Call, Context, LimitsT, Rule
from otel_ext.signals.settings import Levels

_ONE: Final = b""  # the key of the one track of each of the tables


class Cycling(Rule[LimitsT]):
    """A sequence of rounds that repeats. A subclass says what a call's symbol is."""

    confidence: ClassVar[Confidence] = "confirmed"

    def __init__(self, limits: LimitsT | None = None) -> None:
        super().__init__(limits)
        self._ring, self._tail, self._run = f"{self.id}/ring", f"{self.id}/tail", f"{self.id}/run"
        self._levels, self._longest = self.levels()
        self._least = min(self._levels.as_dict().values(), default=0)

    def member(self, call: Call) -> bytes | None:
        """A call's symbol of 16 bytes; None breaks the sequence."""
        raise NotImplementedError

    def levels(self) -> tuple[Levels, int]:
        """Repeats per severity, and the longest period in rounds."""
        raise NotImplementedError

    def speaks(self, context: Context, track: Track) -> bool:
        """Whether a sequence that is long enough may be told: not where others own half of it already."""
        return 2 * sum(claimed(context, mark.span_id) for mark in track.marks) < len(track.marks)

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """A sequence whose newest round was another one is over."""
        counts = counters(context.lane.rings.get(self._ring, []))
        if track.notes and counts and not counts[self.period(track)]:
            track.recovered = True

    def period(self, track: Track) -> int:
        """Rounds of a track's sequence."""
        return track.notes[0][0]

    def call(self, context: Context, call: Call) -> None:
        """Extend the sequence, and tell the shortest that repeats often enough."""
        member, run, rings = self.member(call), self._run, context.lane.rings
        ring = rings.get(self._ring)
        if ring is None:
            if member is None:
                return
            ring = rings[self._ring] = []
        active = find(context, run, _ONE)
        if active is not None and (member is None or self._broken(ring, active, call.round.number)):
            close(self, context, run, _ONE, "recovered")
            active = None
        if member is None:
            ring.clear()
            context.lane.tables.pop(self._tail, None)
            return
        least = self._least
        if not extend(ring, call, member, self._longest):
            return
        self._remember(context, call, least * self._longest)
        counts = counters(ring)
        if active is None:
            period = period_of(counts, least) if least and any(counts) else 0
            if period < 2:
                return
            active = keep(self, context, run, _ONE, self._open(context, call, period, least))
        elif counts[self.period(active)]:
            add(context, run, _ONE, active, call, each=True)
        period = self.period(active)
        if counts[period] >= (least - 1) * period:
            active.score = max(active.score, counts[period] // period + 1)
            if active.episode is not None or self.speaks(context, active):
                severity = self._levels.severity(active.score)
                advance(self, context, run, _ONE, active, severity=severity, confidence=self.confidence)

    def _broken(self, ring: list[bytes], active: Track, number: int) -> bool:
        # Only when a round is over is it known that it was not the one that the sequence asks for.
        return number > int.from_bytes(ring[1], "big") and not counters(ring)[self.period(active)]

    def _remember(self, context: Context, call: Call, most: int) -> None:
        track = self._newest(context)
        track.marks.append(call.mark or priced(context, call))  # others' too: a sequence takes copies
        track.tools.append(call.tool)
        if len(track.marks) > most:
            del track.marks[:-most], track.tools[:-most]
        call.round.touched.append((self._tail, _ONE))

    def _newest(self, context: Context) -> Track:
        tracks = context.lane.tables.setdefault(self._tail, {})
        track = tracks.get(_ONE)
        if not isinstance(track, Track):
            track = tracks[_ONE] = Track(tool="")
        return track

    def _open(self, context: Context, call: Call, period: int, repeats: int) -> Track:
        kept = self._newest(context)
        rounds = sorted({mark.round for mark in kept.marks})[-period * repeats :]
        marks = [msgspec.structs.replace(mark) for mark in kept.marks if mark.round in rounds]
        tools = list(dict.fromkeys(kept.tools[-len(marks) :]))
        track = Track(tool=", ".join(tools)[:LONGEST_NAME], notes=[bytes([period])], marks=marks)
        for mark in marks:
            mark.owned = not claimed(context, mark.span_id)
            mark.counted = mark.round in rounds[:period]  # the first time through is never waste
        track.count, track.round = len(marks), call.round.number
        track.start = min((mark.start for mark in marks if mark.start), default=0)
        track.end = max(mark.end for mark in marks)
        track.last = call.step.start
        track.arguments_hash, track.result_hash = call.step.arguments_hash, call.step.result_hash
        while len(track.marks) > context.settings.evidence:
            thin(context.lane, track)
        return track
