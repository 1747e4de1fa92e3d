"""What adapters share: free ports, waiting for a door, environments of their own outside of the tree."""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from otel_ext.bench.server import CannotBeMeasuredError, Server

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "otel_ext"


def free_ports(number: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for_door(server: Server, port: int, seconds: float = 60.0) -> None:
    """Wait until something listens on a port.

    Raises:
        CannotBeMeasuredError: nothing does, with the end of the server's log.
    """
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if not Path(f"/proc/{server.pid}/exe").exists():
            break
        time.sleep(0.1)
    log = server.folder / "log"
    raise CannotBeMeasuredError(f"{server.name} does not listen: {log.read_text(errors='replace')[-500:]}")


def environment(*packages: str) -> Path:
    """The `bin` of a virtual environment with just these packages from PyPI, made once.

    Raises:
        CannotBeMeasuredError: they cannot be installed here.
    """
    key = hashlib.sha256("\n".join((sys.version, *packages)).encode()).hexdigest()[:16]
    home = CACHE / f"{packages[0].partition('=')[0]}-{key}"
    if not home.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        # An environment holds its own path, so that it is made in its place and named when it is whole.
        place = CACHE / f"{home.name}.{os.getpid()}"
        install: list[str | Path] = ["nice", place / "bin/pip", "install", "-q", *packages]
        try:
            subprocess.run([sys.executable, "-m", "venv", place], check=True, capture_output=True)
            subprocess.run(install, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            shutil.rmtree(place, ignore_errors=True)
            said = str(error.stderr or "").strip().splitlines()[-1:]
            raise CannotBeMeasuredError(f"{packages[0]} cannot be installed: {said}") from error
        with contextlib.suppress(FileExistsError):  # another run was faster
            home.symlink_to(place)
    return home / "bin"
