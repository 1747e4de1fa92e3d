"""Agents -> Collector -> otel_ext, with the files of collector-config/behind/.

Law of this file: what the Collector acknowledged must be stored once, whichever of the two dies: its queue is
on disk, and otel_ext drops what it is sent again.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tests.builders import looping_run, request, span
from tests.collector.process import Site, collector, sidecar
from tests.collector.sdk import agent_run
from tests.collector.spans import send, stored, told
from tests.crash.checks import check
from tests.crash.load import Load, ids
from tests.support import objects, run, until

pytestmark = pytest.mark.peers
CONFIG = "behind/collector.yaml"
OURS = "behind/otel-ext.yaml"
SHORT = "\nprocessors: {sessions: {idle_timeout: 2s}}\n"


def over_grpc(site: Site) -> SpanExporter:
    """The stock exporter, gRPC."""
    return GrpcExporter(endpoint=f"http://{site.endpoint('COLLECTOR_GRPC_PORT')}", insecure=True)


def over_http(site: Site) -> SpanExporter:
    """The stock exporter, HTTP with protobuf bodies."""
    return HttpExporter(endpoint=f"http://{site.endpoint('COLLECTOR_HTTP_PORT')}/v1/traces")


@pytest.mark.parametrize("door", [over_grpc, over_http])
def test_what_the_sdk_sends_is_what_is_stored(
    otelcol: Path, site: Site, door: Callable[[Site], SpanExporter]
) -> None:
    """Every kind of attribute, events, links, status, state: through the Collector, not a bit changed."""
    spans: list[ReadableSpan] = agent_run()
    sent = dict(told(TracesData.FromString(encode_spans(spans).SerializeToString())))
    with collector(otelcol, site, CONFIG), sidecar(site, OURS, SHORT) as server:
        exporter = door(site)
        assert exporter.export(spans) is SpanExportResult.SUCCESS
        exporter.shutdown()
        server.wait_for_ends(len(spans))
        server.stop()
    found = stored(site.data)
    assert {key: found[key] for key in sent} == sent
    assert set(found) > set(sent)  # our findings beside them
    signals = {row["signal"] for row in objects(run("signals", site.data, "--json"))}
    assert signals == {"loop.exact_repeat", "termination.completed"}
    check(site.data, set(sent))


def test_ours_is_killed(otelcol: Path, site: Site) -> None:
    """`kill -9` of otel_ext behind the Collector: everything acknowledged is stored, once."""
    with collector(otelcol, site, CONFIG) as front, sidecar(site, OURS, SHORT) as server:
        with Load(site.door("COLLECTOR_GRPC_PORT")) as load:
            for _ in range(4):
                load.wait_for(60)
                server.kill()
                load.wait_for(20)  # the Collector goes on taking
                server.start()
        server.wait_for_ends(len(ids(load.acknowledged)))
        front.stop()
        server.stop()
    check(site.data, ids(load.acknowledged), ids(load.attempted))


def test_the_collector_is_killed(otelcol: Path, site: Site) -> None:
    """`kill -9` of the Collector: what it acknowledged was on its disk; what it sends again is dropped."""
    with collector(otelcol, site, CONFIG) as front, sidecar(site, OURS, SHORT) as server:
        with Load(site.door("COLLECTOR_GRPC_PORT")) as load:
            for _ in range(3):
                load.wait_for(60)
                front.kill()
                front.start()
            load.wait_for(60)
        server.wait_for_ends(len(ids(load.acknowledged)))
        front.stop()
        server.stop()
    check(site.data, ids(load.acknowledged), ids(load.attempted))


def test_the_collector_stops_while_we_are_away(otelcol: Path, site: Site) -> None:
    """What it took while otel_ext was down survives its own restart and arrives when both are back."""
    server = site.sidecar(OURS, SHORT)
    with collector(otelcol, site, CONFIG) as front:
        with Load(site.door("COLLECTOR_GRPC_PORT")) as load:
            load.wait_for(100)
        front.stop()
        front.start()
        server.start()
        try:
            server.wait_for_ends(len(ids(load.acknowledged)))
            front.stop()
            server.stop()
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()
    check(site.data, ids(load.acknowledged), ids(load.attempted))


def test_a_large_conversation_passes(otelcol: Path, site: Site) -> None:
    """A request of 12 MB, three times what a Collector takes by default."""
    bodies = [request(span(5, n, session__id="s", text="x" * 3_000_000)) for n in range(1, 5)]
    whole = b"".join(bodies)  # concatenated requests are one request
    with collector(otelcol, site, CONFIG), sidecar(site, OURS, SHORT) as server:
        send(site.endpoint("COLLECTOR_GRPC_PORT"), whole, request(*looping_run(7)))
        server.wait_for_ends(4 + 7)
        server.stop()
    until(lambda: len(stored(site.data)) >= 4 + 7, "everything")
