"""Looking at a segment's frames through a window of its bytes.

Law of this file: nothing at or past `limit` is ever looked at, and damage is never an exception. A
sector that the disk cannot read counts as damaged bytes, like any other damage.
"""

import errno

from otel_ext.files import File
from otel_ext.journal.frame import FRAME_HEADER, MAGIC, Frame, Torn, decode

CHUNK = 256 * 1024
"""Bytes read at once unless a frame needs more."""

_SECTOR = 4096


def read_despite(file: File, offset: int, size: int) -> bytes:
    """Read like `File.read`; where the disk reports EIO, again sector by sector, zeros for the dead ones.

    Raises:
        OSError: any other trouble than EIO.
    """
    try:
        return file.read(offset, size)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    size = min(size, max(0, file.size() - offset))
    parts = []
    while size > 0:
        step = min(size, _SECTOR - offset % _SECTOR)
        try:
            data = file.read(offset, step)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b"\0" * step
        parts.append(data)
        offset, size = offset + step, size - step
    return b"".join(parts)


class Window:
    """The frames of one segment below `limit` (bytes). One thread at a time."""

    def __init__(self, file: File, sequence: int, limit: int, chunk: int = CHUNK) -> None:
        self._file = file
        self._sequence = sequence
        self._limit = limit
        self._chunk = chunk
        self._buffer = b""
        self._start = 0

    def frame(self, offset: int) -> Frame | None:
        """The whole frame at `offset`; None when there is none, torn or damaged."""
        need = FRAME_HEADER
        while offset + need <= self._limit:
            at = self._load(offset, need)
            outcome = decode(self._buffer, at, self._sequence, offset)
            if not isinstance(outcome, Torn):
                return outcome
            if outcome.needed <= need:  # the file is shorter than the limit says
                return None
            need = outcome.needed
        return None

    def find(self, offset: int) -> tuple[int, Frame] | None:
        """The first whole frame at or after `offset` with its place: where reading goes on after damage."""
        while offset + FRAME_HEADER <= self._limit:
            self._load(offset, min(self._chunk, self._limit - offset))
            buffer, start = self._buffer, self._start
            at = buffer.find(MAGIC, offset - start)
            while at >= 0:
                frame = self.frame(start + at)
                if frame is not None:
                    return start + at, frame
                at = buffer.find(MAGIC, at + 1)
            following = start + len(buffer) - len(MAGIC) + 1  # a magic may lie across the border
            if following <= offset:
                return None
            offset = following
        return None

    def _load(self, offset: int, need: int) -> int:
        """Have `need` bytes from `offset` in the buffer where the file has them; where they begin in it."""
        at = offset - self._start
        if at < 0 or at + need > len(self._buffer):
            size = min(max(need, self._chunk), self._limit - offset)
            self._buffer = read_despite(self._file, offset, size)
            self._start = offset
            return 0
        return at
