"""Fatal signals, opt-in: sessions with open spans are marked before the signal kills.

Law of this file: the process ends as it would without us: after marking and syncing, for `PATIENCE` at most,
the default action is restored and the signal raised again, so the exit status is the signal's. Where the
program has a handler of its own, that decides what the signal means: nothing is marked, everything is synced,
and it is called. An ignored signal stays ignored.

Not for SIGSEGV and the like: Python code cannot run safely there. It need not: a process that died so is
found by its journal, as after SIGKILL, and its sessions with open spans are marked crashed by whoever takes
over.
"""

import os
import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any, Final

from otel_ext.sdk import registry
from otel_ext.sdk.warn import warn

PATIENCE: Final = 2.0
"""Seconds that marking may take. A handler may have interrupted an append, which then cannot go on."""

_previous: Final[dict[int, Any]] = {}
_users: Final[dict[int, int]] = {}


def install(names: Iterable[str]) -> None:
    """Handle these signals; only the main thread can, elsewhere it is warned."""
    for name in names:
        number = signal.Signals[name]
        _users[number] = _users.get(number, 0) + 1
        previous = signal.getsignal(number)
        if number in _previous or previous is signal.SIG_IGN:
            continue
        try:
            signal.signal(number, _handle)
            _previous[number] = previous
        except (ValueError, OSError) as error:
            warn("signal", f"{name} cannot be handled", error)


def uninstall(names: Iterable[str]) -> None:
    """The last user restores what was there, where ours is still on top."""
    for name in names:
        number = signal.Signals[name]
        _users[number] = _users.get(number, 1) - 1
        if _users[number] > 0 or number not in _previous:
            continue
        try:
            if signal.getsignal(number) is _handle:
                signal.signal(number, _previous[number])
                del _previous[number]
        except (ValueError, OSError) as error:  # not the main thread: ours stays and finds nothing to mark
            warn("signal", f"{name} cannot be given back", error)


def _handle(number: int, frame: FrameType | None) -> None:
    previous = _previous.get(number, signal.SIG_DFL)
    own = callable(previous)
    worker = threading.Thread(target=_save, args=(number, own), name="otel-ext-signal", daemon=True)
    try:
        worker.start()
        worker.join(PATIENCE)
    except RuntimeError as error:  # the interpreter is ending
        warn("signal", "sessions are not marked", error)
    if own:
        previous(number, frame)
        return
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _save(number: int, own: bool) -> None:
    for recorder in registry.recorders():
        try:
            if not own:
                recorder.crash_open(f"killed by {signal.Signals(number).name}")
            recorder.flush(PATIENCE)
        except Exception as error:  # noqa: BLE001 - law L11
            warn("signal", "sessions are not marked", error)
