"""OTLP/gRPC: three services, each answering in its own words."""

import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from otel_ext.errors import ConfigError, Throttled
from otel_ext.receivers import Budget, GrpcReceiver, HttpReceiver
from otel_ext.receivers.grpc import READING, SERVICES
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry
from otel_ext.turns import PLACES, WAITING
from tests.receivers.doors import PATIENCE, Answer, Engine
from tests.support import until


def ask(door: GrpcReceiver, service: str, body: bytes = b"body") -> bytes:
    """The answer of a service's Export."""
    with grpc.insecure_channel(door.endpoint) as channel:
        answer: bytes = channel.unary_unary(f"/{service}/Export")(body, timeout=30)
        return answer


def test_each_telemetry_has_its_service() -> None:
    """The service says what is in the body; rejected items are counted in its words."""
    engine = Engine()
    engine.behave = lambda _: (3, 2, "why")
    door = GrpcReceiver(engine.accept, "127.0.0.1:0", stats=Stats())
    door.start()
    answers = {telemetry: ask(door, SERVICES[telemetry]) for telemetry in Telemetry}
    door.stop(5.0)
    assert engine.accepted == [(telemetry, b"body") for telemetry in Telemetry]
    logs = ExportLogsServiceResponse.FromString(answers[Telemetry.LOGS]).partial_success
    metrics = ExportMetricsServiceResponse.FromString(answers[Telemetry.METRICS]).partial_success
    assert (logs.rejected_log_records, logs.error_message) == (2, "why")
    assert (metrics.rejected_data_points, metrics.error_message) == (2, "why")


def test_a_service_that_is_off_is_unimplemented() -> None:
    """So is one that does not exist."""
    door = GrpcReceiver(Engine().accept, "127.0.0.1:0", stats=Stats(), telemetries=[Telemetry.LOGS])
    door.start()
    assert ask(door, SERVICES[Telemetry.LOGS]) == b""
    for service in (SERVICES[Telemetry.TRACES], "opentelemetry.proto.collector.profiles.v1development.X"):
        with pytest.raises(grpc.RpcError) as caught:
            ask(door, service)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    door.stop(5.0)


def test_a_throttled_sender_is_told_when_to_come_again() -> None:
    """RESOURCE_EXHAUSTED may be retried only with RetryInfo, so it is there."""

    def throttle(_: bytes) -> Answer:
        raise Throttled("your share", 7.0)

    engine = Engine()
    engine.behave = throttle
    door = GrpcReceiver(engine.accept, "127.0.0.1:0", stats=Stats())
    door.start()
    with pytest.raises(grpc.RpcError) as caught:
        ask(door, SERVICES[Telemetry.METRICS])
    door.stop(5.0)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers = dict(caught.value.trailing_metadata())
    assert RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]).retry_delay.seconds == 7


@pytest.mark.parametrize("make", [GrpcReceiver, HttpReceiver])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_taken_port_is_an_error(make: type[GrpcReceiver | HttpReceiver], host: str) -> None:
    """Each form of address binds, and a second server on it is told so instead of sharing it."""
    try:
        first = make(Engine().accept, f"{host}:0", stats=Stats())
    except ConfigError:
        assert host == "[::1]"
        pytest.skip("no IPv6 here")
    assert first.endpoint.startswith(f"{host}:")
    with pytest.raises(ConfigError, match="cannot listen on"):
        make(Engine().accept, first.endpoint, stats=Stats())
    first.stop(1.0)


def test_a_client_that_never_sends_its_request_keeps_no_thread() -> None:
    """More such calls than there are threads are cancelled in time; the next one is served."""
    engine = Engine()
    door = GrpcReceiver(engine.accept, "127.0.0.1:0", stats=Stats(), patience=0.5)
    door.start()
    silence = threading.Event()

    def nothing() -> Iterator[bytes]:
        silence.wait(PATIENCE)
        yield from ()

    with grpc.insecure_channel(door.endpoint) as channel:
        export = channel.stream_unary(f"/{SERVICES[Telemetry.LOGS]}/Export")
        calls = [export.future(nothing(), timeout=PATIENCE) for _ in range(20)]
        assert ask(door, SERVICES[Telemetry.LOGS]) == b""
        codes = {call.exception().code() for call in calls}
        silence.set()
    door.stop(5.0)
    assert codes == {grpc.StatusCode.CANCELLED}
    assert engine.accepted == [(Telemetry.LOGS, b"body")]


def test_requests_together_stay_within_the_budget() -> None:
    """One that finds no room is told to come again, and its room is free for the next."""
    inside, go_on = threading.Event(), threading.Event()

    def wait(_: bytes) -> Answer:
        inside.set()
        go_on.wait(PATIENCE)
        return 1, 0, ""

    engine = Engine()
    engine.behave = wait
    budget = Budget(1000)
    door = GrpcReceiver(engine.accept, "127.0.0.1:0", stats=Stats(), budget=budget)
    door.start()
    with grpc.insecure_channel(door.endpoint) as channel:
        export = channel.unary_unary(f"/{SERVICES[Telemetry.LOGS]}/Export")
        first = export.future(b"x" * 600, timeout=PATIENCE)
        assert inside.wait(PATIENCE)
        with pytest.raises(grpc.RpcError) as caught:
            export(b"x" * 600, timeout=PATIENCE)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "google.rpc.retryinfo-bin" in dict(caught.value.trailing_metadata())
        go_on.set()
        first.result()
        export(b"x" * 600, timeout=PATIENCE)
    door.stop(5.0)
    assert budget.used == 0


def test_calls_beyond_all_threads_are_refused_unread() -> None:
    """All threads are taken and 64 calls wait for one: the next ones hear it at once, with a delay."""
    go_on, inside = threading.Event(), Counter[bytes]()

    def wait(body: bytes) -> Answer:
        inside[body] += 1
        go_on.wait(PATIENCE)
        return 1, 0, ""

    engine = Engine()
    engine.behave = wait
    door = GrpcReceiver(engine.accept, "127.0.0.1:0", stats=Stats())
    door.start()
    with grpc.insecure_channel(door.endpoint) as channel:
        export = channel.unary_unary(f"/{SERVICES[Telemetry.LOGS]}/Export")
        calls = []
        for number in range(READING + PLACES + WAITING):
            calls.append(export.future(b"%d" % number, timeout=PATIENCE))
            if number % 16 == 15:  # fewer at once than the library keeps
                until(partial(lambda most: len(inside) > most, number), "all of them inside")
        calls += [export.future(b"more", timeout=PATIENCE) for _ in range(100)]
        until(lambda: sum(call.done() for call in calls) == 36, "36 refusals")
        refused = [call.exception() for call in calls if call.done()]
        go_on.set()
        assert sum(call.exception() is None for call in calls) == len(calls) - 36
    door.stop(5.0)
    for error in refused:
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert {"grpc-status-details-bin", "google.rpc.retryinfo-bin"} <= set(dict(error.trailing_metadata()))


def test_a_call_without_a_request_is_refused() -> None:
    """A stream that ends at once."""
    door = GrpcReceiver(Engine().accept, "127.0.0.1:0", stats=Stats())
    door.start()
    with grpc.insecure_channel(door.endpoint) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.stream_unary(f"/{SERVICES[Telemetry.LOGS]}/Export")(iter(()), timeout=PATIENCE)
    door.stop(5.0)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
