"""Message histories: whose turn it was.

Law of this file: only what a person (or whoever stands in for one, such as a manager agent's task) wrote is
a user turn. A tool's answer in the user role and a framework's own words in the user's name are not. A
history that cannot be read is unknown (`None`), never "no turns".

Histories are never decoded whole (`histories`): only user messages' bodies are. This is exact, which
counting the bytes `"role":"user"` would not be: tool answers can carry that role.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from otel_ext.conventions.histories import history_of

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


def turns(messages: Any, trace_id: bytes = b"") -> tuple[int | None, str]:
    """How many genuine user turns the history holds, and the newest one's text (capped).

    `messages` is `gen_ai.input.messages` (semantic conventions 1.37: JSON text on spans, structure allowed)
    or any list of role/content objects. `(None, "")` when it is absent or unreadable (a cut text). Histories
    of one trace may begin with each other, which saves reading them.
    """
    if isinstance(messages, str):
        history = history_of(messages, trace_id)
        if history is None:
            return None, ""
        if history.counted is None:
            added = [m for m in history.added if m.role == "user" or _is_user(m.role)]
            count, newest = _count(_text(history.body(message)) for message in added)
            before, old = history.before or (0, "")
            history.counted = before + count, newest or old
        return history.counted
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


def newest_first(messages: str, trace_id: bytes = b"") -> Iterator[tuple[Any, str]]:
    """(role, text) of a JSON history from its end; a body is decoded only when its turn comes."""
    history = history_of(messages, trace_id)
    for role, body in history.newest_first() if history is not None else ():
        yield role, body if isinstance(body, str) else _every_text(body)


def _every_text(body: Any) -> str:
    """Texts and answers of tools among a message's parts."""
    parts = [part for part in body if isinstance(part, dict)] if isinstance(body, list) else []
    texts = [part.get("content", part.get("text", part.get("response"))) for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str))


def _is_user(role: Any) -> bool:
    return isinstance(role, str) and role.lower() in _USER_ROLES


def _count(texts: Iterable[str]) -> tuple[int, str]:
    count, newest = 0, ""
    for text in texts:
        if text:
            count, newest = count + 1, text
    return count, newest[:MAX_TURN]


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
