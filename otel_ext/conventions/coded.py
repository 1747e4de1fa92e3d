"""Agents that act by code: what an answer asks to run, and what the model is then told came of it.

Such an agent has no spans of tool calls. Its actions are code blocks in the model's answers, and their
outcome stands only in the input of the next model call: `Call id: ..`, `Observation:`, `Error:`
(smolagents' memory steps), `OBSERVATION:` (OpenHands CodeAct), `exitcode: 1 (execution failed)` (AutoGen).

Law of this file: an outcome is believed only in the words of a framework's report. What a person answers to
an answer that shows code is no outcome, and code that nobody reports on is no call (L10).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from otel_ext.conventions.messages import newest_first
from otel_ext.span import Span, Value
from otel_ext.step import Kind, Observation

LONGEST: Final = 65_536
"""Characters of an answer in which code is looked for."""

_BLOCK = re.compile(
    r"```(?P<fence>py|python3?|bash|sh|shell)[ \t]*\r?\n(?P<fenced>.*?)(?:```|\Z)"
    r"|<(?P<tag>code|execute_ipython|execute_bash)>(?P<tagged>.*?)(?:</(?P=tag)>|\Z)",
    re.DOTALL,
)
_FLAT = "llm.input_messages."
_SHELLS = ("bash", "sh", "shell", "execute_bash")
_CALL_ID = re.compile(r"\s*Call id: [^\n]{0,200}\n")
_ENDING = "\nNow let's retry:"
_WHERE = re.compile(r"Code execution failed at line .*? due to: (?=\w+: |\w+$)", re.DOTALL)
_EXIT = re.compile(r"exitcode: (-?\d+)[^\n]*\n?(?:Code output:\s*)?")
_OPENINGS = ("Observation:", "OBSERVATION:", "Error:", "exitcode:")
# The wrapping of smolagents' Python interpreter around what the code printed.
_LOGS, _LAST = "Execution logs:", "Last output from code snippet:"


def read_code(found: Observation, span: Span) -> None:
    """Fill in the code of a model's answer, and the code that its input tells the outcome of."""
    found.code = code_in(found.text)
    attributes = span.attributes
    messages = attributes.get("gen_ai.input.messages")
    if isinstance(messages, str):
        if "`" in messages or "<" in messages:  # else it holds no code; one character is found fast
            found.ran = ran(newest_first(messages, span.trace_id))
    elif _FLAT + "0.message.role" in attributes:
        found.ran = ran(_flat(attributes))


def _flat(attributes: Mapping[str, Value]) -> Iterator[tuple[Any, Any]]:
    """Role and text of OpenInference's input messages from the last one back."""
    count = sum(key.startswith(_FLAT) and key.endswith(".message.role") for key in attributes)
    for index in range(count - 1, -1, -1):
        prefix = f"{_FLAT}{index}.message."
        if (role := attributes.get(prefix + "role")) is None:
            return  # a hole in the indexes: the end is not where it seems to be
        text = attributes.get(prefix + "content")
        yield role, attributes.get(prefix + "contents.0.message_content.text", "") if text is None else text


def code_in(text: Any) -> Observation | None:
    """The code of an answer as a call without an outcome; None when it holds none."""
    if not isinstance(text, str) or ("```" not in text and "<" not in text):
        return None
    blocks = [
        (found["fence"] or found["tag"], (found["fenced"] or found["tagged"] or "").strip())
        for found in _BLOCK.finditer(text[:LONGEST])
    ]
    blocks = [(language, code) for language, code in blocks if code]
    if not blocks:
        return None
    name = "bash" if blocks[0][0] in _SHELLS else "python"
    key = "command" if name == "bash" else "code"
    return Observation(kind=Kind.TOOL, name=name, arguments={key: "\n\n".join(code for _, code in blocks)})


def ran(newest_first: Iterable[tuple[Any, Any]]) -> Observation | None:
    """The newest code in a history of (role, text), with its outcome; None when the end tells of none.

    Plans and facts that a framework puts between (smolagents) are passed over.
    """
    reports: list[str] = []
    for role, text in newest_first:
        if not isinstance(text, str):
            return None
        if not reports and role == "assistant" and text.startswith(("[PLAN]", "[FACTS LIST]")):
            continue
        if role == "assistant":
            call = code_in(text) if reports else None
            return _told(call, reports[::-1]) if call is not None else None
        head = _CALL_ID.match(text)
        body = text[head.end() :] if head else text.lstrip()
        if body.startswith(_OPENINGS) and not (role == "user" and _persons(body)):
            reports.append(body)
        elif not text.startswith("Calling tools:"):
            return None
    return None


def _persons(body: str) -> bool:
    """Whether a person may have written this too: "Error: it still fails" is no report."""
    return body.startswith("Error:") and not body.startswith("Error:\nCode ") and _ENDING not in body


def _told(call: Observation, reports: list[str]) -> Observation:
    for report in reports:
        if report.startswith("Error:"):
            text = report.removeprefix("Error:").partition(_ENDING)[0].strip()
            where = _WHERE.match(text)
            call.error, call.error_text = True, text[where.end() :] if where else text
        elif found := _EXIT.match(report):
            call.result = report[found.end() :].strip()
            if found[1] != "0":
                call.error, call.error_text = True, call.result
        else:
            call.result = _unwrapped(report.partition(":")[2].strip())
    return call


def _unwrapped(output: str) -> str:
    output = output.removeprefix(_LOGS)
    logs, mark, last = output.rpartition(_LAST)
    if not mark:
        return output.strip()
    last = last.strip()
    return logs.strip() if last == "None" else f"{logs.strip()}\n{last}".strip()
