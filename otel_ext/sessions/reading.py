"""Reading back what session files hold, compressed or not.

Law of this file: only committed bytes are read, memory is bounded by the longest line, and a line is whole
or not there.
"""

from collections.abc import Iterator
from typing import Final

from otel_ext.errors import DamageError
from otel_ext.files import File, Files
from otel_ext.sessions.checkpoint import FileRow, FileState
from otel_ext.sessions.pack import codec

_CHUNK: Final = 1 << 20


def committed_bytes(files: Files, folder: str, row: FileRow) -> Iterator[bytes]:
    """The committed bytes of a session file, in pieces; fewer when the file ends before.

    Raises:
        OSError: the file cannot be read.
        DamageError: it is compressed and cannot be decompressed to its end.
        ConfigError: it is compressed and no zstd is installed.
    """
    file = files.open(f"{folder}/{row.stored_name}", read_only=True)
    try:
        packed = row.state is FileState.PACKED
        left = row.length
        for data in _decompressed(file, row) if packed else _plain(file):
            yield data[:left]
            left -= len(data)
            if left <= 0:
                return
    finally:
        file.close()


def committed_lines(files: Files, folder: str, row: FileRow) -> Iterator[bytes]:
    """The committed lines of a session file, with their newline, the header line left out.

    Raises: as `committed_bytes`.
    """
    rest: list[bytes] = []
    for data in committed_bytes(files, folder, row):
        *lines, last = data.split(b"\n")
        for line in lines:
            whole = b"".join((*rest, line, b"\n"))
            rest = []
            if not whole.startswith(b'{"otel_ext":'):
                yield whole
        if last:
            rest.append(last)


def _plain(file: File) -> Iterator[bytes]:
    at = 0
    while data := file.read(at, _CHUNK):
        at += len(data)
        yield data


def _decompressed(file: File, row: FileRow) -> Iterator[bytes]:
    zstd = codec()
    unpack = zstd.ZstdDecompressor()
    at = 0
    try:
        while not unpack.eof:
            data = b""
            if unpack.needs_input:
                data = file.read(at, _CHUNK)
                at += len(data)
                if not data:
                    raise DamageError(f"{row.stored_name} ends before its last frame does")
            out = unpack.decompress(data, _CHUNK)
            if out:
                yield out
    except zstd.ZstdError as error:
        raise DamageError(f"{row.stored_name} cannot be decompressed: {error}") from error
