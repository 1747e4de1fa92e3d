"""What a model answered: its text, its thoughts, the calls it asked for, and why it stopped.

Law of this file: only a span's own outputs are read, never the history before them. An answer that was not
recorded is `NOT_CAPTURED`; one that holds nothing but calls is "".

Shapes of a message: parts of the semantic conventions (1.37), OpenAI's `content` and `tool_calls`, content
blocks of Anthropic and of Bedrock, Gemini's parts, items of OpenAI's Responses.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from otel_ext.conventions.values import captured, decode, first_text, text_of
from otel_ext.span import Value
from otel_ext.step import NOT_CAPTURED

# A text with a lone surrogate is a ValueError (UnicodeEncodeError).
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, TypeError)
_CALLS = frozenset(("tool_call", "tool_use", "tool-call", "function_call", "toolUse"))
_THOUGHTS = frozenset(("reasoning", "thinking", "thought", "reasoningContent"))
_MOST = 256
"""Messages or parts of one answer that are looked at."""


class Answer(NamedTuple):
    """An answer; `text` and `reasoning` are `NOT_CAPTURED` when not recorded."""

    issued: tuple[str, ...] = ()
    text: Any = NOT_CAPTURED
    reasoning: Any = NOT_CAPTURED
    finish: str = ""


NO_ANSWER = Answer()


class _Part(msgspec.Struct):
    type: str
    content: str | None = None
    id: str | None = None


class _Message(msgspec.Struct):
    """A message just as the semantic conventions have it."""

    parts: list[_Part]
    finish_reason: str | None = None


_MESSAGES = msgspec.json.Decoder(list[_Message])


def _plain(text: str) -> Answer | None:
    """The answer where every message is just as the conventions have it (most are), else None."""
    try:
        messages = _MESSAGES.decode(text)
    except _UNREADABLE:
        return None
    parts, all_known = _Parts(), True
    for message in messages:
        parts.seen = True
        parts.finish = parts.finish or text_of(message.finish_reason)
        for part in message.parts:
            if part.type == "text":
                parts.say(parts.texts, part.content)
            elif part.type == "tool_call":
                if part.id:
                    parts.issued.append(part.id)
            elif part.type == "reasoning":
                parts.say(parts.thoughts, part.content)
            else:
                all_known = False
    return parts.answer() if all_known else None


class _Parts:
    """Collects the parts of an answer."""

    def __init__(self) -> None:
        self.issued: list[str] = []
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.finish = ""
        self.seen = self.hidden = False

    def message(self, message: Any) -> None:
        """Take in a message, or a part that stands alone."""
        if isinstance(message, str):
            self.say(self.texts, message)
        if not isinstance(message, Mapping):
            return
        self.seen = True
        finish = message.get("finish_reason", message.get("finishReason", message.get("stop_reason")))
        self.finish = self.finish or text_of(finish)
        if isinstance(inner := message.get("message"), Mapping):  # one of OpenAI's choices
            message = inner
        self._body(message)
        for call in _list(message.get("tool_calls"))[:_MOST]:
            if isinstance(call, Mapping):
                self._issue(call)
        for key in ("reasoning_content", "reasoning", "thinking"):
            self.say(self.thoughts, message.get(key))

    def _body(self, message: Mapping[Any, Any]) -> None:
        body = message.get("parts", message.get("content"))
        if body is None and not {"role", "tool_calls"} & message.keys():
            self.part(message)
        elif isinstance(body, str):
            self.say(self.texts, body)
        elif isinstance(body, Mapping):  # Gemini: `content` is {"parts", "role"}
            self.message(body)
        elif isinstance(body, Sequence) and not isinstance(body, bytes):
            for part in body[:_MOST]:
                if isinstance(part, str):
                    self.say(self.texts, part)
                elif isinstance(part, Mapping):
                    self.part(part)

    def part(self, part: Mapping[Any, Any]) -> None:
        """Take in a part of a message."""
        kind = text_of(part.get("type"))
        for key in ("function_call", "functionCall", "toolUse"):
            if isinstance(inner := part.get(key), Mapping):
                self._issue(inner)
                return
        if kind in _CALLS:
            self._issue(part)
            return
        text = part.get("text", part.get("content", part.get("thinking")))
        if isinstance(text, Mapping) or (isinstance(text, Sequence) and not isinstance(text, str | bytes)):
            self.message({"content": text})
        elif kind in _THOUGHTS or part.get("thought") is True:
            self.say(self.thoughts, text)
        else:
            self.say(self.texts, text)

    def answer(self) -> Answer:
        """All of it."""
        text = "\n".join(self.texts)
        return Answer(
            tuple(self.issued),
            NOT_CAPTURED if not self.texts and (self.hidden or not self.seen) else text,
            "\n".join(self.thoughts) if self.thoughts else NOT_CAPTURED,
            self.finish,
        )

    def say(self, to: list[str], text: Any) -> None:
        if not isinstance(text, str):
            return
        self.seen = True
        if captured(text) is NOT_CAPTURED:
            self.hidden = True
        elif text:
            to.append(text)

    def _issue(self, call: Mapping[Any, Any]) -> None:
        for key in ("id", "call_id", "toolCallId", "toolUseId"):
            if isinstance(found := call.get(key), str) and found:
                self.issued.append(found)
                return


def answer_of(messages: Any) -> Answer:
    """The answer in `gen_ai.output.messages` or its like: JSON text or structure, a list or one message."""
    if isinstance(messages, str):
        text = messages.lstrip()
        if not text.startswith(("[", "{")):
            return Answer(text=captured(messages))
        if (plain := _plain(text)) is not None:
            return plain
        try:
            messages = msgspec.json.decode(text)
        except _UNREADABLE:
            messages = decode(text)
            if isinstance(messages, str):
                return NO_ANSWER  # a cut text says nothing reliable
    if isinstance(messages, Mapping):
        messages = _inside(messages)
    if not isinstance(messages, Sequence) or isinstance(messages, bytes | str):
        return NO_ANSWER
    parts = _Parts()
    try:
        for message in messages[:_MOST]:
            parts.message(message)
    except RecursionError:
        return NO_ANSWER
    return parts.answer()


def flat_answer(attributes: Mapping[str, Value], prefix: str, infix: str = "") -> Answer:
    """The answer that a dialect spreads over attributes `<prefix>N.<infix>content` and its like."""
    parts = _Parts()
    for key, value in attributes.items():
        if not key.startswith(prefix):
            continue
        field = key[len(prefix) :].partition(".")[2].removeprefix(infix)
        if field == "role":
            parts.seen = True
        elif field.endswith(".id") and "tool_call" in field and isinstance(value, str) and value:
            parts.issued.append(value)
        elif field == "finish_reason":
            parts.finish = parts.finish or text_of(value)
        elif field == "content" and isinstance(value, str) and value[:2] == "[{":
            body = decode(value)
            parts.message({"content": body})
        elif field == "content" or (field.startswith("contents.") and field.endswith(".text")):
            parts.say(parts.texts, value)
        elif field in {"reasoning", "reasoning_content"}:
            parts.say(parts.thoughts, value)
    return parts.answer()


_FINISHES: Final = dict.fromkeys(
    (
        "gen_ai.response.finish_reason",  # Semantic Kernel
        "llm.response.finish_reason",
        "llm.response.stop_reason",
        "llm.finish_reason",
    )
).keys()


def finish_of(attributes: Mapping[str, Value]) -> str:
    """Why the model stopped: the first of a list, of a list as JSON text (MS Agent Framework), or a text."""
    value: Any = attributes.get("gen_ai.response.finish_reasons")
    if isinstance(value, str):
        value = decode(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        value = next(iter(value), None)
    return text_of(value) or ("" if _FINISHES.isdisjoint(attributes) else first_text(attributes, *_FINISHES))


def _inside(answer: Mapping[Any, Any]) -> Sequence[Any]:
    """The messages of a provider's whole response (OpenAI, Gemini, LangChain), or the one message."""
    for key in ("choices", "output", "candidates", "messages"):
        if isinstance(inner := answer.get(key), list | tuple):
            return inner
    return [answer]


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()
