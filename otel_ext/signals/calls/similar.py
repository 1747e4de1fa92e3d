"""How alike two texts are, told from a few bytes of each.

Law of this file: a sketch is deterministic, bounded and cheap, and two sketches of no words are not alike.
It is the bottom-k form of MinHash: the `KEPT` smallest digests of a text's distinct words. Of a text with
no more words than that it holds all of them, so for a search's arguments the likeness is exact.
"""

import re
from functools import lru_cache
from struct import pack, unpack
from typing import Final
from zlib import crc32

from otel_ext.step import Effect, Step

_READ = Effect.READ

KEPT: Final = 32
"""Digests in a sketch."""

LONGEST: Final = 1024
"""Characters of a text whose words are taken."""

LITTLE: Final = 6
"""Different words that say little, at most."""

_SAMPLE: Final = 256
_WIDTH: Final = 4
_BLANKS = bytes(code if chr(code).isalnum() or chr(code) == "_" else 32 for code in range(128)) + bytes(128)
# Letters beyond ASCII come as UTF-8: a script of three-byte letters (Chinese, Japanese) has no blanks, so
# there a letter is a word; in the others a run of letters is.
_WORD = re.compile(rb"[a-z0-9_]+|[\xe0-\xef][\x80-\xbf]{2}|[\xc2-\xdf\xf0-\xf4\x80-\xbf]+")


def sketch(text: str) -> bytes:
    """The sketch of a text's words, letter case evened out; b"" when it has none. About 10 us a KiB."""
    return _sketch(text[:LONGEST])


@lru_cache(maxsize=512)  # half of the texts in traces of agents are such as came shortly before
def _sketch(text: str) -> bytes:
    text = text.lower()
    if text.isascii():
        found = set(text.encode().translate(_BLANKS).split())
    else:
        found = set(_WORD.findall(text.encode("utf-8", "replace")))
    kept = sorted(set(map(crc32, found)))[:KEPT]
    return pack(f">{len(kept)}I", *kept)


def samples(text: str) -> str:
    """A text, or of a long one its beginning, middle and end: headers alone would make all alike."""
    if len(text) <= 3 * _SAMPLE:
        return text
    middle = len(text) // 2
    return f"{text[:_SAMPLE]} {text[middle : middle + _SAMPLE]} {text[-_SAMPLE:]}"


def says_little(words: bytes) -> bool:
    """Whether a text has so few different words that many others are like it ("ok", "no output")."""
    return len(words) <= _WIDTH * LITTLE


def silent(step: Step) -> bool:
    """Whether a call's result says little where silence is usual: no question, and not known to be a read."""
    subject = step.subject
    if subject is None or step.effect is _READ:
        return False
    return not subject.asks and says_little(subject.result_words)


def likeness(one: bytes, other: bytes) -> float:
    """The Jaccard index of two texts' words, by their sketches: shared words / all words, 0 to 1."""
    if not one or not other:
        return 0.0
    if one == other:
        return 1.0
    first, second = _digests(one), _digests(other)
    shared = first & second
    every = len(first) + len(second) - len(shared)
    if every > KEPT and shared:
        return sum(digest in shared for digest in sorted(first | second)[:KEPT]) / KEPT
    return len(shared) / every


@lru_cache(maxsize=256)  # a call is compared with several others, and they with several later ones
def _digests(data: bytes) -> frozenset[int]:
    return frozenset(unpack(f">{len(data) // _WIDTH}I", data))
