"""LangChain's ToolMessage around a result, as LangGraph's tools return it."""

import json
from typing import Any

import pytest

from otel_ext.conventions import observe
from otel_ext.span import STATUS_OK
from tests.conventions.spans import make


def called(result: Any, **attributes: Any) -> Any:
    """A tool span with this result, as OpenInference writes it."""
    text = result if isinstance(result, str) else json.dumps(result)
    spoken = {"openinference.span.kind": "TOOL", "tool.name": "search", "output.value": text}
    return observe(make({**spoken, **attributes}, status_code=STATUS_OK))


def message(**members: Any) -> dict[str, Any]:
    """What a tool node returns."""
    return {"type": "tool", "content": "no hit", "tool_call_id": "call_3", "status": "success", **members}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: {"type": "tool", "data": inner},
        lambda inner: {"lc": 1, "type": "constructor", "id": ["langchain", "ToolMessage"], "kwargs": inner},
    ],
    ids=["message_to_dict", "dumpd"],
)
def test_the_content_is_the_result(wrap: Any) -> None:
    """The content is what the tool returned; the id is the call's; a status of error is a failure."""
    found = called(wrap(message()))
    assert (found.result, found.call_id, found.error) == ("no hit", "call_3", False)
    assert called(wrap(message(tool_call_id="call_4"))).result == found.result
    failed = called(wrap(message(content="no such city", status="error")))
    assert (failed.error, failed.error_text) == (True, "no such city")
    assert called(wrap(message()), **{"tool.id": "known"}).call_id == "known"
    parts = [{"type": "text", "text": "a"}]
    assert called(wrap(message(content=parts))).result == parts


@pytest.mark.parametrize(
    "result",
    [
        message(),
        {"type": "ai", "data": message()},
        {"type": "tool", "data": {"content": "no id"}},
        {"type": "tool", "data": [1]},
        "plain words of a tool_call_id",
    ],
)
def test_other_results_stay(result: Any) -> None:
    """What only resembles such a message is a tool's own result."""
    text = result if isinstance(result, str) else json.dumps(result)
    found = called(result)
    assert (found.result, found.call_id, found.error) == (text, "", False)


def test_openllmetry_wraps_the_message_once_more() -> None:
    """OpenLLMetry puts it into an envelope of its own, in OpenTelemetry's words."""
    inner = {"lc": 1, "type": "constructor", "id": ["langchain", "ToolMessage"], "kwargs": message()}
    text = json.dumps({"output": inner, "kwargs": {"color": "green"}})
    found = observe(make({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": text}))
    assert (found.result, found.call_id) == ("no hit", "call_3")
