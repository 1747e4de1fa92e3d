"""OTLP/HTTP over a plain socket, kept alive: headers and bodies are bytes made beforehand.

Law of this file: it does no more than a client must, so that the client's core is not what is measured. A
connection that the server closed while nothing was under way is opened again, within the request's time.
"""

import select
import socket
from collections.abc import Mapping
from typing import Protocol

_END = b"\r\n\r\n"
PATIENCE = 120.0
"""Seconds that an answer may take."""


class Target(Protocol):
    """Where to post, and how."""

    endpoint: str
    gzip: bool
    headers: dict[str, str]


class Connection:
    """One connection to post on."""

    def __init__(self, target: Target, path: str = "/v1/traces") -> None:
        self._endpoint = target.endpoint
        extra: Mapping[str, str] = {**({"Content-Encoding": "gzip"} if target.gzip else {}), **target.headers}
        head = f"POST {path} HTTP/1.1\r\nHost: {target.endpoint}\r\nContent-Type: application/x-protobuf\r\n"
        head += "".join(f"{key}: {value}\r\n" for key, value in extra.items())
        self._start = head.encode() + b"Content-Length: "
        self._socket = _opened(target.endpoint)

    def post(self, body: bytes) -> str:
        """Post one body; "" when it was taken, else the status."""
        if select.select([self._socket], [], [], 0)[0]:  # nothing was asked, so that it can only be the end
            self.close()
            self._socket = _opened(self._endpoint)
        self._socket.sendall(b"%b%d%b%b" % (self._start, len(body), _END, body))
        status = _answer(self._socket)
        return "" if status == 200 else str(status)

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _opened(endpoint: str) -> socket.socket:
    host, _, port = endpoint.rpartition(":")
    sock = socket.create_connection((host, int(port)), timeout=PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _answer(sock: socket.socket) -> int:
    """Read one answer to its last byte; its status.

    Raises:
        ConnectionError: the server closed before the end.
    """
    data = _more(sock, b"")
    while _END not in data:
        data = _more(sock, data)
    head, _, body = data.partition(_END)
    lines = head.lower().split(b"\r\n")
    headers = dict(line.partition(b":")[::2] for line in lines[1:])
    if headers.get(b"transfer-encoding", b"").strip() == b"chunked":
        while not body.endswith(b"0" + _END):
            body = _more(sock, body)
    else:
        length = int(headers.get(b"content-length", 0))
        while len(body) < length:
            body = _more(sock, body)
    return int(lines[0].split()[1])


def _more(sock: socket.socket, data: bytes) -> bytes:
    got = sock.recv(65536)
    if not got:
        raise ConnectionError("the server closed the connection")
    return data + got
