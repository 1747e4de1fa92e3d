"""A trace as a person reads it: its steps in the order of the file, payload and all.

Law of this file: nothing of ours is used to read, neither conventions nor hashes, so that who judges a
finding by it is not led by what made the finding. Long values are cut, and their length and a digest of the
whole stand beside them: equal digests are equal values.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from tests.quality import corpus
from tests.support import lines

HEAD: Final = 900
TAIL: Final = 300
"""Characters shown of a long value, from its beginning and from its end."""


class Line(NamedTuple):
    """One step.

    Attributes:
        text: what happened, several lines.
    """

    span_id: str
    text: str


def cut(value: str, head: int = HEAD, tail: int = TAIL) -> str:
    """A value short enough to be read, with what is needed to tell it from others."""
    mark = f"[{len(value)} characters, #{hashlib.sha256(value.encode()).hexdigest()[:6]}]"
    if len(value) <= head + tail:
        return f"{value}  {mark}" if value else "(empty)"
    return f"{value[:head]}\n    [...]\n{value[len(value) - tail :]}  {mark}"


def read(name: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, list[Line]]]:
    """(trace id, steps) of the traces of a corpus whose id is wanted."""
    (path,) = (path for path in corpus.paths() if corpus.name_of(path) == name)
    for line in lines(path):
        document = json.loads(line)
        spans = [
            span for each in document["resourceSpans"] for sc in each["scopeSpans"] for span in sc["spans"]
        ]
        trace_id = spans[0]["traceId"].lower()
        if wanted(trace_id):
            yield trace_id, list(steps(spans))


def steps(spans: list[dict[str, Any]]) -> Iterator[Line]:
    """The agents, the model's and the tools' calls; other spans that only hold some are left out."""
    begun = min(int(span["startTimeUnixNano"]) for span in spans)
    for span in spans:
        a = {item["key"]: _plain(item["value"]) for item in span.get("attributes", [])}
        kind = str(a.get("gen_ai.operation.name") or a.get("openinference.span.kind", "")).lower()
        at = f"+{(int(span['startTimeUnixNano']) - begun) / 1e9:.0f} s"
        if kind in {"execute_tool", "tool"}:
            yield Line(span["spanId"], f"TOOL {_tool(a, span)}  ({at})\n{_call(a, span)}")
        elif kind in {"chat", "llm"}:
            yield Line(span["spanId"], f"MODEL ({at})\n{_said(a)}")
        elif kind in {"invoke_agent", "agent"}:
            yield Line(span["spanId"], f"AGENT {span['name']}  ({at})")


def _tool(a: dict[str, Any], span: dict[str, Any]) -> str:
    return str(a.get("gen_ai.tool.name") or a.get("tool.name") or span["name"])


def _call(a: dict[str, Any], span: dict[str, Any]) -> str:
    arguments = a.get("gen_ai.tool.call.arguments", a.get("input.value"))
    result = a.get("gen_ai.tool.call.result", a.get("output.value"))
    status = span.get("status", {})
    failed = f"\n  STATUS ERROR: {cut(status.get('message', ''))}" if status.get("code") == 2 else ""
    events = [event for event in span.get("events", []) if event.get("name") == "exception"]
    for event in events:
        values = {item["key"]: _plain(item["value"]) for item in event.get("attributes", [])}
        failed += (
            f"\n  EXCEPTION: {values.get('exception.type')}: {cut(str(values.get('exception.message')))}"
        )
    return f"  arguments: {_shown(arguments)}\n  result: {_shown(result)}{failed}"


def _said(a: dict[str, Any]) -> str:
    found = [f"  USER: {cut(text)}" for text in _parts(a, "gen_ai.input.messages", "user")]
    found += [f"  says: {cut(text)}" for text in _parts(a, "gen_ai.output.messages", "assistant") if text]
    if text := a.get("llm.output_messages.0.message.content"):
        found.append(f"  says: {cut(str(text))}")
    return "\n".join(found) or "  (only calls)"


def _parts(a: dict[str, Any], key: str, role: str) -> Iterator[str]:
    for message in json.loads(a.get(key, "[]")):
        for part in message.get("parts", ()):
            if message.get("role") == role and part.get("type") in {"text", "reasoning"}:
                yield str(part.get("content", ""))


def _shown(value: Any) -> str:
    return "(not captured)" if value is None else cut(str(value))


def _plain(value: dict[str, Any]) -> Any:
    return next(iter(value.values()), None)
