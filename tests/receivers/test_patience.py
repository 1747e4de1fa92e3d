"""Slow, idle and too many clients of the HTTP door, and rubbish of every kind."""

import gzip
import logging
import random

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_ext.errors import InvalidRequest
from otel_ext.receivers import Limits
from tests.builders import request, span
from tests.receivers.doors import JSON, PROTOBUF, Answer, Engine, Reply, Wire, http_door, message
from tests.receivers.test_http import chunked

BODY = request(span(1, 1))


def test_a_head_that_never_ends_is_cut_off() -> None:
    """Silence and half a head end in a closed connection, on the first request and on the next."""
    with http_door(Engine(), limits=Limits(head=0.2, idle=0.2)) as door:
        for sent in (b"", message(BODY)[:30]):
            with Wire(door.endpoint) as wire:
                wire.send(sent)
                assert wire.closed()
        with Wire(door.endpoint) as wire:
            assert wire.ask(BODY).status == 200
            wire.send(message(BODY)[:30])
            assert wire.closed()


def test_a_body_that_never_ends_is_told_to_come_again() -> None:
    """A body that stalls is answered as retryable, nothing of it is accepted, and the connection ends."""
    engine = Engine()
    with http_door(engine, limits=Limits(body=0.2)) as door, Wire(door.endpoint) as wire:
        wire.send(message(BODY)[:-1])
        reply = wire.reply()
        assert reply is not None
        assert (reply.status, reply.error.code, reply.headers["retry-after"]) == (503, 14, "1")
        assert wire.closed()
    assert not engine.accepted


def test_one_connection_too_many_is_told_to_come_again() -> None:
    """Beyond the limit a connection gets its answer unasked; when one ends, another is welcome."""
    with http_door(Engine(), limits=Limits(connections=2)) as door:
        with Wire(door.endpoint) as first, Wire(door.endpoint) as second:
            assert first.ask(BODY).status == second.ask(BODY).status == 200
            with Wire(door.endpoint) as third:
                reply = third.reply()
                assert reply is not None
                assert reply.status == 503
                assert reply.error.code == 14
                assert third.closed()
            assert first.ask(BODY).status == 200
        with Wire(door.endpoint) as fourth:
            assert fourth.ask(BODY).status == 200


SEEDS = (
    message(BODY),
    message(b"{}", content_type=JSON),
    message(gzip.compress(BODY), content_encoding="gzip"),
    chunked(BODY[:20], BODY[20:]),
    message(BODY, "/v1/nothing"),
    message(b"", method="GET"),
    message(BODY, expect="100-continue"),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    message(BODY, connection="Upgrade", upgrade="websocket"),
)
SPICE = (
    b"\r\n",
    b"\0",
    b":",
    b" ",
    b"\xff",
    b"HTTP/1.0",
    b"content-length: 5\r\n",
    b"chunked",
    b"-",
    b"9" * 30,
)


def mutated(chance: random.Random) -> bytes:
    """One to three requests, with some bytes changed, cut, doubled or put in."""
    data = bytearray(b"".join(chance.choices(SEEDS, k=chance.randint(1, 3))))
    for _ in range(chance.choice([0, 1, 1, 2, 5])):
        at, size = chance.randrange(len(data) + 1), chance.choice([1, 1, 4, 40])
        match chance.randrange(4):
            case 0:
                data[at : at + size] = chance.randbytes(size)
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = chance.choice(SPICE)
            case _:
                data[at:at] = data[max(0, at - size) : at]
    return bytes(data)


def picky(body: bytes) -> Answer:
    """An `accept` that refuses some bodies."""
    if sum(body) % 3 == 0:
        raise InvalidRequest("odd")
    return 1, sum(body) % 2, "a warning" if sum(body) % 5 == 0 else ""


@pytest.mark.parametrize("seed", range(30))
def test_whatever_comes_the_answer_is_http_with_a_status(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Every response to mutated requests parses and has its body; then the connection ends, it lives."""
    chance, engine = random.Random(seed), Engine()
    engine.behave = picky
    with http_door(engine, max_bytes=10_000, limits=Limits(head=5, idle=5, body=5)) as door:
        for _ in range(40):
            with Wire(door.endpoint) as wire:
                sent = mutated(chance)
                for start in range(0, len(sent), size := chance.choice([7, 100, 10_000])):
                    wire.send(sent[start : start + size])
                wire.finish()
                while (reply := wire.reply()) is not None:
                    check(reply)
        with Wire(door.endpoint) as wire:
            assert wire.ask(b"ok").status in {200, 400}
    assert not [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def check(reply: Reply) -> None:
    """A response is a success of its type or a Status."""
    if reply.status == 200:
        assert reply.headers["content-type"] in {PROTOBUF, JSON}
        if reply.headers["content-type"] == PROTOBUF:
            ExportTraceServiceResponse.FromString(reply.body)
    else:
        assert reply.status in {400, 404, 405, 413, 415, 503}
        assert reply.error.code
        assert reply.error.message
