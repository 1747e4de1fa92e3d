"""What is told by keys alone against what reading every value tells."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from otel_ext import conventions
from otel_ext.dedup import Window
from otel_ext.pipeline.noticed import HINT, OURS, SESSION, Notes, hinted, note_of
from otel_ext.pipeline.outbox.entry import Edits
from otel_ext.pipeline.spans import SpanReader
from otel_ext.pipeline.spansteps import StepReader
from otel_ext.pipeline.unfinished import Unfinished
from otel_ext.span import Span
from tests.conventions.wire import span_request

KEYS = st.sampled_from(
    [
        *conventions.session_keys,
        "metadata",
        "gen_ai.system",
        "otel_ext.mark.crashed",
        "plain",
        "mcp.session.id",
    ]
)
VALUES = st.sampled_from(
    ["", "one", "two", "gen_ai.x", '{"thread_id":"three"}', {"session_id": "four"}, 7, True, None, "x" * 300]
)


def made(attributes: dict[str, Any], number: int) -> Span:
    """A span of its own trace."""
    ids = number.to_bytes(16, "big"), b"an ident"
    return Span(*ids, b"", "a span", 1, 1_749_650_492_598_000_000, 1_749_650_492_598_000_001, attributes)


@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=1, max_size=5))
def test_a_session_is_the_one_that_all_attributes_give(spans: list[dict[str, Any]]) -> None:
    """Each span's own session id, by the same reader one after the other."""
    members: Any = Unknown()
    reader = SpanReader(Window(), members, Unfinished(1, 1), StepReader({}), Edits())
    for number, attributes in enumerate(spans, 1):
        [[item]] = reader.read(span_request(made(attributes, number)), 0).runs
        assert item.own == (conventions.session_of(attributes) or "")


class Unknown:
    """Members of an engine that knows no trace."""

    def trace(self, trace_id: bytes) -> None:
        """None."""


@given(st.text(st.characters(codec="utf-8")), st.sampled_from(["", *map(bytes.decode, conventions.hints)]))
def test_a_hint_is_found_wherever_it_stands_in_a_name(text: str, hint: str) -> None:
    """A name with a hint in it is one that a convention may know."""
    name = text + hint + text
    assert hinted(name) == any(one in name.encode() for one in conventions.hints)


@given(st.lists(KEYS))
def test_notes_are_put_together(keys: list[str]) -> None:
    """All notes in one, and the places of those that may name the session."""
    pairs = [key.encode() for key in keys]
    together, pick = Notes()[tuple(map(note_of, keys))]
    assert bool(together & SESSION) == (pick is not None)
    assert bool(together & HINT) == any(map(hinted, keys))
    assert bool(together & OURS) == any(key.startswith("otel_ext.") for key in keys)
    if pick is not None:
        picked = pick(pairs)
        naming = [
            pair for pair, key in zip(pairs, keys, strict=True) if key in conventions.session_attributes
        ]
        assert naming == ([picked] if isinstance(picked, bytes) else list(picked))
