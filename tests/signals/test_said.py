"""What a model said, digested: equal, alike, chanted, or telling nothing."""

from itertools import pairwise
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.signals import own_words, said_of
from otel_ext.signals.calls.said import FEWEST_SKETCHED, likeness, sketch
from otel_ext.step import NOT_CAPTURED, Kind, Observation

PROSE = (
    "The failing test expects an iterator, but the class only defines a comparison, so I will look at the "
    "module that defines it and see which of the two methods is missing before I change anything at all"
)


def said(text: object, finish: str = "") -> object:
    """The digest of an answer."""
    return said_of(Observation(kind=Kind.LLM, text=text, finish=finish))


def test_what_was_not_captured_is_no_answer() -> None:
    """An answer that was withheld says nothing; an empty one says that it is empty."""
    assert said(NOT_CAPTURED) is None
    cut = said_of(Observation(kind=Kind.LLM, finish="length"))
    assert cut is not None
    assert not cut.captured
    empty = said_of(Observation(kind=Kind.LLM, text=" \n"))
    assert empty is not None
    assert (empty.captured, empty.hash, empty.words) == (True, None, 0)


def test_blanks_and_letter_case_do_not_count() -> None:
    """Equal but for blanks and letter case is equal; anything else is not."""
    assert said("Done.\n\n  Next") == said("done. next")
    assert said("done. next") != said("done next")


CHANTS = [
    "I will try again. " * 6,
    "Here is my plan. " + "and then and then " * 8,
    "- a list first\n- of two\n" + "no no no no " * 5,
    "ok " * 40,
    "I will try again. " * 6 + "I will",
    "I see that the tests have not been run yet, so let me look at how they are configured before " * 12,
]

NO_CHANTS = [
    PROSE,
    "yes, yes, yes",
    "```\nfoo bar\nfoo bar\nfoo bar\nfoo bar\nfoo bar\nfoo bar\nfoo bar\n",
    "| a | b |\n" * 20,
    "- [ ] done\n" * 20,
    "1. done\n" * 20,
    "-----\n" * 30,
    "# Title\n" * 20,
    "I will try again. I will try again. I will try again.",
]


@pytest.mark.parametrize("text", CHANTS)
def test_a_chant_is_heard(text: str) -> None:
    """An end that repeats one passage is a chant, also when it was cut off."""
    found = said_of(Observation(kind=Kind.LLM, text=text))
    assert found is not None
    assert found.repeats >= 4


@pytest.mark.parametrize("text", NO_CHANTS)
def test_what_repeats_by_its_form_is_no_chant(text: str) -> None:
    """Code, tables, lists, headings and dividers repeat by nature."""
    found = said_of(Observation(kind=Kind.LLM, text=text))
    assert found is not None
    assert found.repeats == 0


def test_alike_texts_have_alike_sketches() -> None:
    """A word changed leaves the sketch close, another text is far; order counts, letter case does not."""
    words = PROSE.split()
    one = sketch(PROSE)
    assert likeness(one, sketch(PROSE.upper())) == 1
    assert likeness(one, sketch(" ".join([*words[:20], "certainly", *words[21:]]))) > 0.8
    assert likeness(one, sketch(" ".join(reversed(words)))) < 0.75
    assert likeness(one, sketch("page " + " ".join(str(n) for n in range(60)))) < 0.75


@given(st.lists(st.sampled_from(["a", "b", "ü", "\ud800", "0"]), max_size=80).map(" ".join))
def test_a_sketch_is_the_majority_of_its_pairs(text: str) -> None:
    """The fast count of bits says what a plain one says, whatever the words are."""
    words = [crc32(word) * 0x9E3779B97F4A7C15 % 2**64 for word in text.encode("utf-8", "replace").split()]
    pairs = [one ^ ((one >> 61 | other << 3) & (2**64 - 1)) for one, other in pairwise(words)]
    plain = sum(1 << bit for bit in range(64) if pairs and 2 * sum(p >> bit & 1 for p in pairs) > len(pairs))
    assert sketch(text) == plain


@given(st.text(max_size=300), st.text(max_size=20))
def test_any_text_has_a_digest(text: str, finish: str) -> None:
    """Nothing raises, and the same text gives the same digest."""
    one, two = said(text, finish), said(text, finish)
    assert one == two
    assert said_of(Observation(kind=Kind.LLM, text=text * 50)) is not None


def test_short_answers_are_not_compared_by_sketch() -> None:
    """Two short answers are alike by chance."""
    found = said_of(Observation(kind=Kind.LLM, text="word " * (FEWEST_SKETCHED - 1)))
    assert found is not None
    assert found.sketch == 0


def ran(code: str, result: object, *, error: bool = False) -> int:
    """The own words of code with this outcome."""
    return own_words(
        Observation(kind=Kind.TOOL, name="python", arguments={"code": code}, result=result, error=error)
    )


def test_output_that_the_code_wrote_itself_tells_nothing() -> None:
    """Labels around an empty find are the code's own words; one foreign word is news."""
    search = 'print("Files found:", [f for f in tree if f.endswith("json.py")])'
    assert ran(search, "Files found: []") == 2
    assert ran('print("\\nNo parser: " + str(n))', "No parser: 0") == 3
    assert ran(search, "") == 0
    assert ran(search, "Files found: ['src/json.py']") == -1
    assert ran("print(len(tree))", "12") == -1
    assert ran(search, "Files found: []", error=True) == -1
    assert ran(search, NOT_CAPTURED) == -1
