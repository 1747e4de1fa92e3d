"""What a program may say itself about a session: it crashed, it ended.

Law of this file: it never raises. It speaks to every engine of this process; without one the answer is False.
"""

from typing import Literal

from otel_ext.sdk import registry
from otel_ext.sdk.host import is_hosts
from otel_ext.sdk.reasons import DEFAULT, cut
from otel_ext.sdk.warn import warn


def mark_crashed(session: str, reason: str | None = None) -> bool:
    """Mark a session as crashed; that wins over every other end.

    The first reason given stays the primary one, at most 8 later ones stand beside it.

    Args:
        session: its id, e.g. the value of `gen_ai.conversation.id`, or the trace id in lower-case hex.
        reason: why, in a few words; at most 500 characters are kept.

    Returns:
        Whether the mark is in a journal; False when this process has none or it does not take it now.
    """
    return _mark(session, "crashed", DEFAULT if reason is None else reason)


def mark_ended(session: str, reason: str = "") -> bool:
    """Mark a session as ended by the program; see `mark_crashed`."""
    return _mark(session, "ended", reason)


def _mark(session: str, kind: Literal["crashed", "ended"], reason: str) -> bool:
    done = False
    try:
        for recorder in registry.recorders():
            done = recorder.mark(str(session), kind, cut(str(reason))) or done
    except Exception as error:
        if is_hosts(error):
            raise
        warn("mark", "a session is not marked", error)
    return done
