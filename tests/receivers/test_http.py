"""OTLP/HTTP over raw sockets: every status, every limit, and what bad clients do."""

import gzip
import json
import threading
import zlib
from collections.abc import Iterator

import pytest

from otel_ext.errors import Busy, InvalidRequest, ShuttingDown, Throttled
from otel_ext.receivers import Budget
from otel_ext.telemetry import Telemetry
from tests.builders import request, span
from tests.receivers.doors import JSON, PATIENCE, PROTOBUF, Answer, Engine, Wire, http_door, message

BODY = request(span(1, 1))
TRACES = Telemetry.TRACES


@pytest.fixture
def engine() -> Engine:
    """What stands behind the door."""
    return Engine()


@pytest.fixture
def wire(engine: Engine) -> Iterator[Wire]:
    """A connection to a door with its defaults."""
    with http_door(engine) as door, Wire(door.endpoint) as connection:
        yield connection


def test_success_is_200_with_an_empty_response_of_the_same_type(wire: Wire, engine: Engine) -> None:
    """Both encodings, parameters of the type included; the body arrives bit for bit."""
    for kind, body, answer in (
        (PROTOBUF, BODY, b""),
        (PROTOBUF, b"", b""),
        (f"{PROTOBUF}; charset=utf-8", BODY, b""),
        (JSON, b"{}", b"{}"),
        ("Application/JSON;charset=UTF-8", b"{}", b"{}"),
    ):
        reply = wire.ask(body, content_type=kind)
        assert (reply.status, reply.body) == (200, answer)
        assert reply.headers["content-type"] == kind.partition(";")[0].lower()
    assert [body for _, body in engine.accepted] == [BODY, b"", BODY, b"", b""]


@pytest.mark.parametrize("telemetry", Telemetry)
def test_each_telemetry_has_its_path(wire: Wire, engine: Engine, telemetry: Telemetry) -> None:
    """The path says what is in the body, and rejected items are counted in its words."""
    engine.behave = lambda _: (3, 2, "two were bad")
    key = {"traces": "rejectedSpans", "logs": "rejectedLogRecords", "metrics": "rejectedDataPoints"}
    reply = wire.ask(b"{}", f"/v1/{telemetry.value}", content_type=JSON)
    assert json.loads(reply.body) == {
        "partialSuccess": {key[telemetry.value]: "2", "errorMessage": "two were bad"}
    }
    assert engine.accepted == [(telemetry, b"")]


def test_paths_are_configurable(engine: Engine) -> None:
    """Only the paths given are served."""
    with http_door(engine, paths={"/x": Telemetry.LOGS}) as door, Wire(door.endpoint) as wire:
        assert wire.ask(path="/x").status == 200
        assert wire.ask(path="/v1/traces").status == 404
    assert engine.accepted == [(Telemetry.LOGS, b"")]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY[:50]) + gzip.compress(BODY[50:])),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, wbits=-15)),
        ("identity", BODY),
    ],
    ids=range(6),
)
def test_compressed_bodies(wire: Wire, engine: Engine, encoding: str, body: bytes) -> None:
    """Each compression gives the body back, several gzip members included."""
    assert wire.ask(body, content_encoding=encoding).status == 200
    assert engine.accepted == [(TRACES, BODY)]


def test_zstd_where_it_is_installed(wire: Wire, engine: Engine) -> None:
    """Zstandard is read, damage in it is a 400, and too large a window is refused before it is allocated."""
    zstd = pytest.importorskip("backports.zstd")
    assert wire.ask(zstd.compress(BODY), content_encoding="zstd").status == 200
    assert engine.accepted == [(TRACES, BODY)]
    assert wire.ask(zstd.compress(BODY)[:-3], content_encoding="zstd").status == 400
    assert wire.ask(b"rubbish", content_encoding="zstd").status == 400
    parameter = zstd.CompressionParameter
    wide = zstd.compress(bytes(64 << 20), options={parameter.window_log: 27, parameter.content_size_flag: 0})
    assert wire.ask(wide, content_encoding="zstd").status == 400


REFUSED = {
    "garbage": (message(b"\xff\xff"), 400, 3),
    "json garbage": (message(b"{", content_type=JSON), 400, 3),
    "json in latin-1": (message(b'{"a":"\xe9"}', content_type=JSON), 400, 3),
    "json with a byte order mark": (message(b"\xef\xbb\xbf{}", content_type=JSON), 400, 3),
    "json bomb": (message(b'{"a":' * 100_000, content_type=JSON), 400, 3),
    "not gzip": (message(BODY, content_encoding="gzip"), 400, 3),
    "empty gzip": (message(b"", content_encoding="gzip"), 400, 3),
    "cut gzip": (message(gzip.compress(BODY)[:-4], content_encoding="gzip"), 400, 3),
    "gzip and rubbish": (message(gzip.compress(BODY) + b"rubbish", content_encoding="gzip"), 400, 3),
    "deflate of nothing": (message(b"", content_encoding="deflate"), 400, 3),
    "path": (message(BODY, "/v1/nothing"), 404, 12),
    "root": (message(BODY, "/"), 404, 12),
    "trailing slash": (message(BODY, "/v1/traces/"), 404, 12),
    "GET": (message(b"", method="GET"), 405, 12),
    "PUT": (message(BODY, method="PUT", content_type=JSON), 405, 12),
    "OPTIONS": (message(b"", method="OPTIONS", content_type=""), 405, 12),
    "type": (message(BODY, content_type="text/plain"), 415, 12),
    "no type": (message(BODY, content_type=""), 415, 12),
    "encoding": (message(BODY, content_encoding="br"), 415, 12),
    "two encodings": (message(BODY, content_encoding="gzip, gzip"), 415, 12),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_a_status_and_the_connection_stays(wire: Wire, engine: Engine, name: str) -> None:
    """Each refusal has its code in the request's encoding; the next request on the connection is served."""
    engine.behave = reading
    sent, status, code = REFUSED[name]
    wire.send(sent)
    reply = wire.reply()
    assert reply is not None
    assert (reply.status, reply.error.code) == (status, code)
    assert reply.error.message
    protobuf = f"content-type: {PROTOBUF}".encode() in sent
    assert reply.headers["content-type"] == (PROTOBUF if protobuf else JSON)
    assert reply.headers.get("allow") == ("POST" if status == 405 else None)
    assert not engine.accepted
    assert wire.ask(BODY).status == 200


def reading(body: bytes) -> Answer:
    """Refuse what protobuf refuses, as admission does."""
    if body == b"\xff\xff":
        raise InvalidRequest("cannot be decoded")
    return 1, 0, ""


def test_head_is_405_without_a_body(wire: Wire) -> None:
    """HEAD gets the headers of its refusal and nothing after them."""
    wire.send(message(b"", method="HEAD"))
    reply = wire.reply("HEAD")
    assert reply is not None
    assert (reply.status, reply.body) == (405, b"")
    assert wire.ask(BODY).status == 200


@pytest.mark.parametrize(
    ("error", "status", "code", "after"),
    [
        (Busy("full", 2.5), 503, 14, "3"),
        (Throttled("your share", 7.0), 429, 8, "7"),
        (ShuttingDown("bye"), 503, 14, "1"),
        (RuntimeError("secret"), 503, 14, "1"),
    ],
)
@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_temporary_failures_say_when_to_come_again(
    wire: Wire, engine: Engine, error: Exception, status: int, code: int, after: str, kind: str
) -> None:
    """Retryable errors have Retry-After and RetryInfo; a defect's text stays here."""

    def fail(_: bytes) -> Answer:
        raise error

    engine.behave = fail
    reply = wire.ask(b"", content_type=kind)
    assert (reply.status, reply.error.code, reply.headers["retry-after"]) == (status, code, after)
    assert b"RetryInfo" in reply.body
    assert b"secret" not in reply.body


def test_a_length_over_the_limit_is_refused_before_it_is_sent(engine: Engine) -> None:
    """The answer comes while the body is still to come; a client that sends it all the same can read it."""
    with http_door(engine, max_bytes=1000) as door:
        with Wire(door.endpoint) as wire:
            wire.send(message(bytes(2000))[:-2000])
            assert (reply := wire.reply()) is not None
            assert reply.status == 413
            assert "retry-after" not in reply.headers
        with Wire(door.endpoint) as wire:
            wire.send(message(bytes(100_000), content_length=str(50 << 20)))
            for _ in range(49):
                wire.socket.sendall(bytes(1 << 20))  # most clients give up when they cannot write
            assert (late := wire.reply()) is not None
            assert late.error.code == 8
        with Wire(door.endpoint) as wire:
            assert wire.ask(bytes(1000)).status == 200
    assert len(engine.accepted) == 1


def test_with_expect_the_body_is_asked_for_only_when_it_is_wanted(engine: Engine) -> None:
    """100 Continue before a body that is welcome, the refusal at once before one that is not."""
    with http_door(engine, max_bytes=1000) as door:
        with Wire(door.endpoint) as wire:
            wire.send(message(bytes(2000), expect="100-continue")[:-2000])
            assert (reply := wire.reply()) is not None
            assert reply.status == 413
            assert wire.closed()
        with Wire(door.endpoint) as wire:
            wire.send(message(bytes(10), expect="100-continue")[:-10])
            assert wire.stream.readline() == b"HTTP/1.1 100 Continue\r\n"
            assert wire.stream.readline() == b"\r\n"
            wire.send(bytes(10))
            assert (welcome := wire.reply()) is not None
            assert welcome.status == 200


def chunked(*parts: bytes) -> bytes:
    """A chunked request."""
    head = message(b"", content_length="", transfer_encoding="chunked")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


def test_chunked_bodies(engine: Engine) -> None:
    """A body of unknown length is read to its end, and refused where it passes the limit."""
    with http_door(engine, max_bytes=1000) as door, Wire(door.endpoint) as wire:
        wire.send(chunked(b"abc", b"d" * 500))
        assert (reply := wire.reply()) is not None
        assert reply.status == 200
        assert engine.accepted == [(TRACES, b"abc" + b"d" * 500)]
        wire.send(chunked(b"e" * 600, b"f" * 600))
        assert (reply := wire.reply()) is not None
        assert reply.status == 413
    assert len(engine.accepted) == 1


def test_pipelined_requests_are_answered_in_order(wire: Wire, engine: Engine) -> None:
    """Ten requests written at once, then the sending side closed: ten answers, then the end."""
    wire.send(b"".join(message(b"%d" % number) for number in range(10)))
    wire.finish()
    replies = [wire.reply() for _ in range(10)]
    assert [reply.status for reply in replies if reply] == [200] * 10
    assert wire.closed()
    assert [body for _, body in engine.accepted] == [b"%d" % number for number in range(10)]


@pytest.mark.parametrize(
    "sent",
    [
        b"rubbish\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v1/traces HTTP/1.1\r\n\r\n",
        message(BODY, content_length="-1"),
        message(BODY, content_length="1, 2"),
        message(BODY, transfer_encoding="gzip"),
        message(BODY).replace(b"host: tests", b"host: tests\r\nbad\x01: x"),
        b"POST /" + b"x" * 100_000 + b" HTTP/1.1\r\n",
        chunked(b"abc").replace(b"3\r\n", b"zz\r\n"),
        message(BODY)[:-1],
        chunked(b"abc")[:-5],
    ],
    ids=range(11),
)
def test_what_is_not_http_is_a_400_with_a_status(wire: Wire, engine: Engine, sent: bytes) -> None:
    """Broken heads, lengths and chunks, and bodies that end too early: a Status, then the end."""
    wire.send(sent)
    wire.finish()
    reply = wire.reply()
    assert reply is not None
    assert (reply.status, reply.error.code) == (400, 3)
    assert wire.closed()
    assert not engine.accepted


def test_more_than_the_length_is_refused_after_the_request(wire: Wire, engine: Engine) -> None:
    """Bytes after a body are no request: the first is served, then 400."""
    wire.send(message(BODY) + b"rubbish\r\n\r\n")
    first, second = wire.reply(), wire.reply()
    assert (first and first.status, second and second.status) == (200, 400)
    assert wire.closed()
    assert len(engine.accepted) == 1


def test_a_client_that_leaves_stores_nothing(engine: Engine) -> None:
    """A reset in the middle of a body: nothing is accepted, all memory is given back."""
    budget = Budget(1 << 20)
    with http_door(engine, budget=budget) as door:
        with Wire(door.endpoint) as wire:
            wire.send(message(bytes(200_000))[:-1])
        with Wire(door.endpoint) as wire:
            assert wire.ask(BODY).status == 200
    assert engine.accepted == [(TRACES, BODY)]
    assert budget.used == 0


def test_bodies_beyond_the_budget_are_told_to_come_again(engine: Engine) -> None:
    """Memory is refused before a body is read, and free again after the answer."""
    held, go_on = threading.Semaphore(0), threading.Event()

    def slow(_: bytes) -> Answer:
        held.release()
        assert go_on.wait(60)
        return 1, 0, ""

    engine.behave = slow
    with (
        http_door(engine, budget=Budget(1000)) as door,
        Wire(door.endpoint) as first,
        Wire(door.endpoint) as second,
    ):
        first.send(message(bytes(600)))
        assert held.acquire(timeout=60)
        reply = second.ask(bytes(600))
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        go_on.set()
        assert (served := first.reply()) is not None
        assert served.status == 200
        assert second.ask(bytes(600)).status == 200
        bomb = gzip.compress(bytes(100_000))
        assert second.ask(bomb, content_encoding="gzip").status == 503


def test_thirty_two_at_a_time(engine: Engine) -> None:
    """Thirty-two connections are all inside at once and all are answered."""
    together = threading.Barrier(16, timeout=60)

    def meet(_: bytes) -> Answer:
        together.wait()
        return 1, 0, ""

    engine.behave = meet
    with http_door(engine) as door:
        wires = [Wire(door.endpoint) for _ in range(32)]
        for number, wire in enumerate(wires):
            wire.send(message(b"%d" % number))
        replies = [wire.reply() for wire in wires]
        for wire in wires:
            wire.close()
    assert [reply.status for reply in replies if reply] == [200] * 32
    assert sorted(int(body) for _, body in engine.accepted) == list(range(32))


def test_a_stop_that_cannot_wait_tells_who_is_inside(engine: Engine) -> None:
    """When the time is over, who waits for an answer is told to come again, with a Status."""
    inside, go_on = threading.Event(), threading.Event()

    def slow(_: bytes) -> Answer:
        inside.set()
        assert go_on.wait(60)
        return 1, 0, ""

    engine.behave = slow
    with http_door(engine) as door, Wire(door.endpoint) as wire, Wire(door.endpoint) as sending:
        sending.send(message(BODY)[:-1])
        wire.send(message(BODY))
        assert inside.wait(60)
        door.stop(0.0)
        for each in (wire, sending):
            reply = each.reply()
            assert reply is not None
            assert (reply.status, reply.error.code, reply.headers["retry-after"]) == (503, 14, "1")
            assert each.closed()
        go_on.set()


def test_a_stop_lets_requests_inside_finish(engine: Engine) -> None:
    """Who is inside is answered, idle connections end, and nobody can come any more."""
    inside, go_on = threading.Event(), threading.Event()

    def slow(_: bytes) -> Answer:
        inside.set()
        assert go_on.wait(60)
        return 1, 0, ""

    engine.behave = slow
    with http_door(engine) as door, Wire(door.endpoint) as idle, Wire(door.endpoint) as wire:
        wire.send(message(BODY))
        assert inside.wait(60)
        stopper = threading.Thread(target=door.stop, args=(60.0,))
        stopper.start()
        assert idle.closed()
        go_on.set()
        reply = wire.reply()
        assert reply is not None
        assert reply.status == 200
        assert wire.closed()
        stopper.join()
        with pytest.raises(ConnectionRefusedError):
            Wire(door.endpoint)


def test_a_body_framed_in_two_ways_is_refused_and_nothing_after_it_read(engine: Engine) -> None:
    """What one of two servers in a row takes for a second request is none (RFC 9112, section 6.3)."""
    inner = message(b"smuggled")
    sent = message(b"0\r\n\r\n" + inner, transfer_encoding="chunked", content_length="5")
    with http_door(engine) as door, Wire(door.endpoint) as wire:
        wire.send(sent)
        found = wire.reply()
        assert found is not None
        assert (found.status, found.headers["connection"]) == (400, "close")
        assert "Transfer-Encoding" in found.error.message
        assert wire.closed()
    assert engine.accepted == []


def test_the_absolute_form_of_a_url_is_the_same_path(wire: Wire, engine: Engine) -> None:
    """A server must accept it (RFC 9112, section 3.2.2)."""
    assert wire.ask(b"body", "http://tests:4318/v1/logs?x=y").status == 200
    assert wire.ask(b"body", "http://tests").status == 404
    assert engine.accepted == [(Telemetry.LOGS, b"body")]


def test_json_that_would_take_many_times_its_size_is_refused(wire: Wire, engine: Engine) -> None:
    """12 MiB of empty objects, which are 300 MiB once read."""
    body = b'{"x":[' + b"{}," * (4 << 20) + b"{}]}"
    found = wire.ask(gzip.compress(body, 1), content_type=JSON, content_encoding="gzip")
    assert found.status == 413
    assert engine.accepted == []


def test_a_server_whose_thread_ended_says_so(engine: Engine) -> None:
    """A defect in the event loop must show in the probes."""
    with http_door(engine) as door:
        assert door.alive
        server = door._server
        with Wire(door.endpoint) as wire:
            assert wire.ask(b"body").status == 200
        assert server._server._wake is not None
        loop, _ = server._server._wake
        loop.call_soon_threadsafe(loop.stop)
        server._thread.join(PATIENCE)
        assert not door.alive
