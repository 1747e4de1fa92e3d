"""Items 1 to 9: transport and ports."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

from tests.builders import request
from tests.conformance import otlpjson
from tests.conformance.conftest import Start
from tests.conformance.targets import Target, collector
from tests.conformance.wire import JSON, PROTOBUF, TRACES, Grpc, Http, answer_of, check


def test_item_01_grpc_export(target: Target) -> None:
    """A raw call and the stock exporter are answered, and what they sent is stored."""
    (sent,) = target.spans()
    answer = target.grpc.send(request(sent))
    check(answer.ok, f"answered {answer}")
    check(target.stored(sent.trace_id)[0].span.span_id == sent.span_id, "stored another span")
    exporter = OTLPSpanExporter(target.grpc_endpoint, insecure=True)
    outcomes = []

    class Watched(SimpleSpanProcessor):
        def on_end(self, span) -> None:  # type: ignore[no-untyped-def]
            outcomes.append(exporter.export((span,)))

    provider = TracerProvider()
    provider.add_span_processor(Watched(exporter))
    with provider.get_tracer("t").start_as_current_span("stock") as made:
        trace = made.get_span_context().trace_id.to_bytes(16, "big")
    provider.shutdown()
    check(outcomes == [SpanExportResult.SUCCESS], f"the stock exporter says {outcomes}")
    check(target.stored(trace)[0].span.name == "stock", "the stock exporter's span is not stored")


_IN_A_NETWORK_OF_ITS_OWN = """
import fcntl, os, socket, struct, subprocess, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
found = set()
for _ in range(600):
    for port in (4317, 4318):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            found.add(port)
        except OSError:
            pass
    if len(found) == 2 or process.poll() is not None:
        break
    time.sleep(0.05)
process.kill()
process.wait()
print(sorted(found))
"""


def test_item_02_default_ports(target_name: str, tmp_path: Path) -> None:
    """In a network namespace of its own a server without configuration listens on 4317 and 4318."""
    if target_name == "otel_ext":
        call = [sys.executable, "-m", "otel_ext", "serve", "--data", str(tmp_path / "data")]
    else:
        binary = collector()
        if binary is None:
            pytest.skip("no Collector: set OTELCOL_BIN, or run .ci/collector")
        config = tmp_path / "config.yaml"
        config.write_text(
            "receivers: {otlp: {protocols: {grpc: , http: }}}\n"
            f"exporters: {{file: {{path: {tmp_path / 'out'}}}}}\n"
            "service: {telemetry: {metrics: {level: none}},"
            " pipelines: {traces: {receivers: [otlp], exporters: [file]}}}\n"
        )
        call = [binary, "--config", str(config)]
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here, and the real ports may be someone's")
    done = subprocess.run(
        [*unshare, sys.executable, "-c", _IN_A_NETWORK_OF_ITS_OWN, *call],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    check(done.stdout.strip() == "[4317, 4318]", f"listens on {done.stdout.strip()}")


def test_item_03_grpc_compression(target: Target) -> None:
    """Plain and gzipped requests over gRPC are stored."""
    plain, packed = target.spans(), target.spans()
    check(target.grpc.send(request(*plain)).ok, "refused identity")
    zipped = Grpc(target.grpc_endpoint, compression=grpc.Compression.Gzip)
    answer = zipped.send(request(*packed))
    zipped.close()
    check(answer.ok, f"answered gzip with {answer}")
    for spans in (plain, packed):
        target.stored(spans[0].trace_id)


def test_item_04_http_compression(target: Target) -> None:
    """Plain and gzipped requests over HTTP are stored, in both encodings."""
    for door in (target.http, target.json):
        for name, headers, pack in (
            ("plain", {}, bytes),
            ("gzip", {"content-encoding": "gzip"}, gzip.compress),
        ):
            (sent,) = target.spans()
            body = request(sent)
            if door.kind == JSON:
                body = json.dumps(otlpjson.encode(body)).encode()
            answer = door.post(pack(body), headers=headers)
            check(answer.ok, f"answered {name} on {door.name} with {answer}")
            target.stored(sent.trace_id)


def test_item_05_one_port_two_encodings(target: Target) -> None:
    """Content-Type chooses the decoder, whatever its parameters and letter case."""
    for kind in (
        PROTOBUF,
        JSON,
        f"{JSON}; charset=utf-8",
        f"{JSON};charset=UTF-8",
        f"{PROTOBUF}; v=1",
        "Application/JSON",
    ):
        (sent,) = target.spans()
        body = request(sent)
        if "json" in kind.lower():
            body = json.dumps(otlpjson.encode(body)).encode()
        answer = target.http.post(body, headers={"content-type": kind})
        check(answer.code == "200", f"answered `{kind}` with {answer}")
        target.stored(sent.trace_id)


def test_item_06_unknown_methods(target: Target) -> None:
    """What is not served says so."""
    for method in (TRACES.replace("Export", "Nope"), "/no.such.Service/Export"):
        answer = target.grpc.call(b"", method)
        check(answer.code == "UNIMPLEMENTED", f"answered {answer} to {method}")
    for path in ("/v1/nope", "/", "/v1/traces/x"):
        answer = target.http.post(b"", path=path)
        check(answer.code == "404", f"answered {answer} to {path}")


def test_item_07_concurrent_calls(target: Target) -> None:
    """64 calls in flight on one connection; each is answered for what it was."""
    good = [target.spans() for _ in range(64)]
    calls = [
        target.grpc.future(request(*spans) if number % 2 else b"\xff garbage")
        for number, spans in enumerate(good)
    ]
    answers = [answer_of(call) for call in reversed(calls)][::-1]
    check(all(answers[number].ok for number in range(1, 64, 2)), "refused a call among many")
    check(not any(answers[number].ok for number in range(0, 64, 2)), "mixed up answers")
    for number in range(1, 64, 2):
        target.stored(good[number][0].trace_id)


def test_item_08_keep_alive(target: Target) -> None:
    """Two requests on one connection, then two pipelined ones of which the second closes."""
    http = target.http
    with http.connection() as connection:
        answers = [http.post(request(*target.spans()), connection=connection)]
        first = connection.sock
        answers.append(http.post(request(*target.spans()), connection=connection))
        check(all(a.ok for a in answers), f"answered {[str(a) for a in answers]}")
        check(first is not None and connection.sock is first, "closed the connection between two requests")
    body = request(*target.spans())
    one, two = http.head(len(body)) + body, http.head(len(body), "Connection: close") + body
    answers = http.raw(one + two, end=False, answers=2)
    check(
        [a.code for a in answers] == ["200", "200"],
        f"answered pipelined requests {[str(a) for a in answers]}",
    )


def test_item_09_configurable_path(start: Start) -> None:
    """`traces_url_path` is honoured, and the default path is then unknown."""
    config = {"receivers": {"otlp": {"protocols": {"http": {"traces_url_path": "/custom/traces"}}}}}
    made = start(config, config)
    custom = Http(made.http_endpoint, path="/custom/traces").send(request(*made.spans()))
    check(custom.ok, f"answered {custom} on the configured path")
    check(made.http.send(b"").code == "404", "still serves the default path")
