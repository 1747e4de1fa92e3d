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

from tests.crash.checks import verified
from tests.support import ServerProcess, objects, run, server, until

pytestmark = pytest.mark.peers
PROTOCOLS = ["grpc", "proto", "http"]
"""agent.cjs's names; `http` is JSON."""
SHORT = "processors: {sessions: {idle_timeout: 2s}}"


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running sidecar whose sessions end after 2 s."""
    with server(tmp_path / "data", SHORT) as running:
        yield running


def stored(data: Path, telemetry: str = "traces") -> list[dict[str, Any]]:
    """Every received span, log record or metric of the files."""
    kind, item = {"traces": ("Spans", "spans"), "logs": ("Logs", "logRecords")}.get(
        telemetry, ("Metrics", "metrics")
    )
    return [
        each
        for line in objects(run("cat", data, "--telemetry", telemetry))
        for resource in line[f"resource{kind}"]
        for scope in resource[f"scope{kind}"]
        if scope["scope"].get("name") != "otel_ext"
        for each in scope[item]
    ]


def value(anything: dict[str, Any]) -> Any:
    """An AnyValue as JavaScript has it."""
    ((kind, inner),) = anything.items()
    if kind == "intValue":
        return int(inner)
    if kind == "arrayValue":
        return [value(each) for each in inner.get("values", [])]
    return inner


def attributes(item: dict[str, Any]) -> dict[str, Any]:
    """Attributes as JavaScript has them."""
    return {each["key"]: value(each["value"]) for each in item.get("attributes", [])}


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
        "attributes": attributes(span),
        "events": [each["name"] for each in span.get("events", [])],
        "links": [each["spanId"] for each in span.get("links", [])],
        "status": {
            "code": span.get("status", {}).get("code", 0),
            "message": span.get("status", {}).get("message", ""),
        },
    }


def agent(javascript: Path, sidecar: ServerProcess, protocol: str) -> dict[str, Any]:
    """Let agent.cjs run its course; what it says it sent."""
    script = Path(__file__).with_name("agent.cjs")
    done = subprocess.run(
        ["node", script, protocol, f"http://{sidecar.endpoint}", f"http://{sidecar.http}"],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
        env={**os.environ, "NODE_PATH": str(javascript / "node_modules")},
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_javascript(javascript: Path, sidecar: ServerProcess, protocol: str) -> None:
    """The JavaScript SDK over gRPC, HTTP with protobuf, HTTP with JSON: spans as sent, and our findings."""
    told = agent(javascript, sidecar, protocol)
    assert told["traces"] == 0
    assert len(told["spans"]) == 8
    sidecar.wait_for_ends(8)
    sidecar.stop()
    found = {span["spanId"]: plain(span) for span in stored(sidecar.data)}
    assert found == {span["spanId"]: span for span in told["spans"]}
    (session,) = objects(run("sessions", sidecar.data, "--json"))
    assert (session["session_id"], session["tool_calls"]) == ("js-session", 6)
    signals = {row["signal"] for row in objects(run("signals", sidecar.data, "--json"))}
    assert signals == {"loop.exact_repeat", "termination.completed"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_javascript_logs_and_metrics(javascript: Path, sidecar: ServerProcess, protocol: str) -> None:
    """Log records and metrics of the JavaScript SDK are stored as sent, too."""
    told = agent(javascript, sidecar, protocol)
    assert (told["logs"], told["metrics"]) == (0, 0)
    assert (len(told["records"]), len(told["points"])) == (3, 2)
    sidecar.stop()
    records = [
        {
            "traceId": record["traceId"],
            "spanId": record["spanId"],
            "time": record["timeUnixNano"],
            "severity": record["severityNumber"],
            "body": value(record["body"]),
            "attributes": attributes(record),
        }
        for record in stored(sidecar.data, "logs")
    ]
    assert records == told["records"]
    points = []
    for metric in stored(sidecar.data, "metrics"):
        (data,) = (metric[kind] for kind in ("sum", "histogram") if kind in metric)
        (point,) = data["dataPoints"]
        points.append(
            {
                "name": metric["name"],
                "value": point["sum"] if "sum" in point else point["asDouble"],
                "count": int(point.get("count", 0)),
                "attributes": attributes(point),
            }
        )
    assert points == told["points"]
    report = verified(sidecar.data)
    assert (report["logs"]["stored"], report["metrics"]["stored"]) == (3, 2)


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
        return sum(row.spans for row in sidecar.looked_up()) >= 1600

    until(all_there, "1600 spans")
    sidecar.stop()
    report = verified(sidecar.data)
    assert (report["received"], report["stored"], report["duplicate"]) == (1600, 1600, 0)
    assert len({(span["traceId"], span["spanId"]) for span in stored(sidecar.data)}) == 1600
