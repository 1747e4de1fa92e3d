"""What a model said, digested: equal, alike, or the same passage over and over.

Law of this file: two answers are compared by digests of a bounded part of them, and an answer that was not
captured is none (L10). What repeats by its nature (code, tables, lists, headings) is never a chant.

The sketch is a 64-bit SimHash of word pairs. All pairs are hashed and all bits are counted at once, in
integers of some kilobytes: about 25 µs for 150 words, and nothing for answers below `FEWEST_SKETCHED`.
"""

import re
import sys
from array import array
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Final
from zlib import crc32

from otel_ext.step import NOT_CAPTURED, Observation, Said

LONGEST: Final = 65_536
"""Characters of an answer that its hash and its number of words cover."""

LONGEST_SKETCHED: Final = 2_048
"""Characters of an answer that its sketch covers."""

FEWEST_SKETCHED: Final = 20
"""Words below which an answer gets no sketch: two short ones are alike by chance."""

MOST_TOKENS: Final = 400
"""Words at an answer's end that are searched for a chant."""

_TAIL: Final = 16 * MOST_TOKENS
"""Characters at its end in which they are looked for."""

LONGEST_PERIOD: Final = 16
"""Words of a passage that may be chanted."""

FEWEST_REPEATS: Final = 4
FEWEST_CHANTED: Final = 12
"""Repeats and words that a chant has at least."""

CHUNK: Final = 50
FEWEST_CHUNKS: Final = 10
SPACING: Final = 250
"""A longer passage: its last 50 characters at least ten times, 250 characters apart on average."""

LONGEST_FINISH: Final = 64

# Where a text's form repeats by itself: code fences, tables, lists, headings, quotes, dividers.
_STRUCTURE = re.compile(r"^[ \t]*(?:```|~~~|\||[-*+>#=]|\d{1,3}[.)]\s)[^\n]*\n?", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)

_WORD = re.compile(r"\w+")
_ESCAPE = re.compile(r"\\[ntr]")
_SPREAD = 0x9E3779B97F4A7C15  # a word's 32 bits become 64
_NOTHING = ("0", "None", "False")


def said_of(observation: Observation, code: bytes | None = None) -> Said | None:
    """The digest of a model's answer, `code` being that of the code in it; None when it was not captured."""
    text = observation.text
    finish = observation.finish[:LONGEST_FINISH].encode("utf-8", "replace").decode()
    if text is NOT_CAPTURED or not isinstance(text, str):
        return Said(finish=finish) if finish else None
    words = text[:LONGEST].split()
    if not words:
        return Said(finish=finish, captured=True)
    return Said(
        hash=_digest(" ".join(words).lower()),
        words=len(words),
        sketch=sketch(text) if len(words) >= FEWEST_SKETCHED else 0,
        repeats=_chant(text, words) if len(words) >= FEWEST_CHANTED else 0,
        finish=finish,
        captured=True,
        code=code,
    )


def own_words(call: Observation) -> int:
    """How many words a result has when each of them stands in the call itself, else -1.

    Code that searches in vain prints its own labels ("Files found: []"): it has told the model nothing that
    the model had not written. Noughts, None and False are what an empty search counts.
    """
    if call.error or not isinstance(call.result, str) or not isinstance(call.arguments, Mapping):
        return -1
    known: set[str] | None = None
    count = 0
    for found in _WORD.finditer(call.result[:LONGEST]):
        if known is None:
            written = " ".join(value for value in call.arguments.values() if isinstance(value, str))
            known = {*_NOTHING, *_WORD.findall(_ESCAPE.sub(" ", written[:LONGEST]))}
        if found[0] not in known:
            return -1
        count += 1
    return count


def sketch(text: str) -> int:
    """The 64-bit SimHash of a text's word pairs, letter case evened out; 0 for less than two words."""
    words = text[:LONGEST_SKETCHED].lower().encode("utf-8", "replace").split()
    count = len(words) - 1
    if count < 1:
        return 0
    hashed = array("I", bytes(16 * len(words)))
    hashed[::4] = array("I", map(crc32, words))
    if sys.byteorder == "big":
        hashed.byteswap()
    # One multiplication spreads each word's 32 bits over 64, in 128 bits of room; the lower half counts.
    room = (int.from_bytes(hashed.tobytes(), "little") * _SPREAD).to_bytes(16 * len(words), "little")
    every = int.from_bytes(array("Q", room)[::2].tobytes(), "little")
    # Each word's 64 bits meet those of the next one, moved by three so that the order counts.
    pairs = (every ^ (every >> 61)).to_bytes(8 * len(words), "little")[: 8 * count]
    found, half, masks = 0, count >> 1, _masks(count)
    for place in range(0, 64, 8):
        column = int.from_bytes(pairs[place >> 3 :: 8], "little")
        for bit, mask in masks:
            if (column & mask).bit_count() > half:
                found |= bit << place
    return found


def likeness(one: int, other: int) -> float:
    """How alike two sketches are: 1.0 for equal ones, about 0.5 for texts that have nothing in common."""
    return 1 - (one ^ other).bit_count() / 64


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "replace")).digest()[:16]


@lru_cache(maxsize=256)
def _masks(count: int) -> list[tuple[int, int]]:
    """Each bit of a byte, and that bit of so many bytes."""
    return [(1 << bit, int.from_bytes(bytes([1 << bit]) * count, "little")) for bit in range(8)]


def _chant(text: str, words: list[str]) -> int:
    """How often the text's end repeats one passage; 0 when it does not."""
    tail = text[-_TAIL:]
    words = (words if len(text) <= _TAIL else tail.split())[-MOST_TOKENS:]
    # Most answers repeat nothing. What repeats after the last structure does so with all before it, too.
    if (
        not _periodic(words)
        and not _periodic(words[:-1])
        and tail.count(tail.rstrip()[-CHUNK:]) < FEWEST_CHUNKS
    ):
        return 0
    if len(_FENCE.findall(text[:LONGEST])) % 2:
        return 0  # the end is code
    tail = _STRUCTURE.split(tail)[-1]
    words = tail.split()[-MOST_TOKENS:]
    # An answer that was cut off ends in a piece of a word.
    return max(_periodic(words), _periodic(words[:-1]), _chunks(tail))


def _periodic(words: list[str]) -> int:
    count = len(words)
    for period in range(1, min(LONGEST_PERIOD, count // FEWEST_REPEATS) + 1):
        run = 0
        while run < count - period and words[-1 - run] == words[-1 - run - period]:
            run += 1
        repeats = run // period + 1
        if repeats >= FEWEST_REPEATS and repeats * period >= FEWEST_CHANTED:
            return repeats
    return 0


def _chunks(tail: str) -> int:
    tail = tail.rstrip()
    chunk = tail[-CHUNK:]
    if len(chunk) < CHUNK or len(set(chunk)) < 4:
        return 0
    repeats = tail.count(chunk)
    if repeats < FEWEST_CHUNKS:
        return 0
    return repeats if (len(tail) - tail.index(chunk)) / repeats <= SPACING else 0
