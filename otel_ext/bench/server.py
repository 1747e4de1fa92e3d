"""What a server must say and do to be measured.

Law of this file: a server is started on one core before its first instruction, in a folder of its own that is
removed afterwards, and says beside its figures what its OK promises.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from otel_ext.bench.cases import Case
from otel_ext.bench.machine import SERVER_CORE, on_core
from otel_ext.errors import OtelExtError


class CannotBeMeasuredError(OtelExtError):
    """This server is not to be had here; the text says why."""


class Server:
    """What is measured, as a context: started on entry, gone after exit."""

    name: ClassVar[str]
    promise: ClassVar[str]
    """What its OK means, in a few words."""

    weight: ClassVar[float] = 1.0
    """The part of a case's spans that it is sent; less than 1 for what would take hours."""

    most: ClassVar[int | None] = None
    """Runs of a case, at most; few for what takes minutes."""

    unique: ClassVar[bool] = False
    """Whether it takes two spans of one id for one, though their traces differ."""

    doors: ClassVar[tuple[str, ...]] = ("grpc", "http")
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.pid = 0
        self.endpoints: dict[str, str] = {}
        self.folder = Path()
        self.helpers: list[int] = []
        """Processes that belong to the run and are not measured."""
        self._process: subprocess.Popen[str] | None = None
        self._stack = contextlib.ExitStack()

    def takes(self, case: Case) -> bool:
        """Whether a case can be put to it."""
        return case.door in self.doors and case.wire

    def start(self, case: Case) -> None:
        """Start it; it takes requests when this returns.

        Raises:
            CannotBeMeasuredError: it does not start here.
        """
        raise NotImplementedError

    def done(self) -> int | None:
        """Spans through its whole pipeline since the start; None when it does not say."""
        return None

    def settled(self, spans: int) -> bool:
        """Whether these spans, sent since its start, are also saved for good."""
        return True

    def open(self, case: Case) -> Self:
        """Start it in a new folder."""
        self.folder = Path(tempfile.mkdtemp(prefix="otel-ext-bench-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self.start(case)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End it and remove what it wrote."""
        self.end(signal.SIGTERM)
        self._stack.close()

    def end(self, number: int) -> None:
        """Send it a signal and wait until it is gone; kill it after 20 s."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def spawn(
        self,
        call: Sequence[str | Path],
        environment: dict[str, str] | None = None,
        core: int | None = None,
        start: str = "",
    ) -> str:
        """Start a process on the server's core; what it says goes to `log` in the folder.

        Args:
            call: program and arguments.
            environment: set besides what there is.
            core: another core.
            start: wait for a first line on stdout that begins so; stdout is then not logged.

        Returns:
            That line, or "".

        Raises:
            CannotBeMeasuredError: it says something else, or ends; with the end of its log.
        """
        with (self.folder / "log").open("a") as log, on_core(SERVER_CORE if core is None else core):
            self._process = subprocess.Popen(  # noqa: S603 - what an adapter names
                [str(word) for word in call],
                # A pipe that nobody reads any more stops a talkative server once it is full.
                stdout=subprocess.PIPE if start else log,
                stderr=log,
                text=True,
                env={**os.environ, **(environment or {})},
            )
        self.pid = self._process.pid
        if self._process.stdout is None:
            return ""
        line = self._process.stdout.readline()
        if not line.startswith(start):
            self.end(signal.SIGTERM)
            tail = (self.folder / "log").read_text(errors="replace")[-500:]
            raise CannotBeMeasuredError(f"{self.name} did not start: {tail}")
        return line.strip()
