"""Reading back what session files hold.

Law of this file: only committed bytes are read, and a line is whole or not there.
"""

from collections.abc import Iterator
from typing import Final

from otel_ext.files import Files
from otel_ext.sessions.checkpoint import FileRow

_CHUNK: Final = 1 << 20


def committed_lines(files: Files, folder: str, row: FileRow) -> Iterator[bytes]:
    """The committed lines of a session file, with their newline, the header line left out.

    Raises:
        OSError: the file cannot be read.
    """
    file = files.open(f"{folder}/{row.name}", read_only=True)
    try:
        rest, at = b"", 0
        while at < row.length and (data := file.read(at, min(_CHUNK, row.length - at))):
            at += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if not line.startswith(b'{"otel_ext":'):
                    yield line + b"\n"
    finally:
        file.close()
