"""What far sides say and how long to wait for them; settings from the environment."""

import itertools
import socket
import struct
import threading
from email.utils import formatdate
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otel_ext.errors import ConfigError, Permanent, Retryable, TooLarge
from otel_ext.exporters import Answer, ForwarderSettings, settings_from_environment
from otel_ext.exporters.answers import grpc_failure, http_failure, http_text
from otel_ext.exporters.exporter import Exporter, sender_of
from otel_ext.exporters.retry import GaveUp, Retries
from otel_ext.telemetry import Telemetry
from otel_ext.testing import ManualClock
from tests.builders import request, span
from tests.exporters.farside import GrpcFarSide, Reply, far_sides

RETRYABLE = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
NOW = 1_790_000_000


def info(seconds: float) -> RetryInfo:
    """A RetryInfo."""
    delay = Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    return RetryInfo(retry_delay=delay)


def details(seconds: float) -> tuple[str, bytes]:
    """The trailer in which most servers send it."""
    packed = AnyMessage()
    packed.Pack(info(seconds))
    return "grpc-status-details-bin", Status(code=8, details=[packed]).SerializeToString()


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_grpc_codes_that_may_be_tried_again(code: grpc.StatusCode) -> None:
    """Exactly the specification's table; RESOURCE_EXHAUSTED only with RetryInfo (checklist item 61)."""
    plain = grpc_failure(code, "text", ())
    asked = grpc_failure(code, "text", (("other", "x"), details(2.5)))
    if code.name in RETRYABLE:
        assert isinstance(plain, Retryable)
        assert plain.retry_after == 0.0
        assert isinstance(asked, Retryable)
        assert asked.retry_after == 2.5
    elif code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        assert isinstance(plain, TooLarge)
        assert isinstance(asked, Retryable)
    else:
        assert type(plain) is Permanent
        assert type(asked) is Permanent


@pytest.mark.parametrize("status", [*range(201, 209), *range(300, 309), *range(400, 432), *range(500, 512)])
def test_http_statuses_that_may_be_tried_again(status: int) -> None:
    """429, 502, 503, 504 and no other (checklist item 62); 413 is to be split."""
    error = http_failure(status, "7", "", NOW)
    if status in {429, 502, 503, 504}:
        assert isinstance(error, Retryable)
        assert error.retry_after == 7.0
    else:
        assert isinstance(error, TooLarge) == (status == 413)
        assert isinstance(error, Permanent)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("99999999999999999999", 3600.0),
        (formatdate(NOW + 10**8, usegmt=True), 3600.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("Mon, 99 Foo 2026", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_retry_after_in_seconds_and_as_a_date(text: str | None, seconds: float) -> None:
    """Both forms of RFC 9110 are honoured, anything else asks for nothing (checklist item 63)."""
    error = http_failure(503, text, "", NOW)
    assert isinstance(error, Retryable)
    assert error.retry_after == seconds


def test_broken_details_ask_for_nothing() -> None:
    """Trailers that are no protobuf, and the other name that Python servers use."""
    broken = grpc_failure(grpc.StatusCode.UNAVAILABLE, "", (("grpc-status-details-bin", b"\xff\xff"),))
    assert isinstance(broken, Retryable)
    assert broken.retry_after == 0.0
    other = grpc_failure(
        grpc.StatusCode.UNAVAILABLE, "", (("google.rpc.retryinfo-bin", info(3).SerializeToString()),)
    )
    assert isinstance(other, Retryable)
    assert other.retry_after == 3.0
    assert http_text(b"\xff\xff") == ""
    assert http_text(Status(message="no").SerializeToString()) == "no"


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """An HTTP/2 frame (RFC 9113, section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _plain_proxy(listener: socket.socket, status: bytes) -> None:
    """Take one HTTP/2 connection and answer its first request like a web server that knows no gRPC."""
    connection = listener.accept()[0]
    with connection, connection.makefile("rb") as stream:
        connection.sendall(_frame(4, 0, 0, b""))
        stream.read(24)  # the preface
        while head := stream.read(9):
            stream.read(int.from_bytes(head[:3], "big"))
            if head[3] == 4 and not head[4]:
                connection.sendall(_frame(4, 1, 0, b""))
            elif head[3] == 1:
                fields = ((b":status", status), (b"content-type", b"text/html"))
                block = b"".join(bytes([0, len(n)]) + n + bytes([len(v)]) + v for n, v in fields)
                connection.sendall(_frame(1, 5, int.from_bytes(head[5:], "big"), block))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (413, TooLarge),
        (429, Retryable),
        (502, Retryable),
        (503, Retryable),
        (504, Retryable),
        (401, Permanent),
    ],
)
def test_a_proxy_that_knows_no_grpc(status: int, kind: type[Exception]) -> None:
    """Its HTTP status means over gRPC what it means over HTTP: what is too large is split, not given up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = threading.Thread(target=_plain_proxy, args=(listener, b"%d" % status), daemon=True)
        proxy.start()
        sender = sender_of(ForwarderSettings(name="far", endpoint=f"127.0.0.1:{listener.getsockname()[1]}"))
        with pytest.raises(kind) as error:
            sender.send(Telemetry.TRACES, b"")
        assert type(error.value) is kind
        sender.close()
        proxy.join()


class Scripted:
    """A sender whose tries end as they are told; `at` is when they were, in seconds of its clock."""

    def __init__(self, *ends: Exception | Answer) -> None:
        self.ends, self.at, self.clock = list(ends), list[float](), ManualClock()

    def send(self, telemetry: Telemetry, body: bytes) -> Answer:
        """The next end."""
        self.at.append(self.clock.monotonic() / 1e9)
        end = self.ends.pop(0) if self.ends else Answer(0, "")
        if isinstance(end, Exception):
            raise end
        return end

    def close(self) -> None:
        """Nothing to close."""

    @property
    def pauses(self) -> list[float]:
        """Seconds between tries."""
        return [later - earlier for earlier, later in itertools.pairwise(self.at)]


def scripted(*ends: Exception | Answer) -> tuple[Scripted, Retries]:
    """Retries on a clock that only their waits move."""
    sender = Scripted(*ends)
    retries = Retries(
        sender,
        ForwarderSettings(name="x", endpoint="http://127.0.0.1:1"),
        pause=lambda seconds: sender.clock.advance(max(1, round(seconds * 1e9))),
        clock=sender.clock,
    )
    return sender, retries


def test_pauses_grow_with_jitter_up_to_a_bound_and_start_anew() -> None:
    """5 s, half as much again each time, +-50 %, at most 30 s; a success resets them (checklist item 64)."""
    sender, retries = scripted(*[Retryable("no", 0.0)] * 12)
    retries.send(Telemetry.TRACES, b"", lambda after: "")
    assert len(sender.pauses) == 12
    expected = 5.0
    for pause in sender.pauses:
        assert 0.5 * expected - 1e-3 <= pause <= 1.5 * expected + 1e-3
        expected = min(expected * 1.5, 30.0)
    for _ in range(20):
        sender.ends, sender.at = [Retryable("no", 0.0)], []
        retries.send(Telemetry.TRACES, b"", lambda after: "")
        (pause,) = sender.pauses
        assert 2.5 - 1e-3 <= pause <= 7.5 + 1e-3


def test_no_two_pauses_are_alike() -> None:
    """Jitter: many clients of one dead server do not come back together."""
    found = set()
    for _ in range(20):
        sender, retries = scripted(Retryable("no", 0.0))
        retries.send(Telemetry.TRACES, b"", lambda after: "")
        found.add(round(sender.pauses[0], 4))
    assert len(found) > 10


def test_what_the_far_side_asks_for_is_the_least() -> None:
    """A delay that is longer than our own pause is kept to; a shorter one does not hasten us."""
    sender, retries = scripted(Retryable("later", 100.0))
    retries.send(Telemetry.TRACES, b"", lambda after: "")
    assert sender.pauses == [pytest.approx(100.0, abs=1e-3)]
    sender, retries = scripted(Retryable("soon", 0.001))
    retries.send(Telemetry.TRACES, b"", lambda after: "")
    assert sender.pauses[0] >= 2.5 - 1e-3


def test_giving_up_is_heard_while_waiting() -> None:
    """A wait of an hour ends when there is no reason for it any more."""
    sender, retries = scripted(Retryable("later", 3600.0))
    with pytest.raises(GaveUp) as error:
        retries.send(Telemetry.TRACES, b"", lambda after: "overflow" if after > 10 else "")
    assert error.value.reason == "overflow"
    assert sender.clock.monotonic() < 12 * 10**9
    assert len(sender.at) == 1


@pytest.mark.parametrize("end", [Permanent("no"), TooLarge("big"), Answer(3, "some"), Answer(0, "warning")])
def test_all_else_is_tried_once(end: Exception | Answer) -> None:
    """Refusals and partial successes are never repeated (checklist items 65, 66)."""
    sender, retries = scripted(end)
    if isinstance(end, Answer):
        assert retries.send(Telemetry.TRACES, b"", lambda after: "") == end
    else:
        with pytest.raises(type(end)):
            retries.send(Telemetry.TRACES, b"", lambda after: "")
    assert sender.at == [0.0]


def test_one_request_for_replay() -> None:
    """`Exporter`: retries within its time, tells once why it waits, then says that it gave up."""
    far, told = GrpcFarSide(), list[str]()
    with far_sides(far):
        settings = ForwarderSettings(
            name="r", endpoint=far.endpoint, retry_initial=0.01, retry_max=0.01, max_elapsed=0.2
        )
        exporter = Exporter(settings, told.append)
        far.replies.extend([Reply(code="UNAVAILABLE")] * 3)
        assert exporter.send(request(span(1, 1))) == Answer(0, "")
        assert len(told) == 1
        far.answer = lambda received: Reply(code="UNAVAILABLE")
        with pytest.raises(Retryable, match="not delivered"):
            exporter.send(request(span(1, 1)))
        far.answer = lambda received: Reply(code="INTERNAL")
        with pytest.raises(Permanent, match="INTERNAL"):
            exporter.send(request(span(1, 1)))
        exporter.close()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize(
    "endpoint", ["ftp://x:1", "http://", "http://x:port", "unix:relative", "http://x:99999999", ""]
)
def test_endpoints_that_cannot_be(protocol: Any, endpoint: str) -> None:
    """Said when the program starts, with what one looks like."""
    with pytest.raises(ConfigError, match="endpoint like http"):
        sender_of(ForwarderSettings(name="x", protocol=protocol, endpoint=endpoint))


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_certificates_that_cannot_be_read(protocol: Any) -> None:
    """A wrong path is a configuration error, not a connection that never works."""
    settings = ForwarderSettings(name="x", protocol=protocol, endpoint="https://127.0.0.1:1", ca_file="/none")
    with pytest.raises(ConfigError):
        sender_of(settings)


def test_nothing_in_the_environment_is_the_specifications_default() -> None:
    """http/protobuf to localhost:4318, 10 s, no compression."""
    found = settings_from_environment(environment={})
    assert (found.protocol, found.endpoint) == ("http", "http://localhost:4318")
    assert (found.timeout, found.compression, found.headers) == (10.0, "none", {})
    grpc_one = settings_from_environment(environment={"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert (grpc_one.protocol, grpc_one.endpoint) == ("grpc", "http://localhost:4317")


def test_one_telemetrys_own_variables_win() -> None:
    """A base endpoint gets the path, an own one is used as it is (checklist item 69)."""
    base = "OTEL_EXPORTER_OTLP_"
    told = {
        f"{base}ENDPOINT": "https://all:1/x",
        f"{base}HEADERS": "a=1,B=2%203",
        f"{base}TIMEOUT": "3",
        f"{base}CERTIFICATE": "/ca",
        f"{base}CLIENT_CERTIFICATE": "/cert",
        f"{base}CLIENT_KEY": "/key",
        f"{base}LOGS_ENDPOINT": "http://logs:2/exactly",
        f"{base}LOGS_COMPRESSION": "gzip",
        f"{base}LOGS_TIMEOUT": "4.5",
        f"{base}METRICS_PROTOCOL": "grpc",
        f"{base}METRICS_TIMEOUT": "2500",
    }
    traces = settings_from_environment(environment=told)
    assert (traces.endpoint, traces.traces_endpoint) == ("https://all:1/x", "")
    assert (traces.timeout, traces.headers) == (3.0, {"a": "1", "b": "2 3"})
    assert (traces.ca_file, traces.cert_file, traces.key_file) == ("/ca", "/cert", "/key")
    logs = settings_from_environment(telemetry=Telemetry.LOGS, environment=told)
    assert logs.logs_endpoint == "http://logs:2/exactly"
    assert (logs.compression, logs.timeout) == ("gzip", 4.5)
    metrics = settings_from_environment(telemetry=Telemetry.METRICS, environment=told)
    assert (metrics.protocol, metrics.endpoint, metrics.timeout) == ("grpc", "https://all:1/x", 2.5)


@pytest.mark.parametrize(("insecure", "scheme"), [("true", "http"), ("false", "https"), ("", "https")])
def test_an_endpoint_without_scheme_asks_whether_it_is_safe(insecure: str, scheme: str) -> None:
    """INSECURE decides for `host:port`, and only there."""
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": "host:1", "OTEL_EXPORTER_OTLP_INSECURE": insecure}
    told["OTEL_EXPORTER_OTLP_PROTOCOL"] = "grpc"
    assert settings_from_environment(environment=told).endpoint == f"{scheme}://host:1"


@pytest.mark.parametrize(
    ("name", "value"),
    [("PROTOCOL", "smtp"), ("COMPRESSION", "rar"), ("TIMEOUT", "soon"), ("TIMEOUT", "-1"), ("HEADERS", "x")],
)
def test_variables_that_cannot_be_used(name: str, value: str) -> None:
    """The text names the variable."""
    with pytest.raises(ConfigError, match=f"OTEL_EXPORTER_OTLP_{name}"):
        settings_from_environment(environment={f"OTEL_EXPORTER_OTLP_{name}": value})
