"""The end of a `multiprocessing` child: it leaves by `os._exit`, so `atexit` never runs there.

Law of this file: `multiprocessing` is used only where the program already does, and only in its children. A
finalizer of negative priority runs after the child's own children were joined; it is registered when the
child has its engine, because the child's bootstrap clears what its parent had registered.
"""

import contextlib
import sys
from collections.abc import Callable


def at_exit(callback: Callable[[BaseException | None], None]) -> None:
    """Call back at the end of this process if it is a child of `multiprocessing`, with what it dies of."""
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is None or util is None or process.parent_process() is None:
        return

    def finish() -> None:
        # The finalizers run while the exception that ended the child passes by (`Process._bootstrap`).
        with contextlib.suppress(Exception):
            callback(sys.exc_info()[1])

    util.Finalize(None, finish, exitpriority=-100)
