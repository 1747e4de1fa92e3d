"""Bodies out of their compression, within limits.

Law of this file: never more than one step beyond the limit is decompressed, whatever the stream promises;
a stream that is damaged or cut short is refused as a whole. Several members or frames in a row are one body,
as `gzip` and `zstd` have it.
"""

import contextlib
import io
import zlib
from functools import cache
from importlib import import_module
from typing import Any, Final

from otel_ext.errors import InvalidRequest, TooLarge
from otel_ext.receivers.budget import Share

_IN: Final = 1 << 16
_OUT: Final = 1 << 18
"""Bytes fed and decompressed at a time."""
_LOOK: Final = 1 << 14
"""Bytes, at most, that are decompressed for a look."""
_WINDOW: Final = 23
"""Largest window of a zstd frame, as a power of two: 8 MiB, what RFC 8878 asks every reader to accept."""


@cache
def _codec() -> Any:
    """The zstd module, None where none is installed."""
    for name in ("compression.zstd", "backports.zstd"):
        with contextlib.suppress(ImportError):
            return import_module(name)
    return None


def encodings() -> list[str]:
    """Values of Content-Encoding that are read; `zstd` where its codec is installed."""
    return ["gzip", "x-gzip", "deflate"] + (["zstd"] if _codec() else [])


def inflate(body: bytes, encoding: str, *, limit: int, share: Share) -> bytes:
    """`body` decompressed.

    Args:
        body: the compressed bytes.
        encoding: one of `encodings`.
        limit: largest result in bytes.
        share: where the memory of the result is reserved.

    Raises:
        InvalidRequest: it is damaged or cut short.
        TooLarge: it holds more than `limit` bytes.
        Busy: no memory is left for it.
    """
    codec = _codec()
    errors = (zlib.error, codec.ZstdError) if codec else (zlib.error,)
    out, at = io.BytesIO(), 0
    try:
        while True:
            decoder = _decoder(encoding, body[at : at + 2])
            while not decoder.eof:
                piece = b""
                if decoder.needs_input:
                    piece = body[at : at + _IN]
                    at += len(piece)
                    if not piece:
                        raise InvalidRequest(f"the {encoding} stream is cut short")
                part = decoder.decompress(piece, _OUT)
                share.reserve(len(part))
                if out.tell() + len(part) > limit:
                    raise TooLarge(
                        f"decompressed, the body has more than {limit} bytes; send smaller batches"
                    )
                out.write(part)
            at -= len(decoder.unused_data)
            if at == len(body):
                return out.getvalue()
    except errors:
        raise InvalidRequest(f"the body is not a {encoding} stream, or is damaged") from None


def beginning(body: bytes, encoding: str) -> bytes:
    """The first bytes of `body` decompressed, for a look; b"" where it is damaged. Raises nothing."""
    codec = _codec()
    errors = (zlib.error, codec.ZstdError) if codec else (zlib.error,)
    with contextlib.suppress(*errors):
        part: bytes = _decoder(encoding, body[:2]).decompress(body[:_LOOK], _LOOK)
        return part
    return b""


def _decoder(encoding: str, head: bytes) -> Any:
    """A decoder for the stream that begins with `head`."""
    if encoding == "zstd":
        codec = _codec()
        return codec.ZstdDecompressor(options={codec.DecompressionParameter.window_log_max: _WINDOW})
    if encoding == "deflate":
        # HTTP means zlib's form; some send the bare stream (RFC 9110, section 8.4.1.2).
        return _Zlib(zlib.MAX_WBITS if _is_zlib(head) else -zlib.MAX_WBITS)
    return _Zlib(zlib.MAX_WBITS | 16)


class _Zlib:
    """A zlib decompressor with the interface of the zstd one."""

    def __init__(self, window: int) -> None:
        self._decoder = zlib.decompressobj(window)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        part = self._decoder.decompress(self._decoder.unconsumed_tail + data, most)
        self.needs_input = not self._decoder.unconsumed_tail and len(part) < most
        return part


def _is_zlib(head: bytes) -> bool:
    return len(head) == 2 and head[0] & 0x0F == 8 and int.from_bytes(head) % 31 == 0
