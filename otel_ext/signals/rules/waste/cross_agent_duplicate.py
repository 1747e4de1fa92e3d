"""waste.cross_agent_duplicate: several agents of one trace do the same.

Law of this file: lanes are compared only once each is known to be an agent's, so that one agent's steps are
never taken for those of several; a lane's own repeats are its own affair, so each lane counts once for a
result. What anybody wrote in between makes reading again right; it does not mend a failure.
"""

from hashlib import blake2b
from operator import attrgetter
from typing import Final

import msgspec

from otel_ext.signals.findings.episodes import claim, claimed, identity, keep
from otel_ext.signals.findings.explain import over, quoted
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.findings.marks import marked
from otel_ext.signals.findings.speak import speak
from otel_ext.signals.hears import KEYED, POLLS, Hears
from otel_ext.signals.lane.tracks import Episode, Track
from otel_ext.signals.lane.waste import Mark
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import MINUTE, SEVERITIES, Levels
from otel_ext.step import Effect, Step

CALLS: Final = "OTX-W005/calls"
"""Ring of a lane that is not yet known to be an agent's: its calls, packed."""

SHARED: Final = "OTX-W005/shared"
"""Table of the trace's own lane: one call with its outcome."""

WRITES: Final = b"OTX-W005/writes"
"""Key of the trace's notes: when anybody wrote."""

_READ, _UNKNOWN, _WRITE, _POLL = Effect.READ, Effect.UNKNOWN, Effect.WRITE, Effect.POLL


_WRITES_KEPT: Final = 8


class CrossAgentDuplicateLimits(Limits, frozen=True):
    """When several agents do the same.

    Attributes:
        agents: lanes with the same call and result.
        failures: the same for failing calls.
        within: ns from the first to the last of them.
        least: bytes of a result; what is shorter is equal by chance.
        votes: names of tools that several agents are meant to ask alike.
    """

    agents: Levels = Levels(notice=2)
    failures: Levels = Levels(notice=2, warning=3)
    within: int = 30 * MINUTE
    least: int = 32
    votes: tuple[str, ...] = ()


class _Seen(msgspec.Struct, array_like=True, gc=False):
    key: bytes
    tool: str
    lane: bytes
    mark: Mark
    error: str
    failed: bool


_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Seen)


class CrossAgentDuplicate(Rule[CrossAgentDuplicateLimits]):
    """The same tool, arguments and result, or failure, in two or more agents' lanes of one trace."""

    id = "OTX-W005"
    signal = "waste.cross_agent_duplicate"
    react = (
        "Hand what one agent found, or found not to work, over to the others: in the task, or in a cache in "
        "front "
        "of the tool."
    )
    guards = (
        "only reads (and calls of unknown effect that fail)",
        "both lanes must be known to be agents'",
        "a write by anybody in between excuses an equal result, not an equal failure",
        "failures that waiting mends, or that say nothing, are left alone",
        "tools named in `votes`",
    )
    origin = (
        "No product in our comparison looks across agents; all of them count per agent, session or trace."
    )
    per_turn = False
    hears = Hears(KEYED, skips=POLLS)

    def call(self, context: Context, call: Call) -> None:
        """Compare a call with other agents' calls, or keep it until its lane is known."""
        seen = self._seen(context, call)
        if seen is None:
            return
        if context.lane.span_id in context.trace.agents:
            self._publish(context, seen, call.step)
            return
        ring = context.lane.rings.setdefault(CALLS, [])
        ring.append(_ENCODER.encode(seen))
        del ring[: -context.settings.keys]

    def wrote(self, context: Context, call: Call) -> None:
        """Remember when something was written, whoever did it."""
        times = context.trace.seen.setdefault(WRITES, [])
        times.append(_packed(call.step.start))
        times.sort()
        del times[:-_WRITES_KEPT]

    def ended(self, context: Context, status: Status) -> None:
        """Now it is known whether the lane is an agent's."""
        if context.lane.span_id in context.trace.agents:
            for one in context.lane.rings.pop(CALLS, []):
                self._publish(context, _DECODER.decode(one), None)

    def _seen(self, context: Context, call: Call) -> _Seen | None:
        step = call.step
        if not call.key or call.tool in self.limits.votes or step.waiting:
            return None
        if step.error:
            if step.transient or step.vague or step.error_hash is None or step.effect in (_WRITE, _POLL):
                return None
        elif step.effect is not _READ or step.result_hash is None or step.result_size < self.limits.least:
            return None
        outcome = (step.error_hash or b"") if step.error else (step.result_hash or b"")
        key = call.key + (b"\0\1" if step.error else b"\0\0") + outcome
        mark = marked(context, call)
        return _Seen(key, call.tool, context.lane.span_id, mark, step.error_text, step.error)

    def _publish(self, context: Context, seen: _Seen, step: Step | None) -> None:
        held = context.trace.seen
        others = [_DECODER.decode(one) for one in held.pop(seen.key, [])]
        others = [one for one in others if abs(one.mark.start - seen.mark.start) <= self.limits.within]
        if not seen.failed:
            others = [one for one in others if not _written(held.get(WRITES, []), one.mark, seen.mark)]
        known = any(one.lane == seen.lane for one in others)
        if not known:
            others.append(seen)
        held[seen.key] = [_ENCODER.encode(one) for one in others[-8:]]
        while len(held) > context.settings.keys + 1:
            oldest = next(key for key in held if key != WRITES)
            del held[oldest]
        if len(others) >= 2 and not known:
            self._tell(context, seen, others, step)

    def _tell(self, context: Context, seen: _Seen, others: list[_Seen], step: Step | None) -> None:
        lane, shared = context.lane, context.trace.own_lane()
        shared.session_id, shared.service = lane.session_id, lane.service
        whole = msgspec.structs.replace(context, lane=shared)
        key = blake2b(seen.key, digest_size=16).digest()
        track = shared.tables.get(SHARED, {}).get(key)
        if not isinstance(track, Track):
            track = keep(self, whole, SHARED, key, Track(tool=seen.tool, score=int(seen.failed)))
            for one in others[:-1]:
                one.mark.counted, one.mark.owned = not track.marks, False
                _count(whole, track, one.mark)
        track.error_text = seen.error
        if step is not None:
            track.arguments_hash, track.result_hash = step.arguments_hash, step.result_hash
            track.error_hash = step.error_hash
        levels = self.limits.failures if seen.failed else self.limits.agents
        severity = levels.severity(track.count + 1)
        name = track.episode.id if track.episode else identity(shared, SHARED, key, track)
        if track.episode is None and (severity is None or claimed(context, seen.mark.span_id)):
            seen.mark.owned = False
            _count(whole, track, seen.mark)
            return  # somebody tells it already
        seen.mark.owned = claim(context, seen.mark.span_id, name)
        _count(whole, track, seen.mark)
        if severity is None:
            return
        if track.episode is None:
            track.episode = Episode(name, 0, severity, "confirmed", 2 * track.count)
            speak(self, whole, track, "onset")
        elif SEVERITIES.index(severity) > _rank(track.episode) or track.count >= track.episode.next_count:
            track.episode.severity = severity
            track.episode.next_count = 2 * track.count
            speak(self, whole, track, "ongoing")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Lanes, and the time between the first and the last."""
        levels = self.limits.failures if track.score else self.limits.agents
        return {**levels.as_dict(), "within": self.limits.within}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        how = f"failed alike{quoted(track.error_text)}" if track.score else "returned the same"
        return (
            f"{track.count} agents made the same call of {track.tool}{over(track.end - track.start)} and it "
            f"{how}; hand what one agent learned over to the others"
        )


def _count(whole: Context, track: Track, mark: Mark) -> None:
    """Count a mark whose owner is settled in its own lane."""
    track.count += 1
    track.start = min(track.start or mark.start, mark.start)
    track.end = max(track.end, mark.end)
    if len(track.marks) < whole.settings.evidence:
        track.marks.append(mark)
        track.marks.sort(key=attrgetter("start"))  # lanes are known in another order than they worked


def _rank(episode: Episode) -> int:
    return [*SEVERITIES].index(episode.severity)  # type: ignore[arg-type]


def _written(times: list[bytes], one: Mark, other: Mark) -> bool:
    """Whether somebody wrote between the two, or may have: older writes than are kept are not known."""
    first, last = sorted((_packed(one.start), _packed(other.start)))
    forgotten = len(times) == _WRITES_KEPT and first < times[0]
    return forgotten or any(first <= time <= last for time in times)


def _packed(time: int) -> bytes:
    return min(max(time, 0), (1 << 63) - 1).to_bytes(8, "big")
