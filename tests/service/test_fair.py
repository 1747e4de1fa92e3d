"""Two services at the same doors: who sends little is not kept waiting by the other's many requests."""

import gzip
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_ext import otlp
from otel_ext.bench.payload import Requests
from otel_ext.clock import SystemClock
from otel_ext.files import File, RealFiles
from otel_ext.pipeline import Engine
from otel_ext.receivers import GrpcReceiver, HttpReceiver
from otel_ext.service.admission import GRPC, HTTP, Doorkeeper
from otel_ext.stats import Stats
from otel_ext.testing.wrapping import WrappedFile, WrappedFiles
from otel_ext.turns import WAITING, Turns
from tests.builders import request, span
from tests.receivers.doors import JSON, Wire
from tests.support import METHOD, PATIENCE, until

GREEDY = 40
BURST = 200


class Gate(WrappedFile):
    """A journal whose syncs wait while it is shut."""

    open = threading.Event()

    def sync(self) -> None:
        """Wait, then sync."""
        self.open.wait(PATIENCE)
        super().sync()


def wrap(path: str, file: File) -> File:
    """Only the journal has a gate."""
    return Gate(file) if path.endswith(".journal") else file


class World:
    """An engine with doors, its journal's gate shut."""

    def __init__(self, data: Path, waiting: int = WAITING) -> None:
        Gate.open.set()
        self.engine = Engine(data, files=WrappedFiles(RealFiles(), wrap))
        self.turns = Turns(waiting=waiting, patience=PATIENCE)
        doors = Doorkeeper(self.engine.intake, self.turns, SystemClock())
        self.grpc = GrpcReceiver(doors.door(GRPC), "127.0.0.1:0", stats=Stats())
        self.http = HttpReceiver(doors.door(HTTP), "127.0.0.1:0", stats=Stats(), turns=self.turns)
        for door in (self.grpc, self.http):
            door.start()
        self.start = self.engine.journal.start

    def close(self) -> None:
        """Open the gate, end everything."""
        Gate.open.set()
        for door in (self.grpc, self.http):
            door.stop(PATIENCE)
        self.engine.close()

    def order(self) -> list[str]:
        """The services of all requests, in the order in which they were made durable."""
        records = self.engine.journal.read(self.start, 1 << 30)
        return [otlp.service_name(record.payload) for record in records if b"service.name" in record.payload]


def body(service: str) -> bytes:
    """A large request of the greedy one, or a small one."""
    return request(span(1, blob="x" * (100_000 if service == "greedy" else 10)), service=service)


def as_json(encoded: bytes) -> bytes:
    """In OTLP/JSON."""
    message = MessageToDict(ExportTraceServiceRequest.FromString(encoded))
    for group in message["resourceSpans"]:
        for one in group["scopeSpans"][0]["spans"]:
            one["traceId"], one["spanId"] = "ab" * 16, "cd" * 8
    return json.dumps(message).encode()


@pytest.mark.parametrize("door", ["grpc", "http", "gzip", "json"])
def test_a_service_passes_the_other_ones_queue(tmp_path: Path, door: str) -> None:
    """Forty requests of one wait; one of another, sent after them, is stored among the first."""
    world = World(tmp_path / "data")
    channel = grpc.insecure_channel(world.grpc.endpoint)

    def send(service: str) -> None:
        if door == "grpc":
            channel.unary_unary(METHOD)(body(service), timeout=PATIENCE, wait_for_ready=True)
            return
        with Wire(world.http.endpoint) as wire:
            if door == "gzip":
                reply = wire.ask(gzip.compress(body(service)), content_encoding="gzip")
            elif door == "json":
                reply = wire.ask(as_json(body(service)), content_type=JSON)
            else:
                reply = wire.ask(body(service))
            assert reply.status == 200

    with ThreadPoolExecutor(GREEDY + 1) as senders:
        try:
            send("quiet")  # it is one that sends
            Gate.open.clear()
            calls = [senders.submit(send, "greedy") for _ in range(GREEDY)]
            until(lambda: sum(world.turns.state[:2]) == GREEDY, "all of the greedy one's inside")
            before = world.turns.state.inside
            calls.append(senders.submit(send, "quiet"))
            until(lambda: world.turns.state.inside > before, "a place for the quiet one")
            Gate.open.set()
            for call in calls:
                call.result(PATIENCE)
            order = world.order()
        finally:
            channel.close()
            world.close()
    assert sorted(order) == ["greedy"] * GREEDY + ["quiet"] * 2
    assert "quiet" in order[1:4]


def test_a_full_queue_refuses_the_greedy_one_only(tmp_path: Path) -> None:
    """It is told when to come again, in both places where gRPC clients look; the quiet one is served."""
    world = World(tmp_path / "data", waiting=8)
    channel = grpc.insecure_channel(world.grpc.endpoint)
    call = channel.unary_unary(METHOD)
    try:
        call(body("quiet"), timeout=PATIENCE, wait_for_ready=True)
        Gate.open.clear()
        calls = [call.future(body("greedy"), timeout=PATIENCE) for _ in range(9)]
        until(lambda: world.turns.state.waiting == 8, "a full queue")
        calls.append(call.future(body("greedy"), timeout=PATIENCE))
        until(lambda: any(each.done() for each in calls), "a refusal")
        quiet = call.future(body("quiet"), timeout=PATIENCE)
        (refused,) = [each for each in calls if each.done()]
        Gate.open.set()
        quiet.result()
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert {"grpc-status-details-bin", "google.rpc.retryinfo-bin"} <= set(
            dict(refused.trailing_metadata())
        )
        assert all(each.code() is grpc.StatusCode.OK for each in calls if each is not refused)
    finally:
        channel.close()
        world.close()
    assert WAITING >= 32  # so many must be served at a time (item 7)


def test_clients_that_flush_at_the_same_instant_are_all_taken(tmp_path: Path) -> None:
    """200, each with 512 spans and a connection of its own; all are inside before one is through."""
    world = World(tmp_path / "data")
    batches = Requests(512, 590, 1)
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.insecure_channel(world.grpc.endpoint, options=options) for _ in range(BURST)]
    try:
        Gate.open.clear()
        calls = [
            channel.unary_unary(METHOD).future(batches.next(), timeout=PATIENCE, wait_for_ready=True)
            for channel in channels
        ]
        until(lambda: sum(world.turns.state[:2]) == BURST or any(c.done() for c in calls), "all inside")
        assert not any(call.done() for call in calls)
        Gate.open.set()
        assert {call.code() for call in calls} == {grpc.StatusCode.OK}
        assert world.turns.state.refused == {}
    finally:
        for channel in channels:
            channel.close()
        world.close()
