"""Sequences that repeat: the shortest period of the newest rounds, in a bounded memory.

Law of this file: a round is one symbol, the sum of its calls' digests, so that the order of parallel calls
does not matter; a call that joins the newest round changes that symbol. For each period p a counter tells
how many symbols in a row were equal to the one p before: k repeats are a counter of at least (k - 1) * p.
"""

from hashlib import sha256
from struct import pack
from typing import Final

from otel_ext.signals.rule import Call

CYCLE: Final = "OTX-L005/ring"
"""The ring of `loop.cycle`, by which other rules see that a sequence is under way."""

_SIZE: Final = 16
_MODULUS: Final = 1 << 8 * _SIZE
_MOST: Final = 65_535


def symbol(*parts: bytes) -> bytes:
    """A digest of several of fixed length."""
    return sha256(b"".join(parts)).digest()[:_SIZE]


def outcome_of(call: Call) -> bytes:
    """A digest of a call and what came of it, as far as it is known; its arguments must be."""
    if not call.outcome:
        step = call.step
        came = step.result_hash or b""
        if step.error:
            came = b"E" + (step.error_hash or came)
        call.outcome = symbol(step.arguments_hash or b"", came)
    return call.outcome


def extend(ring: list[bytes], call: Call, member: bytes, longest: int) -> bool:
    """Add a call to the newest symbols; False when it is of an older round than the newest.

    Args:
        ring: counters before the newest symbol (b"" for all 0), the newest round's number, symbols; filled
            and kept here.
        call: the call; only its round is looked at.
        member: the call's symbol.
        longest: the longest period.
    """
    number = call.round.number
    if ring:
        newest = int.from_bytes(ring[1], "big")
        if number < newest:
            return False
        if number == newest:
            total = int.from_bytes(ring[-1], "big") + int.from_bytes(member, "big")
            ring[-1] = (total % _MODULUS).to_bytes(_SIZE, "big")
            return True
        counts = counters(ring)
        ring[0] = pack(f">{len(counts)}H", *counts) if any(counts) else b""
        ring[1] = number.to_bytes(8, "big")
    else:
        ring += [b"", number.to_bytes(8, "big")]
    ring.append(member)
    del ring[2 : -longest - 1]
    return True


def counters(ring: list[bytes]) -> list[int]:
    """By period, how many symbols in a row were equal to the one so far before; period 0 is not used."""
    if not ring:
        return []
    newest, count = ring[-1], len(ring) - 2
    found = [0] * count
    if ring.index(newest, 2) > count:
        return found  # nothing like it before: so it is with most
    before = ring[0]
    for period in range(1, count):
        if newest == ring[-1 - period]:
            had = int.from_bytes(before[2 * period : 2 * period + 2], "big")
            found[period] = min(had + 1, _MOST)
    return found


def period_of(counts: list[int], repeats: int) -> int:
    """The shortest period that was repeated so often; 0 when there is none."""
    for period in range(1, len(counts)):
        if counts[period] >= (repeats - 1) * period:
            return period
    return 0


def under_way(ring: list[bytes] | None) -> bool:
    """Whether the newest symbols go through a sequence of two or more for at least the third time."""
    if not ring:
        return False
    counts = counters(ring)
    return not any(counts[1:2]) and any(counts[period] > period for period in range(2, len(counts)))
