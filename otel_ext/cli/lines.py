"""Lines of a file with their places: plain, .zst, or standard input.

Law of this file: memory is bounded whatever the file holds, and a file that cannot be read to its end
gives all lines before that place, then one fault.
"""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from otel_ext.cli.refused import Refused
from otel_ext.sessions import codec

LONGEST: Final = 256 << 20
"""Bytes of a line; a longer one is a fault and is skipped."""


class Line(NamedTuple):
    """One line, its place, `file:number (byte offset)`, and why it cannot be used ("" if it can)."""

    text: bytes
    where: str
    fault: str = ""


def read(path: str, progress: Callable[[int], None]) -> Iterator[Line]:
    """Every line of `path` that is not blank; `-` is standard input.

    Args:
        path: a file; one that ends in .zst is decompressed, and offsets count decompressed bytes.
        progress: called with the bytes of the file that were read since the last call.

    Raises:
        Refused: the file cannot be opened.
        ConfigError: it is compressed and no zstd is installed.
    """
    if path == "-":
        yield from _numbered(path, sys.stdin.buffer, (OSError,), lambda: None)
        return
    try:
        raw = Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    before = 0

    def tell() -> None:
        nonlocal before
        position = raw.tell()
        progress(position - before)
        before = position

    with raw:
        if path.endswith(".zst"):
            zstd = codec()
            stream = io.BufferedReader(zstd.ZstdFile(raw))
            yield from _numbered(path, stream, (OSError, EOFError, zstd.ZstdError), tell)
        else:
            yield from _numbered(path, raw, (OSError,), tell)


def _numbered(
    path: str, stream: IO[bytes], failures: tuple[type[Exception], ...], tell: Callable[[], None]
) -> Iterator[Line]:
    number = offset = 0
    while True:
        where = f"{path}:{number + 1} (byte {offset})"
        try:
            text = stream.readline(LONGEST)
            size = len(text)
            whole = size < LONGEST or text.endswith(b"\n")
            while not whole and (rest := stream.readline(LONGEST)):
                size += len(rest)
                whole = rest.endswith(b"\n")
        except failures as error:
            yield Line(b"", where, f"the file cannot be read further: {error}")
            return
        if not text:
            return
        number, offset = number + 1, offset + size
        if size > len(text):
            yield Line(b"", where, f"the line is longer than {LONGEST} bytes")
        elif text.strip():
            yield Line(text, where)
        tell()
