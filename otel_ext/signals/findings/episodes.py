"""The life of a finding: onset, revisions, one final word.

Law of this file: onset at the threshold, a revision whenever the count has doubled or the severity rises,
and exactly one final revision, which states how it ended and the final waste. A span has one owner: who
claims it first keeps it, and rules run in order of precedence (rule 14). Every bound is kept here.
"""

from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import Any, Final, cast

from otel_ext.signals.findings.finding import Confidence, Status
from otel_ext.signals.findings.marks import marked, met, reprice, thin
from otel_ext.signals.findings.speak import speak
from otel_ext.signals.lane.lanes import Lane
from otel_ext.signals.lane.tracks import NO_NOTES, Episode, Track, track_of
from otel_ext.signals.lane.waste import Mark
from otel_ext.signals.rule import Call, Context, Rule
from otel_ext.signals.settings import SEVERITIES, Severity

MOST_DISTINCT: Final = 8
"""Digests remembered of one track's different arguments."""

EVICTIONS: Final = "otel_ext.detector.evictions"
"""Counter of lanes, traces and keys that a bound or a time limit removed."""


def find(context: Context, table: str, key: bytes) -> Track | None:
    """A track, which becomes the most recently used of its table."""
    tracks = context.lane.tables.get(table)
    if not tracks or (kept := tracks.pop(key, None)) is None:
        return None
    track = tracks[key] = kept if isinstance(kept, Track) else track_of(kept)
    return track


def keep(rule: Rule[Any], context: Context, table: str, key: bytes, track: Track) -> Track:
    """Put a new track into a table; the least recently used one goes when the table is full."""
    tracks = context.lane.tables.setdefault(table, {})
    tracks[key] = track
    if len(tracks) > context.settings.keys:
        _evict(rule, context, table)
    return track


def again(
    rule: Rule[Any],
    context: Context,
    table: str,
    key: bytes,
    call: Call,
    *,
    value: bytes = b"",
    notes: tuple[bytes, ...] = NO_NOTES,
    anew: bool = False,
) -> Track | None:
    """The track of a key that was met before; None the first time, from which on it is kept.

    For a rule that has nothing to say of one occurrence, and nothing to do in `closing`: what was met once
    goes without it. Where a user wants to hear of one (`Rule.alone`), a new key has a new track at once.

    Args:
        rule: the rule, as everywhere.
        context: the call's.
        table: the rule's.
        key: of the table.
        call: the call, which the track must count (`add`) if there is one; else it is counted here.
        value: the track's; with another one it is met for the first time.
        notes: the track's.
        anew: take it for the first time, whatever is kept.
    """
    tables = context.lane.tables
    if (tracks := tables.get(table)) is None:
        tracks = tables[table] = {}
    elif not anew and (kept := tracks.get(key)) is not None:
        if value == (kept.value if isinstance(kept, Track) else kept[1]):
            return find(context, table, key)
        drop(rule, context, table, key, "recovered")
    if rule.alone:
        return keep(rule, context, table, key, Track(tool=call.tool, value=value, notes=[*notes]))
    tracks[key] = call.met or met(context, call), value, notes
    call.round.touched.append((table, key))
    if len(tracks) > context.settings.keys:
        _evict(rule, context, table)
    return None


def _evict(rule: Rule[Any], context: Context, table: str) -> None:
    oldest = next(iter(context.lane.tables[table]))
    context.count(EVICTIONS)
    drop(rule, context, table, oldest, "evicted")


def drop(rule: Rule[Any], context: Context, table: str, key: bytes, status: Status) -> None:
    """Close what is kept of a key, in silence where it was met once."""
    if isinstance(context.lane.tables[table][key], Track):
        close(rule, context, table, key, status)
    else:
        del context.lane.tables[table][key]


def forget(rule: Rule[Any], context: Context, *tables: str, but: Collection[bytes] = ()) -> None:
    """Close all tracks of some tables as recovered, except for some keys."""
    for table in [name for name, tracks in context.lane.tables.items() if tracks and name in tables]:
        for key, _ in held(context.lane, table):
            if key not in but:
                close(rule, context, table, key, "recovered")
        kept = context.lane.tables[table]
        left = {key: one for key, one in kept.items() if key in but} if but else {}
        kept.clear()
        kept.update(left)


def tracks_of(rule: Rule[Any], lane: Lane) -> Iterator[tuple[str, bytes, Track]]:
    """All tracks of a rule in a lane; safe against closing them on the way."""
    mine = f"{rule.id}/"
    for table in [name for name, tracks in lane.tables.items() if tracks and name.startswith(mine)]:
        for key, track in held(lane, table):
            yield table, key, track


def held(lane: Lane, table: str) -> list[tuple[bytes, Track]]:
    """The tracks of one table, without what was met once; safe against closing them on the way."""
    tracks = lane.tables.get(table)
    return [(key, kept) for key, kept in tracks.items() if isinstance(kept, Track)] if tracks else []


def add(context: Context, table: str, key: bytes, track: Track, call: Call, *, each: bool = False) -> bool:
    """Count a call into a track; False when its round counts already (unless `each` call counts)."""
    step, at = call.step, call.round
    if at.number <= track.round and track.count and not each:
        if track.episode is not None:
            claim(context, step.span_id, track.episode.id)
        return False
    mark = marked(context, call)
    mark.counted = not track.count  # the first occurrence is never waste
    if track.last and step.start > track.last:
        gap = step.start - track.last
        if track.gap and gap * 10 > track.gap * 11:
            track.grew += 1
        track.gap = gap
    arguments = track.arguments_hash = step.arguments_hash
    track.result_hash = step.result_hash
    track.error_hash, track.error_text = step.error_hash, step.error_text
    if arguments and len(track.distinct) < MOST_DISTINCT and arguments not in track.distinct:
        track.distinct.append(arguments)
    put(context, track, mark)
    at.touched.append((table, key))
    return True


def put(context: Context, track: Track, mark: Mark) -> None:
    """Count evidence with a price of the rule's own making."""
    track.count += 1
    track.round = mark.round
    track.last = start = mark.start
    if not track.start or start < track.start:
        track.start = start
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
    track = track_of(context.lane.tables[table][key])
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


def identity(lane: Lane, table: str, key: bytes, track: Track) -> str:
    """A finding's id. It names the first evidence, so a lane that is opened again cannot repeat one."""
    digest = sha256()
    parts = (lane.trace_id, lane.span_id, table.encode(), key, track.marks[0].span_id)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.hexdigest()[:32]
