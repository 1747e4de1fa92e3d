"""Shortcuts say exactly what the long way says."""

import enum
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.dedup import canonical, relaxed_result_hash, result_hash
from otel_ext.dedup.arguments import _write  # the definition itself
from otel_ext.dedup.plain import plain_json
from otel_ext.dedup.results import result_hashes
from otel_ext.dedup.volatile import _slow, without_volatile
from tests.dedup.test_arguments import ANYTHING, JSON

WORDS = (
    "5 12 2024 - 01 T 03 : . , s ms µs μs min minutes secs _ x é € 10:11:12 pid PID pId process thread id = "
    "# Process ID request Request x- req_abcdefgh 0x ff 1x deadbeef -1234 -abcd 7 "
    "123e4567-e89b-12d3-a456-426614174000 2024-01-02T03:04:05.678Z"
)
PIECES = [*WORDS.split(), *' \n\t\0"\ud800\uff17\u2003\u017f']
BORDERS = [sign * (1 << bits) + by for sign in (1, -1) for bits in (53, 63, 64, 400) for by in (-1, 0, 1)]


@given(JSON | ANYTHING | st.dictionaries(st.text(st.characters(max_codepoint=127)), JSON, max_size=5))
def test_plain_json_is_written_like_everything_else(value: Any) -> None:
    """Where the fast writer answers at all, it answers what the exact one does."""
    text = plain_json(value)
    if text is not None:
        assert text.decode() == canonical(value) == _write(value, 0, [])


def test_every_character_is_escaped_alike() -> None:
    """As a value; as a key, where only ASCII is plain."""
    for code in range(sys.maxunicode + 1):
        value = [chr(code)]
        assert plain_json(value) in (None, canonical(value).encode("utf-8", "surrogatepass"))
    for code in range(256):
        keyed = {chr(code): 1, "a": 2}
        assert plain_json(keyed) in (None, canonical(keyed).encode())


@pytest.mark.parametrize("number", [*BORDERS, 10**4299, 10**4300, -(10**5000)], ids=int.bit_length)
def test_every_int_keeps_its_digits(number: int) -> None:
    """Around each size at which some encoder gives up; the exact writer takes what remains."""
    assert plain_json({"a": number}) in (None, canonical({"a": number}).encode())


class Name(enum.StrEnum):
    """A text that is not just text."""

    A = "a"


@pytest.mark.parametrize(
    "value",
    [
        1,
        "a",
        None,
        {"a": 1.0},
        {"é": 1},
        {1: 1},
        {Name.A: 1},
        [Name.A],
        ["\ud800"],
        ({"a": 1},),
    ],
)
def test_what_is_not_plain_is_left_to_the_exact_writer(value: object) -> None:
    """Scalars, doubles, other keys, subclasses, lone surrogates, tuples."""
    assert plain_json(value) is None


def test_nesting_and_circles_are_not_plain() -> None:
    """Deep values and those that hold themselves go the long way, and end."""
    circle: list[Any] = []
    circle.append(circle)
    assert plain_json(circle) is None
    deep: Any = 1
    for _ in range(20):
        deep = {"a": deep}
    assert plain_json(deep) is None


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text())
def test_a_shape_finds_what_the_text_holds(text: str) -> None:
    """Searching in the shape replaces what the patterns replace in the text itself, be it a long one."""
    for whole in (text, text + " x" * 2_000, "x " * 2_000 + text, f"{text}{'-' * 3_000}{text}"):
        assert without_volatile(whole) == _slow(whole)


@pytest.mark.parametrize("piece", ["", "x" * 30_000, "x 7 " * 9_000, "5 min ", "é" * 99, "12:00:01", "µ 5 s"])
def test_a_volatile_part_is_found_wherever_it_stands(piece: str) -> None:
    """At either end and in the middle of long texts."""
    for part in (
        "9 minutes",
        "2024-01-02T03:04:05+01:00",
        "pid 77",
        "0xff",
        "req_12345678",
        "X-Request-Id: 5",
    ):
        for text in (part, f"{part} {piece}", f"{piece} {part}", f"{piece} {part} {piece}"):
            assert without_volatile(text) == _slow(text) != text


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join) | JSON)
def test_both_hashes_of_a_result_are_the_single_ones(result: object) -> None:
    """Taken together or one by one."""
    assert result_hashes(result) == (result_hash(result), relaxed_result_hash(result))
