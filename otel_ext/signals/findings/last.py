"""Speaking last: a rule that leaves every span to the more serious ones, and tells what is left.

Law of this file: only when a track closes is it certain that no loop claims its calls, so both are called in
`closing` and give a finding of one revision, the final one. `speak_last` tells waste: what others own is
not counted, a first occurrence is nobody's. `last_word` tells a loop of weaker evidence, whole or not at all.
"""

from otel_ext.signals.findings.episodes import claim, claimed, identity
from otel_ext.signals.findings.finding import Confidence
from otel_ext.signals.lane.tracks import Episode, Track
from otel_ext.signals.rule import Context


def speak_last(
    context: Context,
    table: str,
    key: bytes,
    track: Track,
    *,
    least: int = 1,
    first: bool = True,
    confidence: Confidence = "confirmed",
) -> bool:
    """Make a closing track speak, as a notice, for evidence that nobody else owns; False if it stays silent.

    Args:
        context: the track's.
        table: the track's.
        key: the track's.
        track: the one that closes.
        least: so much evidence must be left, a first occurrence that is none not counted.
        first: the first piece of evidence is what the others repeat, and no waste itself.
        confidence: of the finding.
    """
    origin = track.marks[:1] if first else []
    free = [mark for mark in track.marks[len(origin) :] if not claimed(context, mark.span_id)]
    if not free or track.count - (len(track.marks) - len(free)) < least:
        return False
    name = identity(context.lane, table, key, track)
    if len(origin) + len(free) < len(track.marks):
        # What the others own has been priced there.
        track.ledger = track.whole = None
        track.count -= len(track.marks) - len(origin) - len(free)
        track.marks = origin + free
        track.start, track.end = track.marks[0].start, max(mark.end for mark in track.marks)
    for mark in origin:
        mark.owned = False
    for mark in free:
        mark.owned = claim(context, mark.span_id, name)
    track.episode = Episode(name, 0, "notice", confidence, 0)
    return True


def last_word(context: Context, table: str, key: bytes, track: Track, confidence: Confidence) -> None:
    """Make a closing track speak, as a notice, for all its evidence; nothing where others own half of it."""
    free = sum(not claimed(context, mark.span_id) for mark in track.marks)
    if track.episode is not None or 2 * free <= len(track.marks):
        return
    name = identity(context.lane, table, key, track)
    for mark in track.marks:
        mark.owned = claim(context, mark.span_id, name)
    track.episode = Episode(name, 0, "notice", confidence, 0)
