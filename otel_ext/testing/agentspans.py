"""What an `AgentRun` is written with: spans, model turns and histories in the GenAI conventions' words.

Law of this file: official protobuf messages, nothing of ours; what is None is left out.
"""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_ext.signals.findings.derived import any_value

SECOND: Final = 1_000_000_000
START: Final = 1_790_000_000 * SECOND
"""2026-09-21, a time that needs no repair."""


def key_value(key: str, value: Any) -> KeyValue:
    """An attribute."""
    return KeyValue(key=key, value=any_value(value))


def text_of(value: Any) -> str | None:
    """Text as it is, None as it is, anything else as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def message(role: str, text: str) -> dict[str, Any]:
    """A message of one text."""
    return {"role": role, "parts": [{"type": "text", "content": text}]}


class SpanWriter:
    """Makes the spans of one agent's run: who they are of, and what time it is.

    Args:
        seed: what all ids are made from.
        session: the conversation's id, "" for none.
        start: when it begins, ns.
        trace_id: of the run that it is a part of; one of its own unless given.
    """

    def __init__(self, seed: str, session: str, start: int, trace_id: bytes | None) -> None:
        self.seed, self.session, self.start, self.time = seed, session, start, start
        self.trace_id = trace_id or self.id_of("trace", 16)
        self.span_id = self.id_of("agent")

    def id_of(self, what: str, size: int = 8) -> bytes:
        """An id."""
        return blake2b(f"{self.seed}:{what}".encode(), digest_size=size).digest()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.time += round(seconds * SECOND)

    def make(
        self,
        name: str,
        said: Mapping[str, Any],
        *,
        span_id: bytes,
        parent: bytes,
        until: int,
        since: int | None = None,
        error: str = "",
    ) -> Span:
        """A span.

        Args:
            name: its name.
            said: attributes; None leaves one out, `__` in a name stands for a dot.
            span_id: its id.
            parent: its parent's, b"" for a root.
            until: its end, ns.
            since: its start, ns; now unless given.
            error: the status' message; "" leaves the status unset.
        """
        said = {**said, "gen_ai.conversation.id": self.session or None}
        return Span(
            trace_id=self.trace_id,
            span_id=span_id,
            parent_span_id=parent,
            name=name,
            kind=Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=self.time if since is None else since,
            end_time_unix_nano=until,
            attributes=[
                key_value(key.replace("__", "."), value) for key, value in said.items() if value is not None
            ],
            status=Status(code=Status.STATUS_CODE_ERROR, message=error) if error else None,
        )


class ModelTurn:
    """A model turn: its span, and what it answered, which is known only when its calls are."""

    def __init__(self, span: Span, text: str | None, reasoning: str | None, finish: str) -> None:
        self._span, self._text, self._reasoning, self._finish = span, text, reasoning, finish
        self.calls: list[dict[str, Any]] = []

    def asked(self, call_id: str, tool: str, arguments: Any) -> None:
        """It asked for a call."""
        self.calls.append({"type": "tool_call", "id": call_id, "name": tool, "arguments": arguments})

    def answer(self) -> dict[str, Any] | None:
        """The output message; None when outputs were not captured."""
        parts: list[dict[str, Any]] = []
        if self._reasoning is not None:
            parts.append({"type": "reasoning", "content": self._reasoning})
        if self._text is not None:
            parts.append({"type": "text", "content": self._text})
        parts += self.calls
        if not parts:
            return None
        finish = self._finish or ("tool_call" if self.calls else "stop")
        return {"role": "assistant", "parts": parts, "finish_reason": finish}

    def span(self) -> Span:
        """The span with the answer."""
        made = Span()
        made.CopyFrom(self._span)
        answer = self.answer()
        finish = answer["finish_reason"] if answer else self._finish
        if answer:
            made.attributes.append(key_value("gen_ai.output.messages", json.dumps([answer])))
        if finish:
            made.attributes.append(key_value("gen_ai.response.finish_reasons", [finish]))
        return made


class History:
    """The messages of a conversation; told only once a person has spoken."""

    def __init__(self) -> None:
        self._told, self._spoken = 0, False
        self._messages: list[dict[str, Any] | ModelTurn] = []

    def user(self, text: str) -> None:
        """A person spoke."""
        self._spoken = True
        self._messages.append(message("user", text))

    def model(self, turn: ModelTurn) -> None:
        """A model answered."""
        self._messages.append(turn)

    def tool(self, call_id: str, response: str) -> None:
        """A tool answered."""
        part = {"type": "tool_call_response", "id": call_id, "response": response}
        self._messages.append({"role": "tool", "parts": [part]})

    def tell(self, what: str) -> str | None:
        """The input of a model turn as JSON ("whole", or what is "new"); None when it is not told."""
        if not self._spoken or what == "none":
            return None
        told = self._messages if what == "whole" else self._messages[self._told :]
        self._told = len(self._messages)
        known = (one.answer() if isinstance(one, ModelTurn) else one for one in told)
        return json.dumps([one for one in known if one is not None])
