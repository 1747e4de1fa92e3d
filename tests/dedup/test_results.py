"""Results and failures: strict beside relaxed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.dedup import error_fingerprint, relaxed_result_hash, result_hash
from otel_ext.dedup.results import EDGE, MAX_WHOLE
from otel_ext.step import NOT_CAPTURED

VOLATILE = [
    ("built at 2025-01-02T03:04:05.678Z", "built at 2026-11-12T13:14:15Z"),
    ("[2025-01-02 03:04:05,123] up", "[2025-01-02 03:04:06,001] up"),
    ("12:00:01 ready", "12:00:02 ready"),
    ("job 0d9d6a1e-1111-2222-3333-444455556666", "job 1d9d6a1e-1111-2222-3333-444455556666"),
    ("<Page at 0x7f2a>", "<Page at 0x7f2b10>"),
    ("done in 12.3ms", "done in 12.4ms"),
    ("done in 0.5 s", "done in 3 seconds"),
    ("pid 4711 gone", "pid 4712 gone"),
    ("request id: req_8fH2kk29s", "request id: req_9aaaaaaaa"),
    ('ok\n\n[metadata] {"durationMs": 1}', 'ok\n\n[metadata] {"durationMs": 2, "x": {}}'),
]
PLAIN = [
    ("test_0 failed", "test_1 failed"),
    ("12 items", "13 items"),
    ("version 1.2.3", "version 1.2.4"),
    ("flight HAT069", "flight HAT070"),
    ("line 7s7", "line 8s8"),
    ("total 375", "total 376"),
    ("2024-05-13", "2024-05-14"),
]


@pytest.mark.parametrize(("one", "other"), VOLATILE)
def test_volatile_parts_are_seen_by_the_strict_hash_only(one: str, other: str) -> None:
    """Times, ids, addresses, durations and the metadata suffix differ strictly and agree relaxed."""
    assert result_hash(one) != result_hash(other)
    assert relaxed_result_hash(one) == relaxed_result_hash(other)


@pytest.mark.parametrize(("one", "other"), PLAIN)
def test_plain_digits_are_never_blurred(one: str, other: str) -> None:
    """A changed number is a changed result and another failure, strictly and relaxed."""
    assert result_hash(one) != result_hash(other)
    assert relaxed_result_hash(one) != relaxed_result_hash(other)
    assert error_fingerprint(one, {}) != error_fingerprint(other, {})


def test_large_results_are_known_by_their_ends_and_length() -> None:
    """Beyond the limit the head, the tail and the length count, and no short text poses as a long one."""
    long = "x" * (MAX_WHOLE + 1)
    assert result_hash(long) != result_hash("y" + long[1:])
    assert result_hash(long) != result_hash(long[:-1] + "y")
    assert result_hash(long) != result_hash(long + "x")
    assert result_hash(long) == result_hash(long[:EDGE] + "y" + long[EDGE + 1 :])
    assert result_hash(long) != result_hash(f"{len(long)}\0" + long[: 2 * EDGE][1:])


def test_structures_are_results_too() -> None:
    """A structured result is hashed by its canonical text, and odd values do not raise."""
    assert result_hash({"b": 1, "a": [2]}) == result_hash({"a": [2], "b": 1.0})
    assert result_hash(None) != result_hash("")
    assert len(relaxed_result_hash(NOT_CAPTURED)) == 16
    assert len(result_hash("\ud800")) == 16


def test_trail_page_down_is_one_failure() -> None:
    """TRAIL's commonest loop: the tool refuses one made-up keyword after another in the same words."""
    text = "TypeError: PageDownTool.forward() got an unexpected keyword argument '{}'"
    prints = {
        error_fingerprint(text.format(name), {name: value})
        for name, value in (("", ""), ("", {}), ("arguments", {}), ("page_down", ""))
    }
    assert len(prints) == 1
    assert error_fingerprint(text.format("x"), {"y": 1}) not in prints


@pytest.mark.parametrize("query", ["a b c", 'the "new" one', "it's {odd}", "x" * 300])
def test_quoted_arguments_are_stripped_whole(query: str) -> None:
    """A quoted argument value is left out, quotes and braces in it or not."""
    text = f"Exception: No results found for query: '{query}'. Use a less specific query."
    plain = "Exception: No results found for query: 'plain'. Use a less specific query."
    assert error_fingerprint(text, {"query": query}) == error_fingerprint(plain, {"query": "plain"})
    assert error_fingerprint(text, {"query": "other"}) != error_fingerprint(plain, {"query": "plain"})


def test_a_failure_is_named_by_its_words() -> None:
    """Blanks and volatile parts do not matter, the words and short quoted text do, at both ends."""
    dump = "x " * 9_000
    assert error_fingerprint(f"{dump}9 failed", {}) != error_fingerprint(f"{dump}8 failed", {})
    assert error_fingerprint(f"1 {dump}", {}) != error_fingerprint(f"2 {dump}", {})
    assert error_fingerprint("a  b\n c after 3 s", {}) == error_fingerprint("a b c after 12 s", None)
    assert error_fingerprint("no 'a'", {"cmd": "cat"}) != error_fingerprint("no 'c'", {"cmd": "cat"})


@given(
    st.text(),
    st.recursive(
        st.none() | st.text() | st.floats() | st.integers(),
        lambda i: st.lists(i) | st.dictionaries(st.text(), i),
    ),
)
def test_fingerprints_are_total(text: str, arguments: object) -> None:
    """Any text and any arguments have a fingerprint."""
    assert len(error_fingerprint(text, arguments)) == 16
