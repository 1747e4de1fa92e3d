"""Uncaught exceptions mark the sessions that they end.

Law of this file: a hook that was there is called exactly once, whatever happens in ours, and ours is taken
away only where it is still on top (else it stays and does nothing). What marks a session as crashed:

    sys.excepthook         the program dies: sessions whose root span recorded the exception, those with spans
                           open in this thread; what other threads still have open at the end of the process
    threading.excepthook   the thread dies: sessions whose root recorded it, those with spans it left open

An `Exception` is a crash. `SystemExit` is the program's own decision, whatever its code, and
`KeyboardInterrupt` a person's: spans left open are written as unfinished, their sessions interrupted. A
prompt (`python -i`) survives its exceptions. An exception that stays in an asyncio task never comes here.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any

from otel_ext.sdk import registry
from otel_ext.sdk.warn import warn

_lock = threading.RLock()
_installed: "list[_Hook]" = []
_users = 0


class _Hook:
    """One of the two hooks, with the one that it replaced."""

    def __init__(self, module: Any, find: Callable[[Any], BaseException | None], *, fatal: bool) -> None:
        self._module, self._find, self._fatal = module, find, fatal
        self.active = True
        self.previous = module.excepthook
        module.excepthook = self

    def __call__(self, *arguments: Any) -> Any:
        """Mark, then do what would have been done without us."""
        try:
            if self.active:
                self._mark(arguments)
        except Exception as error:  # noqa: BLE001 - law L11
            warn("hook", "a crash is not marked", error)
        return self.previous(*arguments)

    def remove(self) -> None:
        """Do nothing from now on; be gone where nobody came on top."""
        self.active = False
        if self._module.excepthook is self:
            self._module.excepthook = self.previous

    def _mark(self, arguments: Any) -> None:
        error = self._find(arguments)
        if not isinstance(error, Exception) or (self._fatal and hasattr(sys, "ps1")):
            return
        for recorder in registry.recorders():
            reason = recorder.crash(error)
            if self._fatal:
                recorder.fatal = reason


def install() -> None:
    """Put both hooks on top; a second user shares them."""
    global _users  # noqa: PLW0603 - process-wide, as the hooks are
    with _lock:
        _users += 1
        if _users == 1:
            _installed.append(_Hook(sys, lambda arguments: arguments[1], fatal=True))
            _installed.append(_Hook(threading, lambda arguments: arguments[0].exc_value, fatal=False))


def uninstall() -> None:
    """The last user takes both hooks away."""
    global _users  # noqa: PLW0603
    with _lock:
        _users -= 1
        if _users == 0:
            while _installed:
                _installed.pop().remove()
