"""What a span may be, told by its attributes' keys and its name before any value is looked at.

Law of this file: a memo depends on names alone, so it may be forgotten at any time and no result changes. A
name that says nothing here changes nothing of what is made of its span.
"""

from collections.abc import Callable
from functools import lru_cache, reduce
from operator import itemgetter, or_
from typing import Any, Final, TypeAlias

from otel_ext import conventions

HINT, SESSION, OURS = 1, 2, 4
"""Notes on a key: a convention may know it; it may name the session; it is one of our own."""

_OURS: Final = "otel_ext."
_MOST: Final = 4096
"""Names and sequences of notes that are remembered."""


@lru_cache(maxsize=_MOST)
def note_of(key: str) -> int:
    """The notes on an attribute's key."""
    return hinted(key) * HINT | (key in conventions.session_attributes) * SESSION | (_OURS in key) * OURS


@lru_cache(maxsize=_MOST)
def hinted(name: str) -> bool:
    """Whether a convention may know a span by its name, or by an attribute of that name."""
    encoded = name.encode()
    return any(hint in encoded for hint in conventions.hints)


_Found: TypeAlias = tuple[int, Callable[[list[bytes]], Any] | None]


class Notes(dict[tuple[int, ...], _Found]):
    """The notes on each of a span's keys -> all together, and what picks attributes that name its session."""

    def __missing__(self, notes: tuple[int, ...]) -> _Found:
        if len(self) >= _MOST:
            self.clear()
        sessions = [place for place, note in enumerate(notes) if note & SESSION]
        picks = itemgetter(*sessions) if sessions else None
        found = self[notes] = reduce(or_, notes, 0), picks
        return found
