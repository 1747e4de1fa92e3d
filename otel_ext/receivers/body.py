"""The body of an HTTP request, and the answer after it.

Law of this file: a body is read once, within a size, a time and a share of memory, and not at all when it is
refused beforehand; then what of it is still on its way is read and dropped within limits, because a client
that is still writing when its connection is closed never sees the answer (RFC 9112, section 9.6).
"""

import asyncio
import contextlib
import io
from typing import Any, Final

from otel_ext.errors import InvalidRequest, Retryable, TooLarge
from otel_ext.receivers.budget import Share

Headers = list[tuple[bytes, bytes]]

_LINGER: Final = 5.0
"""Seconds, and below bytes, of a refused body that are dropped."""
_LINGER_BYTES: Final = 256 << 20
_SMALL: Final = 64 << 10
_SMALL_WAIT: Final = 0.5
"""Bytes of a refused body, and seconds, that are read before the answer, so that the connection can stay."""


class Body:
    """One request's body."""

    def __init__(self, receive: Any, headers: Headers) -> None:
        self.headers = headers
        self._receive = receive
        fields = dict(headers)
        length = fields.get(b"content-length")
        self._length = int(length) if length else None
        self._outstanding = bool(self._length) or b"transfer-encoding" in fields
        self._linger = b"expect" not in fields  # else it is sent only when asked for
        # As in request smuggling: what follows may not be believed (RFC 9112, section 6.3).
        self._ambiguous = b"transfer-encoding" in fields and b"content-length" in fields

    async def read(self, limit: int, share: Share, patience: float) -> bytes | None:
        """The body; None when the client has gone before its end.

        Args:
            limit: largest size in bytes.
            share: where its memory is reserved.
            patience: seconds for it to arrive.

        Raises:
            TooLarge: it has more than `limit` bytes.
            Busy: there is no room for it.
            Retryable: it did not arrive in time.
            InvalidRequest: it is framed in two ways.
        """
        if self._ambiguous:
            raise InvalidRequest("both Content-Length and Transfer-Encoding tell where the body ends")
        too_large = TooLarge(f"the body has more than {limit} bytes; send smaller batches")
        if self._length is not None and self._length > limit:
            raise too_large
        share.expect(self._length or 0)
        data = io.BytesIO()
        try:
            async with asyncio.timeout(patience):
                while self._outstanding:
                    part = await self._part()
                    if part is None:
                        return None
                    if data.tell() + len(part) > limit:
                        raise too_large
                    share.reserve(len(part))
                    data.write(part)
        except TimeoutError:
            self.abandon()
            raise Retryable(f"the body did not arrive within {patience:.0f} s") from None
        return data.getvalue()

    async def finish(self, send: Any, status: int, headers: Headers, content: bytes) -> None:
        """Send the answer; what of the body is still to come is read and dropped, within limits."""
        if self._outstanding and self._linger and self._length and self._length <= _SMALL:
            await self._drop(_SMALL_WAIT)
        closing = self._outstanding
        if closing or self._ambiguous:
            headers = [*headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": closing})
        if closing:
            if self._linger:
                await self._drop(_LINGER)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def abandon(self) -> None:
        """Wait no longer for what is still to come."""
        self._linger = False

    async def _part(self) -> bytes | None:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._outstanding = False
            return None
        self._outstanding = message["more_body"]
        part: bytes = message["body"]
        return part

    async def _drop(self, seconds: float) -> None:
        dropped = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._outstanding and dropped < _LINGER_BYTES:
                    dropped += len(await self._part() or b"")
