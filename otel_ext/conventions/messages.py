"""Message histories: whose turn it was.

Law of this file: only what a person (or whoever stands in for one, such as a manager agent's task) wrote is
a user turn. A tool's answer in the user role and a framework's own words in the user's name are not. A
history that cannot be read is unknown (`None`), never "no turns".

Histories grow quadratically over a run, so they are never decoded whole: the messages' outlines are read
with the bodies skipped (about 1.3 µs per kB), and only user messages' bodies are then decoded. This is
exact, which counting the bytes `"role":"user"` would not be: tool answers can carry that role.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

MAX_TURN = 2_000
"""Characters kept of the newest user turn: enough to tell two turns apart."""

_USER_ROLES = frozenset(("user", "human"))

_TOOL_PARTS = frozenset(("tool_call_response", "tool_result", "tool_call", "tool_use", "tool-result"))

_NUDGES = (
    # Claude Code, written by the program into the user role.
    "<task-notification>",
    "<system-reminder>",
    "<local-command-stdout>",
    "Caveat: The messages below were generated",
    "This session is being continued from a previous conversation",
    # smolagents' memory steps (MessageRole.USER for models without tool roles, and its planning prompts).
    "Observation:",
    "Call id:",
    "Calling tools:",
    "[FACTS LIST]",
    "[PLAN]",
    # What came of an agent's code: smolagents, OpenHands CodeAct, AutoGen.
    "Error:\nCode ",
    "OBSERVATION:",
    "exitcode: ",
)
# Their first letters and blanks: most turns are told apart by their first letter.
_NUDGE_OPENINGS = {nudge[0] for nudge in _NUDGES} | {c for c in map(chr, range(0x3001)) if c.isspace()}
_TASK = "New task:"
"""smolagents `TaskStep.to_messages`: the one message of its memory that holds what the user asked."""


# A text with a lone surrogate is a ValueError (UnicodeEncodeError).
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class _Outline(msgspec.Struct):
    """A message with its bodies unread."""

    role: Any = None
    parts: msgspec.Raw = msgspec.Raw(b"")
    content: msgspec.Raw = msgspec.Raw(b"")


_OUTLINES = msgspec.json.Decoder(list[_Outline])


def turns(messages: Any) -> tuple[int | None, str]:
    """How many genuine user turns the history holds, and the newest one's text (capped).

    `messages` is `gen_ai.input.messages` (semantic conventions 1.37: JSON text on spans, structure allowed)
    or any list of role/content objects. `(None, "")` when it is absent or unreadable (a cut text).
    """
    if isinstance(messages, str):
        try:
            outlines = _OUTLINES.decode(messages)
        except _UNREADABLE:
            return None, ""
        return _count([_text(_body(m)) for m in outlines if m.role == "user" or _is_user(m.role)])
    if isinstance(messages, Sequence) and not isinstance(messages, bytes):
        return _count(
            _text(m["parts"] if "parts" in m else m.get("content"))
            for m in messages
            if isinstance(m, Mapping) and _is_user(m.get("role"))
        )
    return None, ""


def flat_turns(messages: Iterable[tuple[Any, Any]]) -> tuple[int | None, str]:
    """The same for (role, content) pairs of a dialect that spreads messages over attributes."""
    return _count(_text(content) for role, content in messages if _is_user(role))


def smolagents_turns(messages: Iterable[tuple[Any, Any]]) -> tuple[int | None, str]:
    """The same for smolagents, whose prompts are all in the user role: only `New task:` is a turn.

    A planning call holds the task inside a prompt and no memory at all: unknown, not zero, so that the next
    ordinary step does not look like a new turn.
    """
    texts = [c for role, c in messages if _is_user(role) and isinstance(c, str) and c.startswith(_TASK)]
    return (len(texts), texts[-1][:MAX_TURN]) if texts else (None, "")


def newest_first(messages: Any) -> Iterator[tuple[Any, str]]:
    """(role, text) of a JSON history from its end; a body is decoded only when its turn comes."""
    try:
        outlines = _OUTLINES.decode(messages)
    except (TypeError, *_UNREADABLE):
        return
    for message in reversed(outlines):
        body = _body(message)
        if isinstance(body, list):
            parts = [part for part in body if isinstance(part, dict)]
            texts = [part.get("content", part.get("text", part.get("response"))) for part in parts]
            body = "\n".join(text for text in texts if isinstance(text, str))
        yield message.role, body if isinstance(body, str) else ""


def _is_user(role: Any) -> bool:
    return isinstance(role, str) and role.lower() in _USER_ROLES


def _count(texts: Iterable[str]) -> tuple[int, str]:
    count, newest = 0, ""
    for text in texts:
        if text:
            count, newest = count + 1, text
    return count, newest[:MAX_TURN]


def _body(message: _Outline) -> Any:
    raw = message.parts or message.content
    try:
        return msgspec.json.decode(raw) if raw else None
    except _UNREADABLE:
        return None


def _text(body: Any) -> str:
    """What a person wrote in this message: its text parts without a framework's; "" when there is none."""
    if isinstance(body, str):
        return "" if _is_nudge(body) else body
    if type(body) is not list and (not isinstance(body, Sequence) or isinstance(body, bytes)):
        return ""
    texts = []
    for part in body:
        if isinstance(part, str):
            text: Any = part
        elif type(part) is dict or isinstance(part, Mapping):
            kind = part.get("type")
            if isinstance(kind, str) and kind in _TOOL_PARTS:
                continue
            # "content" in semantic conventions, "text" in the OpenAI and Anthropic shapes.
            text = part.get("content", part.get("text"))
            if text is None and kind:
                # A picture or a file is a turn as well; its kind stands for it.
                text = f"[{kind}]"
        else:
            continue
        if isinstance(text, str) and text and not _is_nudge(text):
            texts.append(text)
    return "\n".join(texts)


def _is_nudge(text: str) -> bool:
    return text[:1] in _NUDGE_OPENINGS and text.lstrip().startswith(_NUDGES)
