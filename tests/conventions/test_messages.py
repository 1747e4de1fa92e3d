"""Genuine user turns, and the calls that a response asked for."""

import json
import time
from typing import Any

import pytest

from otel_ext.conventions.answers import answer_of
from otel_ext.conventions.messages import MAX_TURN, flat_turns, smolagents_turns, turns


def text(content: str, role: str = "user") -> dict[str, Any]:
    """A message with one text part."""
    return {"role": role, "parts": [{"type": "text", "content": content}]}


ANSWER = {"role": "user", "parts": [{"type": "tool_call_response", "id": "c", "response": "r"}]}

HISTORIES: list[tuple[list[Any], tuple[int | None, str]]] = [
    ([], (0, "")),
    ([text("a")], (1, "a")),
    ([text("s", "system"), text("a"), text("x", "assistant"), text("b"), ANSWER], (2, "b")),
    ([text("<task-notification>\n<task-id>b5</task-id>")], (0, "")),
    ([text("\n <system-reminder>x")], (0, "")),
    (
        [{"role": "user", "parts": [*text("<system-reminder>x")["parts"], *text("real")["parts"]]}],
        (1, "real"),
    ),
    ([{"role": "user", "content": "openai"}], (1, "openai")),
    ([{"role": "human", "content": [{"type": "text", "text": "anthropic"}]}], (1, "anthropic")),
    ([{"role": "user", "content": [{"type": "tool_result", "content": "r"}]}], (0, "")),
    ([{"role": "user", "parts": [{"type": "blob", "mime_type": "image/png"}]}], (1, "[blob]")),
    (
        [{"role": "user", "parts": []}, {"role": "user"}, {}, {"role": 7}, {"role": "user", "parts": 7}],
        (0, ""),
    ),
    ([text("y" * 9_999)], (1, "y" * MAX_TURN)),
]


@pytest.mark.parametrize(("messages", "expected"), HISTORIES)
def test_turns_of_text_and_structure(messages: list[Any], expected: tuple[int, str]) -> None:
    """The same count and text from JSON text and from structure."""
    assert turns(json.dumps(messages)) == turns(messages) == expected


@pytest.mark.parametrize(
    "unreadable", [None, 7, b"[]", "", "not json", '[{"role": "user"', "{}", "[1]", "[\ud800]"]
)
def test_what_cannot_be_read_is_unknown(unreadable: Any) -> None:
    """An absent, cut or foreign history has an unknown number of turns."""
    assert turns(unreadable) == (None, "")


def test_smolagents_counts_tasks_only() -> None:
    """Its observations, plans and facts are no turns although of the user role; planning is unknown."""
    memory = [
        ("system", "You are"),
        ("user", "New task:\nfind x"),
        ("user", "[FACTS LIST]:\nnone"),
        ("user", "Calling tools:\n[]"),
        ("tool-response", "Call id: 1\nObservation:\nx"),
        ("user", "You're still working towards solving this task"),
    ]
    assert smolagents_turns(memory) == (1, "New task:\nfind x")
    assert smolagents_turns([*memory, ("user", "New task:\nfind y")]) == (2, "New task:\nfind y")
    assert smolagents_turns([("user", "You are a world expert at making plans")]) == (None, "")
    assert flat_turns([("user", "Observation: x"), ("user", "hello")]) == (1, "hello")


def test_issued_ids() -> None:
    """Ids come in order, from parts or from OpenAI's own shape; what has none gives none."""
    parts = [
        {
            "role": "assistant",
            "parts": [
                {"type": "text", "content": "tool_call"},
                {"type": "tool_call", "id": "a"},
                {"type": "tool_call", "id": None},
                {"type": "tool_call", "id": "b", "name": "n", "arguments": {"id": "z"}},
            ],
        }
    ]
    assert answer_of(json.dumps(parts)).issued == answer_of(parts).issued == ("a", "b")
    assert answer_of('[{"role": "assistant", "tool_calls": [{"id": "c"}]}]').issued == ("c",)
    for nothing in (
        None,
        "",
        "tool_call",
        7,
        [],
        [7],
        [{"parts": 7}],
        '[{"parts": [{"type": "tool_call"}]}]',
        [b"\xff"],
    ):
        assert answer_of(nothing).issued == ()


def test_long_histories_are_read_without_decoding_their_bodies() -> None:
    """A long history costs a fraction of decoding it, although every body is an answer to skip."""
    body = {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": "c", "response": [{"k": i} for i in range(400)]}],
    }
    histories = [json.dumps([text(f"{number}"), *[body] * 200]) for number in range(5)]

    def cost(read: Any) -> float:
        best = 1.0
        for history in histories:
            start = time.perf_counter()
            read(history)
            best = min(best, time.perf_counter() - start)
        return best

    assert [turns(f"{history} ") for history in histories] == [(1, f"{number}") for number in range(5)]
    assert cost(turns) < cost(json.loads) / 2
