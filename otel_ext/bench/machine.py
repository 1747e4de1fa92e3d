"""What the kernel says of processes: CPU, memory, bytes written; and of everybody else on the machine.

Law of this file: Linux only, read from /proc; what cannot be read is 0, never a guess. A process stands for
its whole tree, because some servers are several.
"""

import contextlib
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """Of a process tree since it began: CPU in s; peak and resident memory and what was written, bytes."""

    cpu: float
    peak: int
    resident: int
    written: int


class Others(NamedTuple):
    """CPU seconds of the whole machine, and of idle cores, since it started."""

    busy: float
    idle: float


CORES: Final = tuple(sorted(os.sched_getaffinity(0)))
"""The cores that this process might use when it began."""

SERVER_CORE: Final = CORES[0]
CLIENT_CORE: Final = CORES[-1]
"""Clients run there, and who looks at the server. The same as the server's where there is just one."""


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started inside run on that core, all their threads, from their first instruction."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _stat(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(pid: int) -> list[int]:
    """A process and its living descendants; empty when it is gone."""
    children = dict[int, list[int]]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(entry.name)[1]), []).append(int(entry.name))
    if not Path(f"/proc/{pid}").exists():
        return []
    found = [pid]
    for one in found:
        found += children.get(one, ())
    return found


def usage(pid: int) -> Usage:
    """What a process tree used so far."""
    cpu, peak, resident, written = 0.0, 0, 0, 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            cpu += sum(int(field) for field in _stat(one)[11:15]) / _TICKS  # with children that ended
            status = Path(f"/proc/{one}/status").read_text().splitlines()
            peak += sum(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
            resident += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * _PAGE
            for line in Path(f"/proc/{one}/io").read_text().splitlines():
                written += int(line.split()[1]) if line.startswith("write_bytes") else 0
    return Usage(cpu, peak, resident, written)


def load() -> Others:
    """CPU of the machine: user, nice, system, interrupts, what the hypervisor took; idle with waiting."""
    fields = [int(field) / _TICKS for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, idle, waiting, interrupt, soft, stolen = fields
    return Others(user + nice + system + interrupt + soft + stolen, idle + waiting)


def own_cpu() -> float:
    """CPU seconds of this process and of its children that ended and were waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def described(folder: Path) -> dict[str, Any]:
    """The machine and the tree as a stored baseline names them."""
    model = ""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line for line in lines if line.startswith("model name")).partition(":")[2].strip()
    return {
        "cpu": model or platform.machine(),
        "cores": len(CORES),
        "pinned": {"server": SERVER_CORE, "client": CLIENT_CORE},
        "memory_mib": os.sysconf("SC_PHYS_PAGES") * _PAGE >> 20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _commit(folder),
    }


def _commit(folder: Path) -> str:
    """The last commit that changed `folder`, "+" where it differs from that; "" outside of a checkout."""

    def git(*words: str) -> str:
        call = ["git", "-C", str(folder), *words, "--", "."]
        return subprocess.run(call, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603

    try:
        return git("log", "-1", "--abbrev=12", "--format=%h") + "+" * bool(git("status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
        return ""
