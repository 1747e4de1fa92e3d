"""Who shares which recorder, and what a fork does to all of them.

Law of this file: one recorder a data folder and process, whoever asks; it is closed when the last who
borrowed it gives it back, and at the end of the process in any case. This module's `atexit` entry is made
when it is imported, before those of the provider and the program, so that it runs after them.
"""

import atexit
import os
import threading
from typing import Final

from otel_ext.files import Files
from otel_ext.sdk.recorder import Recorder
from otel_ext.sdk.settings import Settings
from otel_ext.sdk.warn import warn
from otel_ext.sessions.forkgate import GATE

_Key = tuple[str, int]
_REST: Final = 5.0
"""Seconds that a fork waits for the engine's threads to be where they may be left behind."""

_lock = threading.Lock()
_recorders: Final[dict[_Key, Recorder]] = {}
_forking = threading.RLock()
_held: Final[list[threading.Lock]] = []


def borrow(settings: Settings, files: Files | None = None) -> Recorder:
    """The recorder of the settings' data folder; the settings of its first borrower hold."""
    key = _key(settings, files)
    with _lock:
        recorder = _recorders.get(key)
        if recorder is None:
            recorder = _recorders[key] = Recorder(settings, files)
        elif recorder.settings != settings:
            warn("settings", f"{key[0]} is already in use in this process; its first settings hold")
        recorder.borrowers += 1
    return recorder


def give_back(recorder: Recorder) -> bool:
    """No longer needed; the last one closes it. Returns whether all is saved (True while others use it)."""
    with _lock:
        recorder.borrowers -= 1
        if recorder.borrowers > 0:
            return True
        for key in [key for key, each in _recorders.items() if each is recorder]:
            del _recorders[key]
    return recorder.close(recorder.settings.shutdown_timeout)


def recorders() -> list[Recorder]:
    """All that are in use."""
    return list(_recorders.values())


def _key(settings: Settings, files: Files | None) -> _Key:
    return os.path.realpath(settings.folder), id(files) if files is not None else 0


def _close_all() -> None:
    for recorder in recorders():
        recorder.close(recorder.settings.shutdown_timeout)


def _before_fork() -> None:
    _forking.acquire()  # one after another: the first to be done would let the others' go
    for recorder in recorders():
        # Of an engine that takes longer the child keeps a descriptor, and with it the folder's lock.
        if recorder.opening.acquire(timeout=_REST):
            _held.append(recorder.opening)
        else:
            warn("fork", "forked while the engine was being opened")
    if not GATE.shut(_REST):
        warn("fork", "forked while the engine's database was at work; spans of the child are not kept")


def _after_in_parent() -> None:
    GATE.open()
    while _held:
        _held.pop().release()
    _forking.release()


def _after_in_child() -> None:
    global _lock, _forking
    _lock, _forking = threading.Lock(), threading.RLock()
    _held.clear()
    GATE.forked()
    for recorder in recorders():
        try:
            recorder.forked()
        except Exception as error:  # noqa: BLE001 - a guest never raises
            warn("fork", "the parent's engine could not be left", error)


atexit.register(_close_all)
os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
