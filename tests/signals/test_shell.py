"""Words of a command line: as `shlex` has them, whatever the quotes."""

import random
import shlex
from collections.abc import Iterable

from otel_ext.signals.calls.shell import words_of


def all_of(words: Iterable[str]) -> list[str] | str:
    """The words, or that a quote is open."""
    try:
        return list(words)
    except ValueError:
        return "open"


def test_words_are_those_of_shlex() -> None:
    """Any signs in any order; most lines take the short way, some the long one."""
    chance = random.Random(1)
    for _ in range(20_000):
        text = "".join(
            chance.choice("ab =$#-.;&|()<>'\"\\ \t\r\x0b\u00a0é*") for _ in range(chance.randrange(14))
        )
        lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, ""
        assert all_of(words_of(text)) == all_of(lexer), text


def test_a_long_line_of_quotes_is_quick() -> None:
    """Neither of the two ways is more than linear: a line of quotes ends."""
    assert all_of(words_of("'\"" * 2_000 + "'")) == "open"
    assert all_of(words_of("a" * 20_000 + " '")) == "open"
