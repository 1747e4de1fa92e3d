"""Many at one time at the gRPC door of a real server: large requests, and bursts of honest ones."""

import contextlib
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from otel_ext.bench.payload import Requests
from tests.builders import request, span
from tests.support import METHOD, PATIENCE, ServerProcess, server

MIB = 1 << 20
LARGEST, BUDGET, READING = 16, 4 * 16, 16
"""MiB of a request, MiB of all of them inside, requests being read at one time."""
CLIENTS, SPANS, TRIES = 200, 512, 6
RETRYABLE = {
    *(grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED),
    *(grpc.StatusCode.ABORTED, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.UNAVAILABLE),
    grpc.StatusCode.DATA_LOSS,
}
"""As the stock Python exporter has them."""


@contextlib.contextmanager
def channels(
    endpoint: str, count: int, compression: grpc.Compression = grpc.Compression.NoCompression
) -> Iterator[list[grpc.Channel]]:
    """So many connections, made before anything is sent."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    options.append(("grpc.max_send_message_length", -1))
    made = [grpc.insecure_channel(endpoint, options, compression) for _ in range(count)]
    try:
        for channel in made:
            grpc.channel_ready_future(channel).result(PATIENCE)
        yield made
    finally:
        for channel in made:
            channel.close()


def memory(process: ServerProcess, what: str) -> int:
    """MiB of VmRSS (now) or VmHWM (peak)."""
    assert process.process is not None
    lines = Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) // 1024


def delay(error: grpc.RpcError) -> float | None:
    """Seconds to wait, from where the stock Python exporter takes them."""
    trailers = dict(error.trailing_metadata() or ())
    if "google.rpc.retryinfo-bin" not in trailers:
        return None
    assert "grpc-status-details-bin" in trailers  # where all others look
    told = RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]).retry_delay
    return float(told.seconds + told.nanos / 1e9)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_memory_of_many_large_requests(tmp_path: Path, compression: grpc.Compression) -> None:
    """24 of 16 MiB at once stay within what docs/operations.md states; refusals say when to come again."""
    limits = f"grpc: {{max_recv_msg_size_mib: {LARGEST}}}, http: {{max_request_body_size: {LARGEST * MIB}}}"
    body = request(span(1, 1, blob="x" * (LARGEST * MIB - 1000)))
    config = f"receivers: {{otlp: {{protocols: {{{limits}}}}}}}"
    with (
        server(tmp_path / "data", config) as process,
        channels(process.endpoint, 24, compression) as made,
    ):
        idle = memory(process, "VmRSS")
        calls = [channel.unary_unary(METHOD).future(body, timeout=PATIENCE) for channel in made]
        refused = [error for call in calls if (error := call.exception()) is not None]
        grown = memory(process, "VmHWM") - idle
    assert len(refused) < len(calls)
    for error in refused:
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert delay(error)
    assert grown < BUDGET + 2 * READING * LARGEST


def test_a_burst_of_honest_clients_loses_nothing(tmp_path: Path) -> None:
    """200 connections flush 512 spans each at one instant, with the stock exporter's tries: all arrive."""
    batches = Requests(SPANS, 590, 1)
    untold, start = Counter[str](), threading.Barrier(CLIENTS)
    delivered = []

    def client(channel: grpc.Channel, body: bytes) -> None:
        export, pause = channel.unary_unary(METHOD), threading.Event()
        start.wait(PATIENCE)
        for number in range(TRIES):
            call = export.future(body, timeout=PATIENCE)
            if (error := call.exception()) is None:
                delivered.append(body)
                return
            if (told := delay(error)) is None:
                untold[error.code().name] += 1
            if error.code() in RETRYABLE:
                pause.wait(told or 2**number)

    config = "service: {telemetry: {metrics: {address: '127.0.0.1:0'}}}"
    with server(tmp_path / "data", config) as process, channels(process.endpoint, CLIENTS) as made:
        threads = [threading.Thread(target=client, args=(channel, batches.next())) for channel in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with urllib.request.urlopen(f"http://{process.ready['metrics']}/metrics") as answer:
            text = answer.read().decode()
    assert len(delivered) == CLIENTS
    assert set(untold) <= {"CANCELLED"}  # by the library
    accepted = 'otelcol_receiver_accepted_spans_total{receiver="otlp",transport="grpc"}'
    assert f"{accepted} {CLIENTS * SPANS}\n" in text
