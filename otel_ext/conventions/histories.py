"""A conversation's history as JSON text: its messages, with their bodies unread until somebody asks.

Law of this file: exactly what decoding the whole text gives, or None where it cannot be decoded.

Each model call carries all that was said before it, so over a run histories grow quadratically. Mostly one
begins with the text of the one before: that is remembered, compared, and only what was added is decoded.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

# A text with a lone surrogate is a ValueError (UnicodeEncodeError).
UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)

_BLANKS: Final = " \t\r\n"
_HEAD: Final = 256
"""Characters of its beginning by which a history is looked up, beside its trace: agents may share one."""
_SHORT: Final = 2_048
"""Characters up to which decoding costs less than remembering."""
_MOST: Final = 4 << 20
"""Characters of all histories that are remembered. A full memo is emptied: that costs one decoding each."""

_UNREAD: Final = object()


class Message(msgspec.Struct):
    """A message with its bodies unread."""

    role: Any = None
    parts: msgspec.Raw = msgspec.Raw(b"")
    content: msgspec.Raw = msgspec.Raw(b"")


class History(msgspec.Struct):
    """One history.

    Attributes:
        added: its newest messages, in order; all of them where `before` is None.
        before: what was counted of those before, as `counted` of the history that this one begins with.
        counted: for whoever counts; None until then.
        last: the body of the newest message, once it was read.
    """

    text: str
    added: list[Message]
    before: tuple[int, str] | None = None
    counted: tuple[int, str] | None = None
    last: Any = _UNREAD

    def body(self, message: Message) -> Any:
        """What a message holds, None when it cannot be read; that of the newest is asked for twice."""
        if message is not self.added[-1]:
            return _body(message)
        if self.last is _UNREAD:
            self.last = _body(message)
        return self.last

    def newest_first(self) -> Iterator[tuple[Any, Any]]:
        """(role, body) from the end; a body is decoded only when its turn comes."""
        for message in reversed(self.added):
            yield message.role, self.body(message)
        if self.before is not None:
            for message in _MESSAGES.decode(self.text)[-len(self.added) - 1 :: -1]:
                yield message.role, _body(message)


_MESSAGES = msgspec.json.Decoder(list[Message])


class _Memo(dict[tuple[bytes, str], History]):
    """The newest history of each conversation; `latest` is the newest of all."""

    def __init__(self) -> None:
        super().__init__()
        self.room, self.latest = _MOST, History("", [])

    def keep(self, key: tuple[bytes, str], history: History) -> None:
        """Remember a history in the place of the one that it begins with."""
        old = self.get(key)
        self.room -= len(history.text) - (len(old.text) if old is not None else 0)
        if self.room < 0:
            self.clear()
            self.room = _MOST - len(history.text)
        self[key] = history


_MEMO: Final = _Memo()


def history_of(text: str, trace_id: bytes) -> History | None:
    """The history in a JSON text; None when it is no list of messages (a cut one is not)."""
    history = _MEMO.latest
    if history.text is text:
        return history
    try:
        if len(text) <= _SHORT:
            history = History(text, _MESSAGES.decode(text))
        else:
            key = trace_id, text[:_HEAD]
            history = _grown(_MEMO.get(key), text) or History(text, _MESSAGES.decode(text))
            if len(text) <= _MOST >> 3 and history.added:
                _MEMO.keep(key, history)
    except UNREADABLE:
        return None
    _MEMO.latest = history
    return history


def _grown(known: History | None, text: str) -> History | None:
    """The history in a text that begins with a known one that was counted; None when it does not."""
    if known is None or known.counted is None:
        return None
    start = known.text.rstrip(_BLANKS)[:-1]
    if not text.startswith(start):
        return None
    rest = text[len(start) :].strip(_BLANKS)
    if rest == "]":
        if len(text) == len(known.text):
            known.text = text  # to be recognised without comparing
        return known
    added = _MESSAGES.decode("[" + rest[1:]) if rest.startswith(",") else []
    return History(text, added, known.counted) if added else None


def _body(message: Message) -> Any:
    raw = message.parts or message.content
    try:
        return msgspec.json.decode(raw) if raw else None
    except UNREADABLE:
        return None
