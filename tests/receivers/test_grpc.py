"""OTLP/gRPC: three services, each answering in its own words."""

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from otel_ext.errors import ConfigError, Throttled
from otel_ext.receivers import GrpcReceiver, HttpReceiver
from otel_ext.receivers.grpc import SERVICES
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry
from tests.receivers.doors import Answer, Engine


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
