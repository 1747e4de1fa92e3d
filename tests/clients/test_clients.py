"""Other people's OTLP clients, as agents use them: what they sent is what is stored.

Law of this file: a client's own word for what it sent (its memory, its count) is held against the files.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.checks import check, verified
from tests.support import ServerProcess, objects, run, server, until

pytestmark = pytest.mark.peers
SHORT = "processors: {sessions: {idle_timeout: 2s}}"


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running sidecar whose sessions end after 2 s."""
    with server(tmp_path / "data", SHORT) as running:
        yield running


def stored(data: Path) -> list[dict[str, Any]]:
    """Every received span of the files."""
    return [
        span
        for line in objects(run("cat", data))
        for resource in line["resourceSpans"]
        for scope in resource["scopeSpans"]
        if scope["scope"].get("name") != "otel_ext"
        for span in scope["spans"]
    ]


def value(anything: dict[str, Any]) -> Any:
    """An AnyValue as JavaScript has it."""
    ((kind, inner),) = anything.items()
    if kind == "intValue":
        return int(inner)
    if kind == "arrayValue":
        return [value(each) for each in inner.get("values", [])]
    return inner


def plain(span: dict[str, Any]) -> dict[str, Any]:
    """A stored span in the words of agent.cjs; our marks are not the client's."""
    return {
        "traceId": span["traceId"],
        "spanId": span["spanId"],
        "parentSpanId": span.get("parentSpanId", ""),
        "name": span["name"],
        "kind": span["kind"],
        "start": span["startTimeUnixNano"],
        "end": span["endTimeUnixNano"],
        "attributes": {each["key"]: value(each["value"]) for each in span.get("attributes", [])},
        "events": [each["name"] for each in span.get("events", [])],
        "links": [each["spanId"] for each in span.get("links", [])],
        "status": {
            "code": span.get("status", {}).get("code", 0),
            "message": span.get("status", {}).get("message", ""),
        },
    }


@pytest.mark.parametrize("protocol", ["grpc", "proto", "http"])
def test_javascript(javascript: Path, sidecar: ServerProcess, protocol: str) -> None:
    """The JavaScript SDK over gRPC, HTTP with protobuf, HTTP with JSON: all are taken, spans as sent."""
    done = subprocess.run(
        [
            "node",
            Path(__file__).with_name("agent.cjs"),
            protocol,
            f"http://{sidecar.endpoint}",
            f"http://{sidecar.http}",
        ],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
        env={**os.environ, "NODE_PATH": str(javascript / "node_modules")},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["traces"], told["logs"], told["metrics"]) == (0, 0, 0)
    assert len(told["spans"]) == 8
    sidecar.wait_for_ends(8)
    sidecar.stop()
    found = {span["spanId"]: plain(span) for span in stored(sidecar.data)}
    assert found == {span["spanId"]: span for span in told["spans"]}
    assert check(sidecar.data, {(span["traceId"], span["spanId"]) for span in told["spans"]})["stored"] == 8
    (session,) = objects(run("sessions", sidecar.data, "--json"))
    assert (session["session_id"], session["tool_calls"]) == ("js-session", 6)
    assert {row["signal"] for row in objects(run("signals", sidecar.data, "--json"))} == {"loop.exact_repeat"}


@pytest.mark.parametrize("options", [[], ["--otlp-http"]], ids=["grpc", "http"])
def test_telemetrygen(telemetrygen: Path, sidecar: ServerProcess, options: list[str]) -> None:
    """Go's telemetrygen: each trace has two spans, and all are there."""
    subprocess.run(
        [
            telemetrygen,
            "traces",
            "--otlp-insecure",
            f"--otlp-endpoint={sidecar.http if options else sidecar.endpoint}",
            "--traces=200",  # 1600 spans: its own queue holds 2048 and drops the rest
            "--workers=4",
            "--rate=0",
            *options,
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )

    def all_there() -> bool:
        return sum(int(row["spans"]) for row in sidecar.sessions()) >= 1600

    until(all_there, "1600 spans")
    sidecar.stop()
    report = verified(sidecar.data)
    assert (report["received"], report["stored"], report["duplicate"]) == (1600, 1600, 0)
    assert len({(span["traceId"], span["spanId"]) for span in stored(sidecar.data)}) == 1600
