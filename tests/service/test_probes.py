"""Probes, metrics and the drain of a real `otel-ext serve`."""

import json
import re
import signal
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from otel_ext.pipeline import BUDGETS
from otel_ext.service import Server, load_config
from otel_ext.service.metrics import METRICS, Sample, exposition
from otel_ext.turns import WHY
from tests.builders import looping_run, request, span
from tests.receivers.doors import Wire, message
from tests.service.probes import get, health
from tests.support import METHOD, PATIENCE, ROOT, ServerProcess, server, until

SIDE = """
extensions: {health_check: {endpoint: "127.0.0.1:0"}, journal: {min_free_mib: 0}}
processors: {sessions: {hold: 50ms}}
"""
METERED = "{service: {checkpoint_interval: 100ms, %s telemetry: {metrics: {address: '127.0.0.1:0'}}}}"


def config(service: str = "") -> str:
    """A configuration with side doors on free ports; `service` is more of that section."""
    return SIDE + "service: " + (METERED % service)[len("{service: ") : -1]


class Sidecar:
    """A running server and its side doors."""

    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        self.ready = process.ready

    @property
    def health(self) -> str:
        """Where probes go."""
        return self.ready["health"]

    def metrics(self) -> dict[str, float]:
        """Every sample by its name and labels, read by Prometheus' own parser."""
        status, text = get(self.ready["metrics"], "/metrics")
        assert status == 200
        return {
            sample.name + "".join(f" {k}={v}" for k, v in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def send(self, *bodies: bytes) -> list[str]:
        """The status code of each request's answer."""
        codes = []
        with grpc.insecure_channel(self.process.endpoint) as channel:
            for body in bodies:
                try:
                    channel.unary_unary(METHOD)(body, timeout=30)
                    codes.append("OK")
                except grpc.RpcError as error:
                    codes.append(error.code().name)
        return codes


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Sidecar]:
    """One that runs."""
    with server(tmp_path / "data", config()) as process:
        yield Sidecar(process)


def test_probes_of_a_healthy_server(sidecar: Sidecar) -> None:
    """HTTP, the Collector's answer, and gRPC for each service."""
    assert get(sidecar.health, "/livez")[0] == get(sidecar.health, "/readyz")[0] == 200
    status, text = get(sidecar.health, "/")
    answer = json.loads(text)
    assert (status, answer["status"]) == (200, "Server available")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z", answer["upSince"])
    assert re.fullmatch(r"\d+\.\d+s", answer["uptime"])
    for service in ("", "trace.v1.TraceService", "logs.v1.LogsService", "metrics.v1.MetricsService"):
        name = f"opentelemetry.proto.collector.{service}" if service else ""
        assert health(sidecar.process.endpoint, name) == 1
    with pytest.raises(grpc.RpcError) as caught:
        health(sidecar.process.endpoint, "nobody")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_metrics_count_what_happened(sidecar: Sidecar) -> None:
    """Accepted, rejected, duplicates, garbage, findings and sessions are where dashboards look for them."""
    run = request(*looping_run(1, "s-1", rounds=6))
    bad = span(2, 9)
    bad.trace_id = b"short"
    assert sidecar.send(run, run, request(span(2, 8), bad), b"\xff garbage") == ["OK"] * 3 + [
        "INVALID_ARGUMENT"
    ]
    until(lambda: "otel_ext_findings_total signal=loop.exact_repeat" in sidecar.metrics(), "a finding")
    stored = "otel_ext_ledger_outcomes_total outcome=stored reason= telemetry=traces"
    until(lambda: sidecar.metrics().get(stored) == 8, "all stored, also what was held")
    found = sidecar.metrics()
    door = " receiver=otlp transport=grpc"
    spans = found[f"otelcol_receiver_accepted_spans_total{door}"]
    assert spans == 2 * 7 + 1
    assert found[f"otelcol_receiver_refused_spans_total{door}"] == 1
    requests = {
        outcome: found[f"otelcol_receiver_requests_total outcome={outcome}{door}"]
        for outcome in ("success", "refused", "failure")
    }
    assert requests == {"success": 3, "refused": 0, "failure": 1}
    outcomes = "otel_ext_ledger_outcomes_total outcome={} reason={} telemetry=traces"
    assert found["otel_ext_ledger_received_total telemetry=traces"] == spans + 1
    assert found[outcomes.format("duplicate", "")] == 7
    assert found[outcomes.format("stored", "")] == 8
    assert sum(n for name, n in found.items() if "outcome=rejected" in name) == 1
    assert found["otel_ext_ledger_imbalance telemetry=traces"] == 0
    assert found["otel_ext_sessions_open"] == 2
    assert found["otel_ext_journal_sync_seconds_count"] >= 3
    assert found["otelcol_process_memory_rss"] > 1 << 20
    assert found["otel_ext_ready"] == 1
    again = sidecar.metrics()
    assert all(
        again[name] >= value for name, value in found.items() if name.partition(" ")[0].endswith("_total")
    )


def test_a_server_that_would_refuse_is_not_ready(tmp_path: Path) -> None:
    """With less disk space than it must keep free it lives, and says that it takes nothing."""
    text = config().replace("min_free_mib: 0", "min_free_mib: 1000000000, reserve_mib: 0")
    with server(tmp_path / "data", text) as process:
        sidecar = Sidecar(process)
        assert get(sidecar.health, "/livez")[0] == 200
        assert get(sidecar.health, "/readyz")[0] == get(sidecar.health, "/")[0] == 503
        assert health(process.endpoint) == 2
        assert sidecar.send(request(span(1, 1))) == ["UNAVAILABLE"]
        found = sidecar.metrics()
        assert found["otel_ext_ready"] == 0
        assert found["otelcol_receiver_requests_total outcome=refused receiver=otlp transport=grpc"] == 1
        refused = {
            budget: found[f"otel_ext_admission_refused_requests_total budget={budget}"]
            for budget in (*BUDGETS, "received", *WHY)
        }
        assert refused == {**dict.fromkeys(refused, 0), "disk": 1}
        assert found["otel_ext_admission_inside"] == found["otel_ext_admission_waiting"] == 0


def test_a_door_that_is_not_served_any_more_shows(tmp_path: Path) -> None:
    """Only a restart helps, so it is not alive; the other door says that it is not ready."""
    text = config() + "\nreceivers: {otlp: {protocols: {grpc: {endpoint: '127.0.0.1:0'}, "
    text += "http: {endpoint: '127.0.0.1:0'}}}}"
    running = Server(load_config(text, data=tmp_path / "data"))
    running.start()
    try:
        assert get(running.health_endpoint, "/livez")[0] == 200
        assert get(running.http_endpoint, "/v1/traces")[0] == 405
        assert running._http is not None
        door = running._http._server
        assert door._server._wake is not None
        loop, _ = door._server._wake
        loop.call_soon_threadsafe(loop.stop)
        door._thread.join(PATIENCE)
        assert get(running.health_endpoint, "/livez")[0] == get(running.health_endpoint, "/readyz")[0] == 503
        assert health(running.grpc_endpoint) == 2
    finally:
        assert running.stop(hurry=True)


def test_sigterm_goes_on_receiving_until_nothing_comes(tmp_path: Path) -> None:
    """Not ready at once, still taking; then silence, everything saved, exit code 0."""
    with server(tmp_path / "data", config("drain_idle: 1s,")) as process:
        sidecar = Sidecar(process)
        assert sidecar.send(request(span(1, 1))) == ["OK"]
        process.signal(signal.SIGTERM)
        until(lambda: get(sidecar.health, "/readyz")[0] == 503, "readiness to go")
        assert sidecar.send(request(span(1, 2)), request(span(1, 3))) == ["OK", "OK"]
        assert health(process.endpoint) == 2
        assert process.wait() == 0
        assert sum(row["spans"] for row in process.sessions()) == 3


def test_a_second_signal_hastens(tmp_path: Path) -> None:
    """A drain that would take an hour ends at once, and saves all the same."""
    with server(tmp_path / "data", config("drain_idle: 1h, shutdown_timeout: 2h,")) as process:
        sidecar = Sidecar(process)
        assert sidecar.send(request(span(1, 1))) == ["OK"]
        process.signal(signal.SIGTERM)
        until(lambda: get(sidecar.health, "/readyz")[0] == 503, "the drain")
        assert process.process is not None
        assert process.process.poll() is None
        process.stop(signal.SIGTERM)
        assert sum(row["spans"] for row in process.sessions()) == 1


def test_a_person_does_not_wait_for_slow_clients(tmp_path: Path) -> None:
    """Half a request on each door; a grace period of hours is not for SIGINT, nor for a second signal."""
    for numbers in ([signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]):
        with server(tmp_path / f"{len(numbers)}", config("drain_idle: 1h, shutdown_timeout: 2h,")) as process:
            assert Sidecar(process).send(request(span(1, 1))) == ["OK"]
            silence = threading.Event()
            with Wire(process.http) as wire, grpc.insecure_channel(process.endpoint) as channel:
                wire.send(message(content_length="8", expect="100-continue"))
                assert wire.stream.readline() == b"HTTP/1.1 100 Continue\r\n"  # so it is inside
                assert wire.stream.readline() == b"\r\n"
                wire.send(b"half")
                call = channel.stream_unary(METHOD).future(iter(silence.wait, True))
                for number in numbers[:-1]:
                    process.signal(number)
                    until(lambda: get(process.ready["health"], "/readyz")[0] == 503, "the drain")
                process.stop(numbers[-1], patience=PATIENCE / 2)
                silence.set()
                assert call.exception() is not None
                found = wire.reply()
                assert found is not None
                assert found.status == 503


def test_the_grace_period_ends_a_drain_under_load(tmp_path: Path) -> None:
    """Requests that never stop coming do not keep it; the last senders are told to come again."""
    with server(tmp_path / "data", config("drain_idle: 1h, shutdown_timeout: 2s,")) as process:
        sidecar, codes, over = Sidecar(process), list[str](), threading.Event()

        def load() -> None:
            number = 0
            while not over.is_set() and (number := number + 1):
                codes.extend(sidecar.send(request(span(1, number))))

        thread = threading.Thread(target=load)
        thread.start()
        try:
            until(lambda: "OK" in codes, "a first acknowledgement")
            process.signal(signal.SIGTERM)
            assert process.wait() == 0
            taken = codes.copy()
            until(lambda: codes[-1] != "OK", "a refusal")
        finally:
            over.set()
            thread.join()
        assert set(codes) <= {"OK", "UNAVAILABLE", "CANCELLED"}
        stored = sum(row["spans"] for row in process.sessions())
        assert taken.count("OK") <= stored <= len(codes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_nobody_used_or_that_a_person_ends_does_not_wait(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Otherwise this would take an hour."""
    with server(tmp_path / "data", config("drain_idle: 1h, shutdown_timeout: 2h,")) as process:
        if number == signal.SIGINT:
            assert Sidecar(process).send(request(span(1, 1))) == ["OK"]
        process.stop(number)


def test_side_doors_yield_unless_they_were_asked_for(tmp_path: Path) -> None:
    """Two servers of one configuration with an address: the second one says what is taken and ends."""
    with server(tmp_path / "data", config()) as process:
        taken = Sidecar(process).health
        second = ServerProcess(tmp_path / "other", config().replace("127.0.0.1:0", taken, 1))
        with pytest.raises(AssertionError, match=f"cannot listen on {taken}"):
            second.start()
        assert second.wait() == 2


def test_the_documented_metrics_are_those_there_are() -> None:
    """Name, kind and labels of each, in the table's order."""
    page = (ROOT / "docs/operations.md").read_text()
    rows = re.findall(r"^\| `(otel\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$", page, re.MULTILINE)
    assert [(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows] == [
        (metric.name, metric.kind, metric.labels) for metric in METRICS
    ]


def test_labels_of_any_text_are_read_back() -> None:
    """Quotes, backslashes and newlines survive Prometheus' parser; an unknown name is a defect."""
    hostile = 'a"b\\c\nd}{,= é'
    text = exposition([Sample("otel_ext_findings_total", (hostile,), 1.5)])
    ((sample,),) = [family.samples for family in text_string_to_metric_families(text)]
    assert (sample.labels, sample.value) == ({"signal": hostile}, 1.5)
    with pytest.raises(KeyError):
        exposition([Sample("otel_ext_unheard_of", (), 1)])


def test_a_destination_of_the_configuration_gets_what_comes(tmp_path: Path) -> None:
    """One sidecar behind another, over gRPC and HTTP in; sent and counted under the exporter's name."""
    with server(tmp_path / "far", config()) as far:
        text = config().replace(
            "processors:", "exporters: {otlp/far: {endpoint: 'http://%s'}}\nprocessors:", 1
        )
        with server(tmp_path / "near", text % far.endpoint) as near:
            sidecar = Sidecar(near)
            assert sidecar.send(request(span(1, 1), span(1, 2))) == ["OK"]
            post = urllib.request.Request(
                f"http://{near.http}/v1/traces",
                data=request(span(1, 3)),
                headers={"Content-Type": "application/x-protobuf"},
            )
            with urllib.request.urlopen(post, timeout=30) as answer:
                assert answer.status == 200
            sent = "otelcol_exporter_sent_spans_total exporter=otlp/far"
            until(lambda: sidecar.metrics()[sent] >= 3, "three spans sent on")
            found = sidecar.metrics()
            door = "otelcol_receiver_accepted_spans_total receiver=otlp transport="
            assert (found[door + "grpc"], found[door + "http"]) == (2, 1)
            assert found["otelcol_exporter_queue_capacity exporter=otlp/far"] == 1 << 30
            until(
                lambda: not sidecar.metrics()["otelcol_exporter_queue_size exporter=otlp/far"],
                "an empty queue",
            )
        far.stop()
        assert sum(row["spans"] for row in far.sessions()) == 3
