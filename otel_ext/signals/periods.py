"""Sequences that repeat: the shortest period of the newest rounds, in a bounded memory.

Law of this file: a round is one symbol, the sum of its calls' digests, so that the order of parallel calls
does not matter; a call that joins the newest round changes that symbol. For each period p a counter tells
how many symbols in a row were equal to the one p before: k repeats are a counter of at least (k - 1) * p.
"""

from hashlib import sha256
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


def extend(ring: list[bytes], call: Call, member: bytes, longest: int) -> bool:
    """Add a call to the newest symbols; False when it is of an older round than the newest.

    Args:
        ring: counters before the newest symbol, the newest round's number, symbols; filled and kept here.
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
        ring[0] = b"".join(min(count, _MOST).to_bytes(2, "big") for count in counters(ring))
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
    before, symbols = ring[0], ring[2:]
    newest = symbols[-1]
    found = [0]
    for period in range(1, len(symbols)):
        had = int.from_bytes(before[2 * period : 2 * period + 2], "big")
        found.append(had + 1 if newest == symbols[-1 - period] else 0)
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
