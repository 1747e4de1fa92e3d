"""What is a failure, and in which words."""

from typing import Any

import pytest

from otel_ext.conventions import observe
from otel_ext.span import STATUS_ERROR, STATUS_OK, STATUS_UNSET, Event
from tests.conventions.spans import make

RAISED = Event("exception", 1, {"exception.type": "ValueError", "exception.message": "no x"})


def tool(result: Any = None, extra: dict[str, Any] | None = None, **fields: Any) -> tuple[bool, str]:
    """(error, error_text) of a tool span."""
    attributes: dict[str, Any] = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": result}
    found = observe(make(attributes | (extra or {}), **fields))
    return found.error, found.error_text


@pytest.mark.parametrize("status", [STATUS_UNSET, STATUS_OK])
@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("Error: payment method not found", "Error: payment method not found"),
        ("  error: no such file", "  error: no such file"),
        ("Traceback (most recent call last):\n  File", "Traceback (most recent call last):\n  File"),
        ('{"error": "not found"}', "not found"),
        ('{"error": {"code": 404, "message": "gone"}}', "gone"),
        ({"error": ["a"]}, "['a']"),
        ('{"content": [{"type": "text", "text": "denied"}], "isError": true}', "denied"),
        (
            "Exit code 1\nboom\n\n[error] tool reported failure",
            "Exit code 1\nboom\n\n[error] tool reported failure",
        ),
        (
            "<tool_use_error>File does not exist.</tool_use_error>",
            "<tool_use_error>File does not exist.</tool_use_error>",
        ),
    ],
)
def test_unmistakable_error_results(result: Any, text: str, status: int) -> None:
    """A result that begins as an error, or is nothing but one, is a failure whatever the status says."""
    assert tool(result, status_code=status) == (True, text)


@pytest.mark.parametrize(
    "result",
    [
        "The log says Error: disk full",
        "errors: 0",
        "Errors were fixed",
        "Exit code 0",
        "line 1\nTraceback (most recent call last)",
        '{"error": null}',
        '{"error": ""}',
        '{"error": "x", "data": 1}',
        '{"errors": ["x"]}',
        '{"isError": false}',
        "",
        None,
        {"status": "error"},
        ["Error: x"],
        '{"error": "cut',
    ],
)
def test_the_word_error_is_not_a_failure(result: Any) -> None:
    """Text that only mentions an error, and objects with more in them, are results."""
    assert tool(result) == (False, "")


def test_the_words_come_from_the_best_source() -> None:
    """Status message before exception event before result before error.type."""
    bad: dict[str, Any] = {"status_code": STATUS_ERROR}
    kind = {"error.type": "tool_error"}
    assert tool("r", kind, status_message="m", events=[RAISED], **bad) == (True, "m")
    assert tool("r", kind, events=[RAISED], **bad) == (True, "ValueError: no x")
    assert tool("File does not exist.", kind, **bad) == (True, "File does not exist.")
    assert tool(None, kind, **bad) == (True, "tool_error")
    assert tool(None, None, **bad) == (True, "")


def test_marks_without_an_error_status() -> None:
    """error.type and Strands' status are marks alone, an exception event only without a result and OK."""
    assert tool("r", {"error.type": "timeout"}) == (True, "r")
    assert tool("r", {"gen_ai.tool.status": "error"}) == (True, "r")
    assert tool("r", {"gen_ai.tool.status": "success"}) == (False, "")
    assert tool(None, None, events=[RAISED]) == (True, "ValueError: no x")
    assert tool("r", None, events=[RAISED]) == (False, "")
    assert tool(None, None, events=[RAISED], status_code=STATUS_OK) == (False, "")


def test_a_model_call_fails_too() -> None:
    """Status and error.type hold for every kind of span."""
    found = observe(make({"gen_ai.operation.name": "chat", "error.type": "429"}, status_code=STATUS_ERROR))
    assert (found.error, found.error_text) == (True, "429")
