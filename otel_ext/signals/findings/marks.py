"""Marks of counted calls: made once a call, priced anew when a round has ended, thinned when there are many.

Law of this file: a mark that is shared (`Met`, a sequence's tail) is only ever priced; whoever counts it
takes a copy.
"""

import msgspec

from otel_ext.signals.lane.lanes import Lane
from otel_ext.signals.lane.rounds import Round
from otel_ext.signals.lane.tracks import Met, Track
from otel_ext.signals.lane.waste import COPY, Ledger, Mark, mark_of, price
from otel_ext.signals.rule import Call, Context


def priced(context: Context, call: Call) -> Mark:
    """A call's mark, worked out when a rule first counts it."""
    mark = call.mark = mark_of(call.step, call.round, context.settings)
    return mark


def marked(context: Context, call: Call) -> Mark:
    """A call's mark of one's own."""
    return COPY(call.mark or priced(context, call))


def met(context: Context, call: Call) -> Met:
    """A call as it is remembered by all tables whose key it is the first to meet."""
    step, mark = call.step, call.mark or priced(context, call)
    call.met = Met(mark, call.tool, step.arguments_hash, step.result_hash, step.error_hash, step.error_text)
    return call.met


def settle(lane: Lane, ended: Round | None) -> None:
    """Correct the shares of a round's calls, now that all of them are known."""
    if ended is None:
        return
    tables = lane.tables
    for table, key in ended.touched if ended.dearer else ():
        if table not in tables or (kept := tables[table].get(key)) is None:
            continue
        if isinstance(kept, Track):
            reprice(kept, ended)
        elif kept[0].mark.round == ended.number:
            price(kept[0].mark, ended)
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
    compacted, whole = lane.contexts.compacted, track.whole
    if (ledger := track.ledger) is None:
        ledger = track.ledger = Ledger()
    for mark in track.marks[:-1]:
        if mark.counted:
            continue
        mark.counted = True
        if whole is None and not mark.owned:
            whole = track.whole = msgspec.structs.replace(ledger)  # from here on they differ
        if mark.owned:
            ledger.add(mark, compacted)
        if whole is not None:
            whole.add(mark, compacted)
    del track.marks[2:-1:2]
