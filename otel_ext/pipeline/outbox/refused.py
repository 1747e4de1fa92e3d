"""What a destination refuses for good, kept for people: JSON lines in a bounded file.

Law of this file: a request is in it, synced, before its destination's cursor passes it, so a death in
between writes it twice, never not at all. A line is `{"at", "telemetry", "items", "reason", "request"}`, the
request being the encoded one in base64.
"""

import base64
import contextlib
from typing import Final

import msgspec

from otel_ext.clock import Clock
from otel_ext.files import File, Files
from otel_ext.telemetry import Telemetry

SUFFIX: Final = ".refused.jsonl"
MOST: Final = 64 << 20
"""Bytes of one destination's file."""
_REASON: Final = 1000


class Quarantine:
    """One destination's file of refused requests; one thread at a time."""

    def __init__(self, files: Files, folder: str, stem: str, clock: Clock, most: int = MOST) -> None:
        self._files, self._folder, self._clock, self._most = files, folder, clock, most
        self.path = f"{folder}/{stem}{SUFFIX}"
        self._file: File | None = None

    def keep(self, telemetry: Telemetry, body: bytes, items: int, reason: str) -> bool:
        """Keep a request; False when there is no room for it.

        Raises:
            OSError: the disk.
        """
        line = msgspec.json.encode(
            {
                "at": self._clock.now(),
                "telemetry": telemetry.value,
                "items": items,
                "reason": reason[:_REASON],
                "request": base64.b64encode(body).decode(),
            }
        )
        try:
            file = self._file = self._file or self._open()
            if file.size() + len(line) + 1 > self._most:
                return False
            file.append(line, b"\n")
            file.sync()
        except OSError:
            self.close()
            raise
        return True

    def close(self) -> None:
        """Give the descriptor back."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _open(self) -> File:
        try:
            file = self._files.open(self.path)
        except FileNotFoundError:
            file = self._files.create(self.path)
            self._files.sync_directory(self._folder)
            return file
        size = file.size()
        keep = size
        while keep and (chunk := file.read(max(0, keep - 65_536), min(keep, 65_536))):
            end = chunk.rfind(b"\n")
            if end >= 0:
                keep += end + 1 - len(chunk)
                break
            keep -= len(chunk)
        if keep < size:
            file.truncate(keep)  # a write that never ended: its cursor did not pass it
        return file
