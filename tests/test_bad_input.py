"""Rubbish over the wire: a clear status or a counted rejection, never another span lost."""

import gzip
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext.errors import ConfigError, DataFolderError, DataFolderInUse, UnsupportedVersion
from otel_ext.service import Server, load_config
from tests.builders import request, span
from tests.support import METHOD, objects, run, server, until

CONFIG = "processors: {sessions: {hold: 100ms}}\nservice: {checkpoint_interval: 100ms}\n"


class Door:
    """A server in this process and a raw client of it."""

    def __init__(self, data: Path, config: str = CONFIG) -> None:
        self.data = data
        self.server = Server(load_config(config, data=data, grpc="127.0.0.1:0", http="127.0.0.1:0"))
        self.server.start()
        self.channel = grpc.insecure_channel(
            self.server.grpc_endpoint, options=[("grpc.max_send_message_length", -1)]
        )

    def send(self, body: bytes, method: str = METHOD) -> bytes:
        """The answer's bytes."""
        answer: bytes = self.channel.unary_unary(method)(body, timeout=30)
        return answer

    def refusal(self, body: bytes, method: str = METHOD) -> grpc.Call:
        """The error of a request that is refused."""
        with pytest.raises(grpc.RpcError) as caught:
            self.send(body, method)
        error: grpc.Call = caught.value
        return error

    def report(self) -> dict[str, object]:
        """What `verify` says after a polite stop."""
        self.close()
        (report,) = objects(run("verify", self.data, "--json"))
        return report

    def close(self) -> None:
        """Stop once."""
        if self.server is not None:
            self.channel.close()
            self.server.stop()
            self.server = None  # type: ignore[assignment]


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """A server with its defaults in a fresh folder."""
    made = Door(tmp_path / "data")
    yield made
    made.close()


def trailers(call: grpc.Call) -> dict[str, bytes]:
    """Trailing metadata by key."""
    return {
        key: value if isinstance(value, bytes) else value.encode() for key, value in call.trailing_metadata()
    }


def test_garbage_is_an_invalid_argument(door: Door) -> None:
    """Undecodable bytes are INVALID_ARGUMENT with a Status that says so, and nothing is stored."""
    call = door.refusal(b"\xff\xff\xff garbage")
    assert call.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "ExportTraceServiceRequest" in call.details()
    assert Status.FromString(trailers(call)["grpc-status-details-bin"]).code == 3
    assert "google.rpc.retryinfo-bin" not in trailers(call)
    assert door.report()["received"] == 0


def test_full_success_is_an_empty_answer(door: Door) -> None:
    """An accepted request and an empty one leave partial_success unset."""
    assert door.send(request(span())) == b""
    assert door.send(b"") == b""


@pytest.mark.parametrize(
    "field",
    [
        {"trace_id": b""},
        {"trace_id": b"\0" * 16},
        {"trace_id": b"short"},
        {"span_id": b""},
        {"span_id": b"\0" * 8},
    ],
)
def test_bad_ids_are_rejected_one_by_one(door: Door, field: dict[str, bytes]) -> None:
    """A span with an unusable id is rejected by partial_success, its neighbours are stored."""
    bad = span()
    for name, value in field.items():
        setattr(bad, name, value)
    partial = ExportTraceServiceResponse.FromString(door.send(request(span(), bad, span()))).partial_success
    assert partial.rejected_spans == 1
    assert next(iter(field)).replace("_", " ") in partial.error_message.replace("_", " ")
    report = door.report()
    assert (report["received"], report["stored"], sum(report["rejected"].values())) == (3, 2, 1)  # type: ignore[attr-defined]
    assert report["ok"]


def test_a_wholly_rejected_request_is_still_a_partial_success(door: Door) -> None:
    """Decodable data without one valid span is answered OK with the exact count."""
    partial = ExportTraceServiceResponse.FromString(door.send(request(Span(), Span()))).partial_success
    assert partial.rejected_spans == 2
    assert door.report()["received"] == 2


def test_invalid_utf8_costs_its_own_span_only(door: Door) -> None:
    """One span with invalid UTF-8 is rejected, never its batch."""
    body = request(span(note="fine"), span(note="MARK"), span(note="fine")).replace(
        b"MARK", b"\xff\xfe\xfd\xfc"
    )
    assert ExportTraceServiceResponse.FromString(door.send(body)).partial_success.rejected_spans == 1
    assert door.report()["stored"] == 2


def test_a_thousand_levels_cost_their_own_span_only(door: Door) -> None:
    """A 1,000-deep AnyValue is rejected, and does not end the process."""
    inner = AnyValue(string_value="x").SerializeToString()
    for _ in range(1000):
        array = b"\x0a" + _varint(len(inner)) + inner
        inner = b"\x2a" + _varint(len(array)) + array
    pair = b"\x0a\x01k\x12" + _varint(len(inner)) + inner
    deep = span().SerializeToString() + b"\x4a" + _varint(len(pair)) + pair
    scope = b"\x12" + _varint(len(deep)) + deep
    group = b"\x12" + _varint(len(scope)) + scope
    body = request(span()) + b"\x0a" + _varint(len(group)) + group
    assert ExportTraceServiceResponse.FromString(door.send(body)).partial_success.rejected_spans == 1
    assert door.report()["stored"] == 1


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def test_odd_values_and_times_are_stored_as_they_are(door: Door) -> None:
    """Zero, backward and far times, NaN, 2^63-1, path-like and 10,000-character ids: all stored."""
    odd = [
        span(session__id=text, big=2**63 - 1, nan=float("nan"))
        for text in ("../../x", "a/b", "a.b", "x" * 10_000, "\0")
    ]
    for made, (start, end) in zip(
        odd, [(0, 0), (5, 3), (2**64 - 1, 2**64 - 1), (1_700_000_000_000, 1), (1, 0)], strict=True
    ):
        made.start_time_unix_nano, made.end_time_unix_nano = start, end
    assert door.send(request(*odd)) == b""
    report = door.report()
    assert report["ok"]
    assert report["stored"] == 5
    files = [path for path in door.data.rglob("*.jsonl") if path.is_file()]
    assert len(files) == 5
    assert all((door.data / "engines/main/sessions") in path.parents for path in files)
    assert len(objects(run("sessions", door.data, "--json"))) == 5


def test_a_request_over_the_limit_is_refused_without_a_retry_hint(tmp_path: Path) -> None:
    """Too large is RESOURCE_EXHAUSTED without RetryInfo: retrying is pointless."""
    config = "receivers: {otlp: {protocols: {grpc: {max_recv_msg_size_mib: 1}}}}"
    door = Door(tmp_path / "data", config)
    call = door.refusal(request(span(blob="x" * (2 << 20))))
    assert call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not {"google.rpc.retryinfo-bin", "grpc-status-details-bin"} & set(trailers(call))
    door.close()


def test_a_gzip_bomb_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    """200 MiB behind 200 kB are refused before they are inflated; the server serves on."""
    with server(tmp_path / "data") as process:
        assert process.process is not None
        status = Path(f"/proc/{process.process.pid}/status")

        def peak() -> int:
            return (
                int(next(x for x in status.read_text().splitlines() if x.startswith("VmHWM")).split()[1])
                // 1024
            )

        channel = grpc.insecure_channel(
            process.endpoint,
            options=[("grpc.default_compression_algorithm", 2), ("grpc.max_send_message_length", -1)],
        )
        call = channel.unary_unary(METHOD)
        call(request(span()), timeout=30)
        before = peak()
        with pytest.raises(grpc.RpcError) as caught:
            call(bytes(200 << 20), timeout=60)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert peak() - before < 100
        assert call(request(span()), timeout=30) == b""
        channel.close()


def test_a_compressed_request_is_welcome(door: Door) -> None:
    """Gzip on gRPC is served like identity."""
    assert len(gzip.compress(request(span()))) > 0
    channel = grpc.insecure_channel(door.server.grpc_endpoint, compression=grpc.Compression.Gzip)
    assert channel.unary_unary(METHOD)(request(span()), timeout=30) == b""
    channel.close()


def test_another_service_is_unimplemented(door: Door) -> None:
    """Profiles are not served, and say so."""
    call = door.refusal(b"", "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export")
    assert call.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_full_disk_is_a_retryable_status_with_a_hint_in_both_places(tmp_path: Path) -> None:
    """Below min_free the answer is UNAVAILABLE, with RetryInfo where Python and where all others look."""
    door = Door(tmp_path / "data", "extensions: {journal: {min_free_mib: 1000000000}}")
    call = door.refusal(request(span()))
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    found = trailers(call)
    assert RetryInfo.FromString(found["google.rpc.retryinfo-bin"]).retry_delay.seconds == 5
    (detail,) = Status.FromString(found["grpc-status-details-bin"]).details
    assert detail.Is(RetryInfo.DESCRIPTOR)
    assert door.report()["received"] == 0


def test_a_taken_port_is_a_clear_error(door: Door, tmp_path: Path) -> None:
    """A second sidecar on the port says so instead of stealing half of the connections."""
    with pytest.raises(ConfigError, match="cannot listen on"):
        Server(load_config(data=tmp_path / "other", grpc=door.server.grpc_endpoint))


def test_a_taken_folder_is_a_clear_error(door: Door) -> None:
    """A second engine on the folder names the process that has it."""
    with pytest.raises(DataFolderInUse, match=str(os.getpid())):
        Server(load_config(data=door.data, grpc="127.0.0.1:0", http="127.0.0.1:0"))


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """The error names the path, the user and the way out."""
    folder = Path("/sys/otel-ext") if os.geteuid() == 0 else tmp_path / "locked"
    if os.geteuid() != 0:
        folder.mkdir(mode=0o500)
    with pytest.raises(DataFolderError, match=r"otel-ext|locked") as caught:
        Server(load_config(data=folder, grpc="127.0.0.1:0", http="127.0.0.1:0"))
    assert "--data" in str(caught.value)


def test_a_newer_catalog_is_refused(door: Door) -> None:
    """A folder that a newer program wrote is not touched."""
    door.close()
    database = sqlite3.connect(door.data / "engines/main/catalog.sqlite")
    database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(UnsupportedVersion, match=r"version 99.*upgrade"):
        Server(load_config(data=door.data, grpc="127.0.0.1:0", http="127.0.0.1:0"))


def test_a_missing_catalog_is_refused(door: Door) -> None:
    """Old session files are never written to again by an engine that forgot them."""
    door.send(request(span(session__id="s")))
    door.close()
    for path in (door.data / "engines/main").glob("catalog.sqlite*"):
        path.unlink()
    with pytest.raises(DataFolderError, match=r"catalog\.sqlite is missing while session files"):
        Server(load_config(data=door.data, grpc="127.0.0.1:0", http="127.0.0.1:0"))


def test_a_missing_journal_is_refused(door: Door) -> None:
    """A catalog that has read further than the journal goes would skip what comes."""
    door.send(request(span(session__id="s")))
    door.close()
    for path in (door.data / "engines/main/journal").glob("*.journal"):
        path.unlink()
    with pytest.raises(DataFolderError, match="older than the catalog"):
        Server(load_config(data=door.data, grpc="127.0.0.1:0", http="127.0.0.1:0"))


def test_a_far_end_time_and_a_lone_surrogate_stop_nothing(door: Door) -> None:
    """Values that a format cannot hold cost at most their own marks: checkpoints go on, others are stored."""
    far = span(1, 1, session__id="far")
    far.end_time_unix_nano = 2**64 - 1
    door.send(request(far))
    door.send(request(span(2, 2, metadata='{"session_id": "\\ud800x"}')))
    door.send(request(span(3, 3, session__id="fine")))
    until(lambda: len(objects(run("sessions", door.data, "--json"))) >= 1, "a checkpoint")
    report = door.report()
    assert report["ok"]
    assert report["stored"] == 3
