"""Unix domain sockets, for both doors alike."""

import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from otel_ext.errors import ConfigError
from otel_ext.receivers import GrpcReceiver, HttpReceiver
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry
from tests.builders import request, span
from tests.receivers.doors import Engine, Wire
from tests.support import METHOD

BODY = request(span(1, 1))
Door = GrpcReceiver | HttpReceiver
Ask = Callable[[str], None]


def ask_grpc(endpoint: str) -> None:
    """One request over gRPC."""
    with grpc.insecure_channel(endpoint) as channel:
        assert channel.unary_unary(METHOD)(BODY, timeout=30) == b""


def ask_http(endpoint: str) -> None:
    """One request over HTTP."""
    with Wire(endpoint) as wire:
        assert wire.ask(BODY).status == 200


DOORS = pytest.mark.parametrize(
    ("make", "ask"), [(GrpcReceiver, ask_grpc), (HttpReceiver, ask_http)], ids=["grpc", "http"]
)


@DOORS
def test_a_socket_serves_and_goes(tmp_path: Path, make: Any, ask: Ask) -> None:
    """Folder and file are for this user only; nothing is left after the stop, and it starts again."""
    place, engine = tmp_path / "new" / "otlp.sock", Engine()
    for _ in range(2):
        door: Door = make(engine.accept, f"unix://{place}", stats=Stats())
        assert door.endpoint == f"unix://{place}"
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
        door.start()
        ask(door.endpoint)
        assert [path.name for path in place.parent.iterdir()] == ["otlp.sock"]
        door.stop(5.0)
        assert not list(place.parent.iterdir())
    assert engine.accepted == [(Telemetry.TRACES, BODY)] * 2


@DOORS
def test_a_dead_process_socket_is_replaced(tmp_path: Path, make: Any, ask: Ask) -> None:
    """The file that a killed process left is no obstacle."""
    place = tmp_path / "s"
    script = f"import socket; s = socket.socket(socket.AF_UNIX); s.bind({str(place)!r}); s.listen()"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert place.is_socket()
    door: Door = make(Engine().accept, f"unix://{place}", stats=Stats())
    door.start()
    ask(door.endpoint)
    door.stop(5.0)


@DOORS
def test_a_living_process_socket_is_an_error(tmp_path: Path, make: Any, ask: Ask) -> None:
    """Who listens there goes on to be served; the second one is told so."""
    first: Door = make(Engine().accept, f"unix://{tmp_path}/s", stats=Stats())
    first.start()
    for other in (GrpcReceiver, HttpReceiver):
        with pytest.raises(ConfigError, match="a running process does"):
            other(Engine().accept, f"unix://{tmp_path}/s", stats=Stats())
    ask(first.endpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    first.stop(5.0)


@DOORS
def test_a_full_queue_is_a_living_process(tmp_path: Path, make: Any, ask: Ask) -> None:
    """A socket whose queue is full belongs to somebody."""
    with socket.socket(socket.AF_UNIX) as slow, socket.socket(socket.AF_UNIX) as waiting:
        slow.bind(str(tmp_path / "s"))
        slow.listen(0)
        waiting.connect(str(tmp_path / "s"))
        with pytest.raises(ConfigError, match="a running process does"):
            make(Engine().accept, f"unix://{tmp_path}/s", stats=Stats())


@DOORS
def test_what_is_no_socket_is_not_touched(tmp_path: Path, make: Any, ask: Ask) -> None:
    """A file of the name stays, and the error says what to do."""
    (tmp_path / "s").write_text("precious")
    with pytest.raises(ConfigError, match=r"is not a socket.*unix:///PATH"):
        make(Engine().accept, f"unix://{tmp_path}/s", stats=Stats())
    assert (tmp_path / "s").read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1


@DOORS
def test_a_path_that_is_too_long_is_a_clear_error(tmp_path: Path, make: Any, ask: Ask) -> None:
    """The kernel's limit of about 100 bytes is told as such, and nothing is left."""
    with pytest.raises(ConfigError, match="cannot listen on"):
        make(Engine().accept, f"unix://{tmp_path}/{'x' * 90}/s", stats=Stats())
    assert not list((tmp_path / ("x" * 90)).iterdir())


def test_a_successors_socket_is_left_alone(tmp_path: Path) -> None:
    """A door that stops late does not take away the file of the one that came after it."""
    place = tmp_path / "s"
    first = HttpReceiver(Engine().accept, f"unix://{place}", stats=Stats())
    place.unlink()
    second = HttpReceiver(Engine().accept, f"unix://{place}", stats=Stats())
    second.start()
    first.stop(1.0)
    ask_http(second.endpoint)
    second.stop(5.0)
    assert not place.exists()
