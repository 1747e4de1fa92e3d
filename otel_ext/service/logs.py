"""The sidecar's own log: on stderr, for people or as JSON lines, without anything that a client sent (L12).

Law of this file: only texts of ours are written, with numbers, our own errors and the system's words for a
failed call. Of any other exception there is its type and where it was raised, never its message, which may
quote what it stumbled over; of another library's message only where it came from. File names lose the session
in them. A text that repeats is written ten times in ten seconds, then every hundredth time (the Collector's
sampling), and says how many were left out.
"""

import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from sqlite3 import Error as DatabaseError
from types import TracebackType
from typing import Any, Final, TextIO

from otel_ext.clock import Clock, SystemClock
from otel_ext.errors import InvalidRequest, OtelExtError

OURS: Final = "otel_ext"
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_WINDOW: Final = 10 * 10**9
"""ns in which equal texts are counted together."""
_FIRST: Final = 10
_THEN: Final = 100
_TEXTS: Final = 1000
"""Most texts that are counted at one time."""
_SESSION_FILE: Final = re.compile(r"[A-Za-z0-9_%~-]+(\.\d{6,}\.jsonl)")
_FRAMES: Final = 8


def configure(level: str, encoding: str, *, stream: TextIO | None = None, clock: Clock | None = None) -> None:
    """Send everything that is logged in this process to one handler of ours."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(Sampling(clock or SystemClock()))
    handler.setFormatter(Json() if encoding == "json" else Console())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[level], logging.WARNING))  # other libraries only when something is wrong
    logging.getLogger(OURS).setLevel(_LEVELS[level])


class Sampling(logging.Filter):
    """Lets the first ten equal texts of ten seconds pass, then each hundredth."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock, self._lock = clock, threading.Lock()
        self._seen: dict[tuple[str, int, str], tuple[int, int, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write a record; one that stands for others carries their number as `left_out`."""
        key = (record.name, record.lineno, record.msg if isinstance(record.msg, str) else "")
        now = self._clock.monotonic()
        with self._lock:
            began, count, left_out = self._seen.get(key, (now, 0, 0))
            if now - began >= _WINDOW:
                began, count = now, 0
            count += 1
            passes = count <= _FIRST or (count - _FIRST) % _THEN == 0
            if len(self._seen) >= _TEXTS and key not in self._seen:
                self._seen.clear()
            self._seen[key] = (began, count, 0 if passes else left_out + 1)
        record.left_out = left_out
        return passes


class Json(logging.Formatter):
    """One JSON object a line, keys as in the Collector's log."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return json.dumps(_fields(record))


class Console(logging.Formatter):
    """One line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = _fields(record)
        head = f"{fields.pop('ts')} {fields.pop('level'):<5} {fields.pop('logger')}: {fields.pop('msg')}"
        return head + "".join(f"  {key}={value}" for key, value in fields.items())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    level = "warn" if record.levelno == logging.WARNING else record.levelname.lower()
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    fields: dict[str, Any] = {
        "ts": when.replace("+00:00", "Z"),
        "level": level,
        "logger": record.name,
        "msg": message(record),
    }
    if record.exc_info and record.exc_info[1] is not None:
        fields["error"] = type(record.exc_info[1]).__name__
        fields["at"] = _where(record.exc_info[2])
    if left_out := getattr(record, "left_out", 0):
        fields["left_out"] = left_out
    return fields


def message(record: logging.LogRecord) -> str:
    """A record's text, safe to show."""
    if record.name != OURS and not record.name.startswith(f"{OURS}."):
        return f"a library reports something, at {record.module}:{record.lineno}"
    args = record.args
    if isinstance(args, tuple):
        args = tuple(_safe(arg) for arg in args)
    text = str(record.msg) % args if args else str(record.msg)
    text = "".join(c if c.isprintable() else " " for c in text)
    return _SESSION_FILE.sub(r"*\1", text)


def _safe(value: object) -> object:
    if isinstance(value, OSError):
        return f"{value.strerror or type(value).__name__}"
    if isinstance(value, DatabaseError):
        return f"{type(value).__name__} {getattr(value, 'sqlite_errorname', '')}".rstrip()
    if isinstance(value, OtelExtError) and not isinstance(value, InvalidRequest):
        return str(value)
    return type(value).__name__ if isinstance(value, BaseException) else value


def _where(trace: TracebackType | None) -> str:
    """The innermost places of a traceback, our own names and lines only."""
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return " < ".join(reversed(places[-_FRAMES:]))
