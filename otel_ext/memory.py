"""How much memory this process has, and how much it may have.

Law of this file: the limit is the smallest of those that apply, the cgroup's (v2, v1, any level above ours)
and the machine's, because the kernel kills at whichever is reached first.
"""

import contextlib
import ctypes
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")
_UNLIMITED: Final = 1 << 60
"""A v1 group without a limit states the largest number of pages."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Of glibc's malloc.h."""
_BLOCK: Final = 4 << 20
"""Bytes from which a block is large."""


def resident() -> int:
    """Bytes of this process in memory; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def limit(root: Path = _ROOT, groups: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that this process may have; 0 when nothing says it.

    Args:
        root: where the control groups are mounted.
        groups: the groups of this process, as the kernel lists them.
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with contextlib.suppress(OSError):
        for line in groups.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                found += _limits(root, path, "memory.max")
                found += _limits(root, path, "memory.high")  # beyond it the kernel slows us down
            elif "memory" in controllers.split(","):
                found += _limits(root / "memory", path, "memory.limit_in_bytes")
    return min((size for size in found if 0 < size < _UNLIMITED), default=0)


def keep_little() -> None:
    """Let the C library give large blocks back as they are freed; for a process that is ours.

    glibc raises its own thresholds with every large block, up to 32 and 64 MiB: then each thread's arena may
    keep 64 MiB at its end for ever, which `release` does not reach either (mallopt(3), malloc_trim(3)).
    """
    function = _libc("mallopt")
    if function is not None:
        function(_M_MMAP_THRESHOLD, _BLOCK)
        function(_M_TRIM_THRESHOLD, _BLOCK)


def release() -> None:
    """Give memory that is free inside this process back to the system; takes some ms.

    glibc keeps what threads have freed, in an arena each, for their next requests; measured, a process of 52
    MiB had 265 MiB for good after 32 large requests at one time. Elsewhere nothing is done.
    """
    function = _libc("malloc_trim")
    if function is not None:
        function(0)


@functools.cache
def _libc(name: str) -> Callable[..., int] | None:
    try:
        found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):  # no libc to be found
        return None
    return found


def _limits(root: Path, path: str, name: str) -> list[int]:
    """The limits of a group and of those above it; in a container the path may lead nowhere."""
    found = []
    group = root / path.lstrip("/")
    while group.is_relative_to(root):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number and no limit
            found.append(int((group / name).read_text()))
        group = group.parent
    return found
