"""Whether a call failed, and in which words.

Law of this file: a failure is what the producer marks as one. Text alone is taken for a failure only where
the whole result begins as nothing else than an error begins, because a tool that reads a log file returns
the word "error" on a good day.

The marks, first match names the text: status ERROR; `error.type` (semantic conventions: set only when the
operation ended in an error); `gen_ai.tool.status` = "error" (Strands); an exception event of a span that is
neither OK nor has a result (Vercel AI SDK, instrumentations that forget the status); MCP `isError`.
Then the forms of a result (status UNSET or OK; OpenInference sets OK for every call that returned, and
frameworks return their errors): `Error:` (tau-bench, most tool wrappers), `{"error": ..}` as the only
member, a Python traceback, Claude Code's `<tool_use_error>` and its closing `[error] tool reported failure`.
"""

from collections.abc import Mapping
from typing import Any

from otel_ext.conventions.values import decode, text_of
from otel_ext.span import STATUS_ERROR, STATUS_OK, Span
from otel_ext.step import NOT_CAPTURED

_OPENINGS = ("Error:", "error:", "ERROR:", "Traceback (most recent call last)", "<tool_use_error>")
_CLOSING = "[error] tool reported failure"
_MAX_OBJECT = 65_536
_DEFERRED = ("CallDeferred", "ApprovalRequired", "pydantic_ai.exceptions.CallDeferred",
             "pydantic_ai.exceptions.ApprovalRequired")  # fmt: skip
"""Pydantic-AI: the call waits for somebody; that is no failure."""


def failure(span: Span, result: Any, *, marked: bool = False) -> tuple[bool, str]:
    """(whether the call failed, the producer's words for it or "").

    The words are the status message, else an exception event's type and message, else the result (a tool
    that fails usually says why there), else `error.type`. `marked`: the dialect has seen a mark of its own.
    """
    attributes = span.attributes
    error_type = text_of(attributes["error.type"]) if "error.type" in attributes else ""
    status = span.status_code
    exception = _exception(span) if span.events else ""
    if exception.startswith(_DEFERRED):
        return False, ""
    failed = (
        marked
        or status == STATUS_ERROR
        or error_type
        or ("gen_ai.tool.status" in attributes and attributes["gen_ai.tool.status"] == "error")
        or (exception and status != STATUS_OK and result is NOT_CAPTURED)
    )
    shaped = "" if result is NOT_CAPTURED else error_form(result)
    if not failed and not shaped:
        return False, ""
    return True, span.status_message or exception or shaped or _words(result) or error_type


def error_form(result: Any) -> str:
    """The error's text when the result is an unmistakable error form, else ""."""
    if isinstance(result, str):
        text = result.lstrip()
        if text.startswith(_OPENINGS) or text.endswith(_CLOSING):
            return result
        if not text.startswith("{") or len(text) > _MAX_OBJECT or ("rror" not in text):
            return ""
        result = decode(text)
    if not isinstance(result, Mapping):
        return ""
    # MCP CallToolResult (specification 2025-06-18, "Tool Execution Errors").
    if result.get("isError") is True:
        return _mcp_text(result.get("content")) or "isError"
    if len(result) == 1 and (error := result.get("error")):
        if isinstance(error, Mapping) and isinstance(error.get("message"), str) and error["message"]:
            return str(error["message"])
        return text_of(error) or _str(error)
    return ""


def _mcp_text(content: Any) -> str:
    if not isinstance(content, list | tuple):
        return ""
    return "\n".join(
        part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)
    )


def _exception(span: Span) -> str:
    """The last exception event as `Type: message`, "" when there is none."""
    for event in reversed(span.events):
        if event.name == "exception":
            kind = text_of(event.attributes.get("exception.type"))
            message = text_of(event.attributes.get("exception.message"))
            return f"{kind}: {message}" if kind and message else kind or message or "exception"
    return ""


def _words(result: Any) -> str:
    if isinstance(result, str):
        return result
    return "" if result is NOT_CAPTURED else _str(result)


def _str(value: Any) -> str:
    try:
        return str(value)[:_MAX_OBJECT]
    except (RecursionError, ValueError):  # too deep, or an int of more than 4,300 digits
        return type(value).__name__
