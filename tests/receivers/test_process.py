"""The real server over HTTP: what is stored, how large it may be, what it costs."""

import gzip
import json
import threading
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.builders import request, span
from tests.receivers.doors import JSON, Reply, Wire
from tests.support import ServerProcess, objects, run, server, until

MIB = 1 << 20


def memory(process: ServerProcess, field: str) -> int:
    """MiB of VmRSS or VmHWM."""
    assert process.process is not None
    lines = Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) // 1024


def test_both_encodings_are_stored_and_bad_items_alone_are_rejected(tmp_path: Path) -> None:
    """Spans in protobuf and JSON, gzipped or not, are in the files; those with ids in base64 are rejected."""
    good = {"traceId": "AB" * 16, "spanId": "cd" * 8, "name": "json", "startTimeUnixNano": 17, "novel": {}}
    base64 = {"traceId": "AQIDBAUGBwgJCgsMDQ4PEA==", "spanId": "AQIDBAUGBwg=", "name": "base64"}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [good, base64]}]}]}).encode()
    with server(tmp_path / "data") as process:
        with Wire(process.http) as wire:
            assert wire.ask(request(span(1, 1))).body == b""
            packed = gzip.compress(request(span(1, 2)))
            assert wire.ask(packed, content_encoding="gzip").body == b""
            told = json.loads(wire.ask(body, content_type=JSON).body)["partialSuccess"]
        process.stop()
    assert told["rejectedSpans"] == "1"
    assert "trace_id" in told["errorMessage"]
    (report,) = objects(run("verify", tmp_path / "data", "--json"))
    assert (report["ok"], report["received"], report["stored"]) == (True, 4, 3)


def test_63_mib_pass_by_default(tmp_path: Path) -> None:
    """The limit is 64 MiB, before and after decompression."""
    large = request(span(1, 1, blob="x" * (63 * MIB)))
    with server(tmp_path / "data") as process:
        with Wire(process.http) as wire:
            assert wire.ask(large).status == 200
            assert wire.ask(gzip.compress(large, 1), content_encoding="gzip").status == 200
        process.stop()
    (report,) = objects(run("verify", tmp_path / "data", "--json"))
    assert (report["ok"], report["stored"], report["duplicate"]) == (True, 1, 1)


def test_a_bomb_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    """256 MiB in 256 kB, in one gzip member or many: 413 at the limit, and serving goes on."""
    bomb = gzip.compress(bytes(256 * MIB), 9)
    assert len(bomb) < MIB
    with server(tmp_path / "data") as process, Wire(process.http) as wire:
        before = memory(process, "VmHWM")
        assert wire.ask(bomb, content_encoding="gzip").status == 413
        assert wire.ask(gzip.compress(bytes(4 * MIB)) * 64, content_encoding="gzip").status == 413
        assert memory(process, "VmHWM") - before < 100
        assert wire.ask(request(span(1, 2))).status == 200


def test_many_bombs_and_many_large_bodies_share_one_budget(tmp_path: Path) -> None:
    """Thirty-two bombs at once do not take thirty-two times the memory: what has no room comes again."""
    bomb = gzip.compress(bytes(60 * MIB), 9)
    with server(tmp_path / "data") as process:
        replies: list[Reply] = []

        def throw() -> None:
            with Wire(process.http) as wire:
                replies.append(wire.ask(bomb, content_encoding="gzip"))

        throwers = [threading.Thread(target=throw) for _ in range(32)]
        for thrower in throwers:
            thrower.start()
        for thrower in throwers:
            thrower.join()
        # Zeros are no request: those for which there was room are refused as such.
        assert {reply.status for reply in replies} <= {400, 503}
        assert len(replies) == 32
        # 256 MiB of bodies, what each becomes on its way to the verdict, and the process itself.
        assert memory(process, "VmHWM") < 800
        until(lambda: memory(process, "VmRSS") < 120, "memory to be given back")
        with Wire(process.http) as wire:
            assert wire.ask(request(span(1, 1))).status == 200


def test_an_idle_server_is_small(tmp_path: Path) -> None:
    """At most 80 MiB resident, after one request on each door's connection."""
    with server(tmp_path / "data") as process:
        with Wire(process.http) as wire:
            assert wire.ask(request(span(1, 1))).status == 200
            assert wire.ask(b"{}", content_type=JSON).status == 200
        assert memory(process, "VmRSS") < 80


def test_both_doors_on_unix_sockets(tmp_path: Path) -> None:
    """Configured paths are served and told in the ready line; what SIGKILL leaves is taken over."""
    sockets = tmp_path / "run"
    config = f"""
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "unix://{sockets}/grpc.sock"}}
      http: {{endpoint: "unix://{sockets}/http.sock", traces_url_path: /custom}}
"""
    with ServerProcess(tmp_path / "data", config) as process:
        for _ in range(2):
            process.endpoint = ""  # the configuration's
            process.start()
            assert process.endpoint == f"unix://{sockets}/grpc.sock"
            with Wire(process.http) as wire:
                reply = wire.ask(request(span(1, 1)), "/custom")
                assert ExportTraceServiceResponse.FromString(reply.body) == ExportTraceServiceResponse()
            process.kill()
    assert sorted(path.name for path in sockets.iterdir()) == ["grpc.sock", "http.sock"]
