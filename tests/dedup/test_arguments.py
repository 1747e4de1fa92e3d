"""The argument hash: total, canonical, exact."""

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.dedup import CANONICALIZATION, arguments_hash, canonical, relaxed_hash

VECTORS = json.loads(resources.files("otel_ext.dedup").joinpath("vectors.json").read_text("utf-8"))

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ANYTHING = st.recursive(
    SCALARS | st.floats() | st.binary() | st.dates() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.none() | st.binary(), inner, max_size=3)
        | st.frozensets(st.integers() | st.text(), max_size=3)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda v: v["why"])
def test_published_vectors(vector: dict[str, str]) -> None:
    """The shipped vectors are what the code computes, and their hashes follow from their canonical text."""
    assert VECTORS["canonicalization"] == CANONICALIZATION
    assert canonical(vector["input"]) == vector["canonical"]
    preimage = f"{vector['tool']}\n{vector['canonical']}".encode()
    assert hashlib.sha256(preimage).digest()[:16].hex() == vector["sha256_128"]
    assert arguments_hash(vector["tool"], vector["input"]).hex() == vector["sha256_128"]
    assert arguments_hash(vector["tool"], vector["input"], key=b"otel_ext").hex() == vector["hmac_sha256_128"]


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000001", "5e-324"),
        ("8000000000000000", "0"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_doubles_are_written_as_rfc_8785_appendix_b_says(bits: str, text: str) -> None:
    """The sample doubles of RFC 8785, Appendix B."""
    assert canonical(struct.unpack(">d", bytes.fromhex(bits))[0]) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_is_read_back(number: float) -> None:
    """The written double is the double, for every double."""
    assert float(canonical(number)) == number


@given(JSON)
def test_text_and_structure_agree(value: Any) -> None:
    """An object or array hashes the same as structure and as JSON text in any spelling of it."""
    if isinstance(value, dict | list):
        for text in (json.dumps(value), json.dumps(value, indent=2, ensure_ascii=False)):
            assert canonical(text) == canonical(value)


@given(JSON)
def test_the_canonical_text_of_json_is_json(value: Any) -> None:
    """What JSON can say stays valid JSON, and that text's canonical text is itself."""
    text = canonical([value])
    assert canonical(json.loads(text)) == canonical(text) == text


@given(st.dictionaries(st.text(), JSON), st.randoms())
def test_key_order_does_not_matter(value: dict[str, Any], random: Any) -> None:
    """Objects that differ in the order of keys have one hash."""
    items = list(value.items())
    random.shuffle(items)
    assert arguments_hash("t", dict(items)) == arguments_hash("t", value)


@given(st.integers(-(2**53), 2**53))
def test_number_spelling_does_not_matter(number: int) -> None:
    """100, 100.0 and 1e2 are one number as far as doubles are exact."""
    spellings = [
        str(number),
        f"{number}.0",
        f"{number}e0",
        f"{number * 10}E-1" if abs(number) < 2**49 else str(number),
    ]
    assert len({canonical(f'{{"n":{s}}}') for s in spellings}) == 1


@given(st.integers(2**53), st.integers(1, 1000))
def test_big_integers_stay_exact(number: int, step: int) -> None:
    """Snowflake ids that differ by one differ, however large, and keep their digits."""
    assert arguments_hash("t", {"id": number}) != arguments_hash("t", {"id": number + step})
    assert canonical(number) == str(number)


@given(ANYTHING)
def test_it_is_total(value: Any) -> None:
    """Any value has a canonical text that is valid Unicode, and a hash of 16 bytes."""
    assert canonical(value).encode("utf-8")
    assert len(arguments_hash("tool", value)) == 16


class _Hostile(Mapping[str, int]):
    """Raises whatever is asked of it."""

    def __getitem__(self, key: str) -> int:
        raise OSError

    def __iter__(self) -> Iterator[str]:
        raise ZeroDivisionError

    def __len__(self) -> int:
        raise MemoryError

    def __repr__(self) -> str:
        raise RuntimeError


def _cycle(levels: int) -> list[Any]:
    inner: list[Any] = []
    outer: Any = inner
    for _ in range(levels):
        outer = [outer]
    inner.append(outer)
    return inner


def _deep(levels: int, core: object) -> object:
    for _ in range(levels):
        core = [core]
    return core


def test_odd_values_have_forms_of_their_own() -> None:
    """Nothing that JSON cannot say shares a text with anything else."""
    texts = [
        canonical(value)
        for value in (
            None,
            "null",
            True,
            1,
            "1",
            "",
            {},
            [],
            set(),
            b"",
            b"a",
            "a",
            math.nan,
            math.inf,
            -math.inf,
            "!nan",
            10**5000,
            10**5000 + 1,
            {1: 1},
            {"1": 1},
            {None: 1},
            {b"1": 1},
            {1, 2},
            [1, 2],
            _cycle(0),
            _cycle(1),
            _deep(70, 1),
            _deep(70, 2),
            _deep(100_000, 1),
            object,
            _Hostile(),
            "\ud800",
            "\\ud800",
            ...,
        )
    ]
    assert len(set(texts)) == len(texts)


def test_an_object_without_a_text_of_its_own_is_not_named_by_its_address() -> None:
    """Hashes are the same in every process, so addresses are left out."""
    assert canonical([object()]) == canonical([object()])


def test_the_boundary_between_tool_and_arguments_is_unambiguous() -> None:
    """Neither another tool nor a newline in a name makes two calls equal."""
    assert arguments_hash("a", {}) != arguments_hash("b", {})
    assert arguments_hash('a\n""', "") != arguments_hash("a", '""\n""')
    assert arguments_hash("\ud800", {}) != arguments_hash("\ud801", {})


def test_relaxed_leaves_out_labels_and_only_those() -> None:
    """The second hash ignores top-level labels; it is absent where it would say nothing or everything."""
    first = relaxed_hash("Bash", {"command": "ls", "description": "List files"})
    assert first == relaxed_hash("Bash", '{"description": "List all", "timeout": 5, "command": "ls"}')
    assert first == arguments_hash("Bash", {"command": "ls"})
    assert relaxed_hash("Bash", {"command": "ls"}) is None
    assert relaxed_hash("Bash", {"options": {"reason": "x"}}) is None
    assert relaxed_hash("think", {"thought": "I should stop"}) is None
    assert relaxed_hash("echo", "description") is None
