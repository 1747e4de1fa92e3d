"""The small server for probes: answers, limits, nothing that hangs it."""

import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from otel_ext.errors import ConfigError
from otel_ext.service.web import Answer, SideServer


def broken() -> Answer:
    """A route with a defect."""
    raise ValueError("its text")


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    """Where one listens."""
    server = SideServer()
    endpoint = server.listen(
        "127.0.0.1:0", {"/a": lambda: Answer(200, "text/plain", "é" * 500_000), "/broken": broken}
    )
    server.start()
    yield "127.0.0.1", int(endpoint.rpartition(":")[2])
    server.stop()


def ask(address: tuple[str, int], method: str, path: str) -> tuple[int, bytes]:
    """Status and body."""
    connection = HTTPConnection(*address, timeout=30)
    connection.request(method, path)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_paths_methods_and_defects(address: tuple[str, int]) -> None:
    """What is there is answered, everything else says what is wrong; a defect's text stays inside."""
    assert ask(address, "GET", "/a?x=1") == (200, "é".encode() * 500_000)
    assert ask(address, "HEAD", "/a") == (200, b"")
    assert ask(address, "GET", "/b") == (404, b"here are: /a /broken\n")
    assert ask(address, "POST", "/a")[0] == 405
    status, body = ask(address, "GET", "/broken")
    assert (status, b"its text" in body) == (500, False)


def test_heads_without_an_end_and_crowds_keep_nobody_out(address: tuple[str, int]) -> None:
    """Half requests, garbage, too long heads and a hundred silent connections: the next is answered."""
    held = [socket.create_connection(address) for _ in range(100)]
    for number, each in enumerate(held):
        with_what = [b"GET /a HTT", b"\x00" * 20_000, b"", b"\r\n\r\n"][number % 4]
        try:
            each.sendall(with_what)
        except OSError:
            continue  # it had to go already
    assert ask(address, "GET", "/b")[0] == 404
    for each in held:
        each.close()


def test_an_address_in_use_is_said() -> None:
    """And the server that could not listen can still be stopped."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = SideServer()
        with pytest.raises(ConfigError, match="cannot listen on"):
            server.listen(f"127.0.0.1:{taken.getsockname()[1]}", {})
        server.stop()


def test_stopping_ends_its_thread_and_closes_its_sockets() -> None:
    """Also with a connection open."""
    before = threading.active_count()
    server = SideServer()
    endpoint = server.listen("localhost:0", {})
    server.start()
    with socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2]))) as held:
        server.stop()
        assert held.recv(1) == b""
    assert threading.active_count() == before
