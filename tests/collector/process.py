"""A real Collector as a process, run with the files of collector-config/ as they are.

Law of this file: what differs between one test and the next (ports, folders) goes in by the environment
variables that the files name; a test that needs another pipeline lays a second file over the first.
"""

import contextlib
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.support import PATIENCE, ROOT, ServerProcess

CONFIGS = ROOT / "collector-config"
_READY = "Everything is ready"
_RENAMED = re.compile(r"alias is deprecated|has been renamed|Deprecated component")


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclasses.dataclass(frozen=True)
class Door:
    """Where to send to."""

    endpoint: str


class Site:
    """Where the parts of one test stand: a folder, ports, and the environment that names them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.environment = {
            "OTEL_EXT_DATA": str(self.data),
            "COLLECTOR_STATE": str(folder / "state"),
            **{
                name: str(free_port())
                for name in (
                    "OTEL_EXT_GRPC_PORT",
                    "OTEL_EXT_HTTP_PORT",
                    "COLLECTOR_GRPC_PORT",
                    "COLLECTOR_HTTP_PORT",
                    "COLLECTOR_METRICS_PORT",
                    "BACKEND_GRPC_PORT",
                )
            },
        }

    def endpoint(self, name: str) -> str:
        """HOST:PORT of one of the ports, e.g. `COLLECTOR_GRPC_PORT`."""
        return f"127.0.0.1:{self.environment[name]}"

    def door(self, name: str) -> Door:
        """One of the ports as what `Load` sends to."""
        return Door(self.endpoint(name))

    def sidecar(self, config: str, extra: str = "") -> ServerProcess:
        """An `otel-ext serve` with a file of collector-config/; not started."""
        text = (CONFIGS / config).read_text() + extra
        process = ServerProcess(self.data, text, self.environment)
        process.endpoint, process.http = (
            self.endpoint("OTEL_EXT_GRPC_PORT"),
            self.endpoint("OTEL_EXT_HTTP_PORT"),
        )
        return process


class Collector:
    """A real Collector.

    Attributes:
        log: everything that it wrote, over all its starts.
    """

    def __init__(self, program: Path, site: Site, config: str, over: dict[str, object] | None = None) -> None:
        self._call = [str(program), f"--config={CONFIGS / config}"]
        if over is not None:
            overlay = site.folder / f"over-{config.replace('/', '-')}"
            overlay.write_text(json.dumps(over))  # JSON is YAML
            self._call.append(f"--config={overlay}")
        self._environment = {**os.environ, **site.environment}
        self.log = site.folder / f"{config.replace('/', '-')}.log"
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self._ready.clear()
        self._process = subprocess.Popen(
            self._call, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=self._environment
        )
        assert self._process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        assert self._ready.wait(PATIENCE), self.log.read_text()[-3000:]
        assert self._process.poll() is None, self.log.read_text()[-3000:]

    def _read(self, stream: IO[str]) -> None:
        """Keep what it writes, to its end; a full pipe would stop it."""
        with stream, self.log.open("a", buffering=1) as log:
            for line in stream:
                log.write(line)
                if _READY in line:
                    self._ready.set()
        self._ready.set()  # it ended: nobody waits for what cannot come

    def kill(self) -> None:
        """SIGKILL, now."""
        assert self._process is not None
        self._process.kill()
        self._end(PATIENCE)

    def stop(self) -> None:
        """A polite end; exit code 0 is asserted."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert self._end(PATIENCE) == 0, self.log.read_text()[-3000:]

    def pause(self) -> None:
        """SIGSTOP: it is there and does nothing, until `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def complaints(self) -> list[str]:
        """Warnings and errors that it wrote, but for those about names that it has newer ones for."""
        return [
            line
            for line in self.log.read_text().splitlines()
            if re.search(r"\t(warn|error|fatal)\t", line) and not _RENAMED.search(line)
        ]

    def _end(self, patience: float) -> int:
        assert self._process is not None
        assert self._reader is not None
        code = self._process.wait(timeout=patience)
        self._reader.join()
        return code


@contextlib.contextmanager
def collector(
    program: Path, site: Site, config: str, over: dict[str, object] | None = None
) -> Iterator[Collector]:
    """A running Collector that is gone afterwards, whatever happens."""
    process = Collector(program, site, config, over)
    try:
        process.start()
        yield process
    finally:
        if process.running:
            process.kill()


@contextlib.contextmanager
def sidecar(site: Site, config: str, extra: str = "") -> Iterator[ServerProcess]:
    """A running `otel-ext serve` with a file of collector-config/ that is gone afterwards."""
    with site.sidecar(config, extra) as process:
        process.start()
        yield process
