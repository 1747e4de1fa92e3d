"""File names of sessions."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from otel_ext.sessions import file_name, parse_name, session_of, stem
from otel_ext.telemetry import Telemetry

HOSTILE = [
    "a/b",
    "a.b",
    "a:b",
    "a_b",
    "a-b",
    "../../x",
    "",
    "\0",
    "%",
    "%00",
    "~",
    "🤖",
    ".",
    "..",
    "x" * 10_000,
    "x" * 10_001,
    "-",
    "A",
    "a",
]


def test_hostile_ids_get_distinct_names_inside_their_folder() -> None:
    """Path-like, empty, NUL, emoji and 10,000-character ids never meet and never leave the folder."""
    names = [file_name(text, 1) for text in HOSTILE]
    assert len(set(names)) == len(HOSTILE)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_%~-]+\.000001\.jsonl", name)
        assert len(name.encode()) <= 255


@given(st.text(), st.text())
@example("é" * 40, "é" * 41)
def test_two_ids_never_share_a_name(a: str, b: str) -> None:
    """Names are equal only when the ids are."""
    assert (stem(a) == stem(b)) == (a == b)


@given(st.text(max_size=200), st.integers(1, 10**9))
def test_a_name_is_read_back(session_id: str, sequence: int) -> None:
    """A name tells its stem and sequence; foreign names tell nothing."""
    assert parse_name(file_name(session_id, sequence)) == (stem(session_id), sequence, Telemetry.TRACES)
    assert parse_name(f"{stem(session_id)}.jsonl.tmp") is None
    for telemetry in Telemetry:
        name = file_name(session_id, sequence, telemetry)
        assert parse_name(name) == (stem(session_id), sequence, telemetry)
    assert file_name(session_id, 7, Telemetry.LOGS).endswith(".000007.logs.jsonl")


@given(st.text())
def test_a_short_name_tells_its_session(text: str) -> None:
    """What is readable in a name can be read back; of a long id only that it is long."""
    assert session_of(stem(text)) == (None if "~" in stem(text) else text)
