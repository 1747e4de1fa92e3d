"""When the power goes: every operation of a `CrashableFiles` is a step of one counter.

Law of this file: one power cut strikes once, and everything after it fails the same way.
"""

import threading


class PowerCut(BaseException):
    """The machine died at this operation. Not an `Exception`, so that nobody handles it by mistake."""


class Operation:
    """One counted step: the disk's lock, and the power cut when its time has come."""

    def __init__(self, disk: "Power", *, counted: bool, changes_first: bool) -> None:
        self._disk = disk
        self._counted = counted
        self._changes_first = changes_first
        self._cut = False

    def __enter__(self) -> None:
        disk = self._disk
        disk.lock.acquire()
        if self._counted and not disk.crashed:
            disk.operations += 1
            self._cut = disk.operations == disk.crash_at
            disk.crashed = self._cut
        if disk.crashed and not (self._cut and self._changes_first):
            disk.lock.release()
            raise PowerCut

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._disk.lock.release()
        if self._cut and kind is None:
            raise PowerCut


class Power:
    """Counts changing operations and goes away at the one it was told.

    Attributes:
        operations: how many changing operations (writes, syncs, names) were asked for.
        crash_at: the operation, counted from 1, at which the power goes; None for never.
        crashed: whether it went.
    """

    def __init__(self, crash_at: int | None = None) -> None:
        self.operations = 0
        self.crash_at = crash_at
        self.crashed = False
        self.lock = threading.RLock()

    def operation(self, *, changes_first: bool) -> Operation:
        """A counted step; with `changes_first` a power cut strikes after its (unsynced) effect."""
        return Operation(self, counted=True, changes_first=changes_first)

    def looking(self) -> Operation:
        """A step that changes nothing and is not counted."""
        return Operation(self, counted=False, changes_first=False)
