"""Warnings of a guest: by the `logging` module, once a minute for each kind, no handler of ours.

Law of this file: it never raises, and no text of a span stands in a warning.
"""

import contextlib
import logging
import threading
from typing import Final

from otel_ext.clock import SystemClock

_EVERY: Final = 60_000_000_000
_log = logging.getLogger("otel_ext.sdk")
_clock = SystemClock()
_last: Final[dict[str, int]] = {}
_inside = threading.local()


def warn(kind: str, text: str, error: BaseException | None = None) -> None:
    """Log a warning unless one of this kind was logged within the last minute.

    Args:
        kind: what repeats, e.g. "journal".
        text: the sentence.
        error: its cause; its type and text are added.
    """
    # A handler may make spans of log records; what those come to is not warned of again.
    if getattr(_inside, "active", False):
        return
    now = _clock.monotonic()
    if now - _last.get(kind, now - _EVERY) < _EVERY:
        return
    _last[kind] = now
    _inside.active = True
    try:
        with contextlib.suppress(Exception):
            cause = f": {type(error).__name__}: {error}" if error is not None else ""
            _log.warning("otel_ext: %s%s", text, cause)
    finally:
        _inside.active = False
