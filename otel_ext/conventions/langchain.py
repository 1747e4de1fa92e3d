"""LangChain's ToolMessage, which instrumentations of LangChain and LangGraph write as a tool call's result.

Law of this file: the message carries the call's id, new with each call, so equal results look different
unless its content alone is compared. What is not unmistakably such a message stays as it was.

`message_to_dict`: `{"type": "tool", "data": {"content": .., "tool_call_id": .., "status": ..}}`;
`dumpd`: `{"lc": 1, "type": "constructor", "id": [.., "ToolMessage"], "kwargs": {the same}}`.
"""

from collections.abc import Mapping
from typing import Any

from otel_ext.conventions.values import captured, decode, text_of
from otel_ext.step import Observation

_MEMBER = '"tool_call_id"'


def open_message(found: Observation) -> None:
    """Where the result is such a message: its content is the result, its id and its status are the call's."""
    message = _message(found.result)
    if message is None:
        return
    found.result = captured(message["content"])
    found.call_id = found.call_id or text_of(message["tool_call_id"])
    if message.get("status") == "error":  # the tool raised and was told to say so in words; the span is OK
        found.error = True
        found.error_text = found.result if isinstance(found.result, str) else ""


def _message(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, str):
        if value[:1] != "{" or _MEMBER not in value:
            return None
        value = decode(value)
    if not isinstance(value, Mapping):
        return None
    inner = (
        value.get("data") if value.get("type") == "tool" else value.get("kwargs") if "lc" in value else None
    )
    if isinstance(inner, Mapping) and "content" in inner and "tool_call_id" in inner:
        return inner
    return None
