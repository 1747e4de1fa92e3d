"""The life of a finding: onset, revisions, one final word.

Law of this file: onset at the threshold, a revision whenever the count has doubled or the severity rises,
and exactly one final revision, which states how it ended and the final waste. A span has one owner: who
claims it first keeps it, and rules run in order of precedence (rule 14). Every bound is kept here.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, Final, cast

from otel_ext.signals.findings.finding import Confidence, Status
from otel_ext.signals.findings.speak import add_up, speak
from otel_ext.signals.lane.lanes import Episode, Lane, Track
from otel_ext.signals.lane.rounds import Round
from otel_ext.signals.lane.waste import Mark, mark_of, price
from otel_ext.signals.rule import Call, Context, Rule
from otel_ext.signals.settings import SEVERITIES, Severity

MOST_DISTINCT: Final = 8
"""Digests remembered of one track's different arguments."""

EVICTIONS: Final = "otel_ext.detector.evictions"
"""Counter of lanes, traces and keys that a bound or a time limit removed."""

_copy: Final[Callable[[Mark], Mark]] = Mark.__copy__  # type: ignore[attr-defined]  # a third of copy.copy's time


def find(context: Context, table: str, key: bytes) -> Track | None:
    """A track, which becomes the most recently used of its table."""
    tracks = context.lane.tables.get(table)
    if not tracks or (track := tracks.pop(key, None)) is None:
        return None
    tracks[key] = track
    return track


def keep(rule: Rule[Any], context: Context, table: str, key: bytes, track: Track) -> Track:
    """Put a new track into a table; the least recently used one goes when the table is full."""
    tracks = context.lane.tables.setdefault(table, {})
    tracks[key] = track
    if len(tracks) > context.settings.keys:
        oldest = next(iter(tracks))
        context.count(EVICTIONS)
        close(rule, context, table, oldest, "evicted")
    return track


def tracks_of(rule: Rule[Any], lane: Lane) -> Iterator[tuple[str, bytes, Track]]:
    """All tracks of a rule in a lane; safe against closing them on the way."""
    mine = f"{rule.id}/"
    for table in [name for name, tracks in lane.tables.items() if tracks and name.startswith(mine)]:
        for key, track in list(lane.tables[table].items()):
            yield table, key, track


def held(lane: Lane, table: str) -> list[tuple[bytes, Track]]:
    """The tracks of one table; safe against closing them on the way."""
    tracks = lane.tables.get(table)
    return list(tracks.items()) if tracks else []


def add(context: Context, table: str, key: bytes, track: Track, call: Call, *, each: bool = False) -> bool:
    """Count a call into a track; False when its round counts already (unless `each` call counts)."""
    step, number = call.step, call.round.number
    if track.count and number <= track.round and not each:
        if track.episode is not None:
            claim(context, step.span_id, track.episode.id)
        return False
    mark = marked(context, call)
    mark.counted = not track.count  # the first occurrence is never waste
    if track.last and step.start > track.last:
        gap = step.start - track.last
        track.grew += bool(track.gap and gap * 10 > track.gap * 11)
        track.gap = gap
    arguments = track.arguments_hash = step.arguments_hash
    track.result_hash = step.result_hash
    track.error_hash, track.error_text = step.error_hash, step.error_text
    if arguments and arguments not in track.distinct and len(track.distinct) < MOST_DISTINCT:
        track.distinct.append(arguments)
    put(context, track, mark)
    call.round.touched.append((table, key))
    return True


def marked(context: Context, call: Call) -> Mark:
    """A call's mark of one's own."""
    if call.mark is None:
        call.mark = mark_of(call.step, call.round, context.settings)
    return _copy(call.mark)


def put(context: Context, track: Track, mark: Mark) -> None:
    """Count evidence with a price of the rule's own making."""
    track.count += 1
    track.round = mark.round
    track.last = mark.start
    if not track.start or mark.start < track.start:
        track.start = mark.start
    track.end = max(track.end, mark.end)
    if track.episode is not None:
        mark.owned = claim(context, mark.span_id, track.episode.id)
    track.marks.append(mark)
    if len(track.marks) > context.settings.evidence:
        thin(context.lane, track)


def differ(track: Track, digest: bytes) -> None:
    """Remember one more distinct thing of a track."""
    if digest and digest not in track.distinct and len(track.distinct) < MOST_DISTINCT:
        track.distinct.append(digest)


def claimed(context: Context, span_id: bytes) -> bool:
    """Whether a finding owns this span."""
    return span_id in context.lane.owners


def claim(context: Context, span_id: bytes, finding_id: str) -> bool:
    """Make a finding the owner of a span, unless another is."""
    owners = context.lane.owners
    owner = owners.setdefault(span_id, finding_id)
    if len(owners) > context.settings.owned:
        del owners[next(iter(owners))]
    return owner == finding_id


def advance(
    rule: Rule[Any],
    context: Context,
    table: str,
    key: bytes,
    track: Track,
    *,
    severity: Severity | None,
    confidence: Confidence,
) -> None:
    """Speak if there is something new to say: the onset, twice the count, or a worse severity."""
    if severity is None:
        return
    if track.episode is None:
        name = identity(context.lane, table, key, track)
        if rule.owns and all(claimed(context, mark.span_id) for mark in track.marks):
            return
        for mark in track.marks:
            mark.owned = rule.owns and claim(context, mark.span_id, name)
        track.episode = Episode(name, 0, severity, confidence, track.count * 2)
        speak(rule, context, track, "onset")
        return
    worse = SEVERITIES.index(severity) > SEVERITIES.index(cast("Severity", track.episode.severity))
    if worse or track.count >= track.episode.next_count:
        if worse:
            track.episode.severity = severity
        while track.episode.next_count <= track.count:
            track.episode.next_count *= 2
        speak(rule, context, track, "ongoing")


def close(
    rule: Rule[Any], context: Context, table: str, key: bytes, status: Status, *, by: Call | None = None
) -> None:
    """Remove a track; when it had spoken, say how it ended, and `by` which call, where one ended it."""
    track = context.lane.tables[table][key]
    current = context.lane.rounds.recent
    if current:
        reprice(track, current[-1])
    try:
        rule.closing(context, table, key, track)
    finally:
        del context.lane.tables[table][key]  # also of a rule that raises: a table stays bounded
    if track.episode is not None:
        status = "recovered" if track.recovered and status != "evicted" else status
        speak(rule, context, track, status, by.step.span_id if by is not None else b"")


def settle(lane: Lane, ended: Round | None) -> None:
    """Correct the shares of a round's calls, now that all of them are known."""
    if ended is None:
        return
    tables = lane.tables
    for table, key in ended.touched if ended.dearer else ():
        if table in tables and (track := tables[table].get(key)) is not None:
            reprice(track, ended)
    ended.touched.clear()


def reprice(track: Track, at: Round) -> None:
    """Correct the shares of the newest marks, those that belong to this round."""
    if not at.dearer:
        return
    for mark in reversed(track.marks):
        if mark.round != at.number:
            break
        price(mark, at)


def thin(lane: Lane, track: Track) -> None:
    """Halve a track's marks: first, second and last stay, the cost of those that go is added up before."""
    until = len(track.marks) - 1
    add_up(lane, track, track.ledger, until)
    add_up(lane, track, track.whole, until, every=True)
    for mark in track.marks[:until]:
        mark.counted = True
    del track.marks[2:-1:2]


def identity(lane: Lane, table: str, key: bytes, track: Track) -> str:
    """A finding's id. It names the first evidence, so a lane that is opened again cannot repeat one."""
    digest = sha256()
    parts = (lane.trace_id, lane.span_id, table.encode(), key, track.marks[0].span_id)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.hexdigest()[:32]
