"""Compressed session files: zstd frames with checksums, readable by `zstd -d`.

Law of this file: a compressed file is made only of bytes that have the hash that was told of them, and has
its name only when it is whole and on the disk. Memory is bounded whatever the file's size.
"""

import contextlib
import hashlib
from importlib import import_module
from typing import Any, Final, NamedTuple

from otel_ext.checksum import crc32
from otel_ext.errors import ConfigError, DamageError
from otel_ext.files import File, Files
from otel_ext.sessions.names import PACKED

LEVEL: Final = 3
TEMPORARY: Final = ".tmp"
"""What an unfinished compressed file's name ends in, behind `PACKED`."""
_CHUNK: Final = 1 << 20


class Digest(NamedTuple):
    """What a file's bytes are: how many, CRC-32, SHA-256 in hex."""

    length: int
    crc: int
    sha256: str


def codec() -> Any:
    """The zstd module.

    Raises:
        ConfigError: none is installed.
    """
    for name in ("compression.zstd", "backports.zstd"):
        with contextlib.suppress(ImportError):
            return import_module(name)
    raise ConfigError(".zst files need Python 3.14 or newer, or: pip install 'otel-ext[zstd]'")


def digest(files: Files, path: str, length: int) -> Digest:
    """Read the first `length` bytes of a file."""
    crc, sha, done = 0, hashlib.sha256(), 0
    file = files.open(path, read_only=True)
    try:
        while done < length and (data := file.read(done, min(_CHUNK, length - done))):
            done += len(data)
            crc = crc32(data, crc)
            sha.update(data)
    finally:
        file.close()
    return Digest(done, crc, sha.hexdigest())


def pack(files: Files, path: str, sha256: str) -> tuple[int, str]:
    """Compress a file beside itself; length and SHA-256 of `<path>.zst`, whose name is not yet synced.

    Raises:
        DamageError: the file's bytes do not have the hash; nothing was made.
        OSError: the disk failed.
    """
    temporary = path + PACKED + TEMPORARY
    if files.exists(temporary):
        files.remove(temporary)
    with contextlib.ExitStack() as opened:
        opened.callback((source := files.open(path, read_only=True)).close)
        opened.callback((target := files.create(temporary)).close)
        before, length, after = _copy(source, target)
        target.sync()
    if before != sha256:
        files.remove(temporary)
        raise DamageError(f"{path} was changed since it was sealed; it stays as it is")
    files.rename(temporary, path + PACKED)
    return length, after


def _copy(source: File, target: File) -> tuple[str, int, str]:
    zstd = codec()
    parameter = zstd.CompressionParameter
    options = {parameter.compression_level: LEVEL, parameter.checksum_flag: 1}
    compressor = zstd.ZstdCompressor(options=options)
    before, after, at, length = hashlib.sha256(), hashlib.sha256(), 0, 0
    while True:
        data = source.read(at, _CHUNK)
        at += len(data)
        before.update(data)
        out = compressor.compress(data) if data else compressor.flush()
        after.update(out)
        length += len(out)
        if out:
            target.append(out)
        if not data:
            return before.hexdigest(), length, after.hexdigest()
