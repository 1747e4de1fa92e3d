"""Agents -> Collector -> otel_ext -> Collector -> a file or a backend: the whole chain, for real.

Law of this file: what comes out is held against what otel_ext stored, which is held against what the agents
sent: nothing changed on the way but marked repairs, and our findings beside it.
"""

from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_ext.errors import ConfigError
from otel_ext.service import load_config
from tests.builders import request, span
from tests.collector.backend import Backend
from tests.collector.process import CONFIGS, Site, collector, sidecar
from tests.collector.sdk import agent_run
from tests.collector.spans import Id, Told, lines_of, once, send, stored, told
from tests.crash.load import Load, ids
from tests.support import objects, run, until

OURS = "before/otel-ext.yaml"


def _forwards() -> bool:
    try:
        load_config((CONFIGS / OURS).read_text())
    except ConfigError:
        return False
    return True


pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(not _forwards(), reason="a configuration file cannot name destinations yet"),
]
FRONT = "behind/collector.yaml"
BACK = "before/collector.yaml"
SHORT = "\nprocessors: {sessions: {idle_timeout: 2s}}\n"


@pytest.fixture
def front(site: Site, tmp_path: Path) -> Site:
    """Where the Collector before otel_ext stands, when `site` is otel_ext's and the one's behind it."""
    (tmp_path / "front").mkdir()
    made = Site(tmp_path / "front")
    made.environment["OTEL_EXT_GRPC_PORT"] = site.environment["OTEL_EXT_GRPC_PORT"]
    return made


def delivered(backend: Backend, data: Path) -> dict[Id, Told]:
    """Wait until everything stored has come out; assert that whatever came, came as it is stored."""
    expected = stored(data)
    until(lambda: backend.ids() >= set(expected), "everything to be delivered")
    assert {key: set(each) for key, each in backend.got.items()} == {k: {v} for k, v in expected.items()}
    return expected


def test_from_the_sdk_to_a_file(otelcol: Path, site: Site, front: Site) -> None:
    """Each span once, as sent; one with milliseconds for times repaired and marked; findings beside them."""
    spans = agent_run()
    sent = dict(told(TracesData.FromString(encode_spans(spans).SerializeToString())))
    early = span(77, 1, session__id="milliseconds")
    early.start_time_unix_nano, early.end_time_unix_nano = 1_790_000_000_000, 1_790_000_001_000
    path = site.folder / "out.jsonl"
    to_file: dict[str, object] = {
        "exporters": {"file": {"path": str(path), "append": True, "flush_interval": "50ms"}},
        "service": {"pipelines": {"traces": {"exporters": ["file"]}}},
    }
    with (
        collector(otelcol, site, BACK, to_file) as back,
        sidecar(site, OURS, SHORT) as server,
        collector(otelcol, front, FRONT) as first,
    ):
        exporter = OTLPSpanExporter(endpoint=f"http://{front.endpoint('COLLECTOR_GRPC_PORT')}", insecure=True)
        assert exporter.export(spans) is SpanExportResult.SUCCESS
        exporter.shutdown()
        send(front.endpoint("COLLECTOR_GRPC_PORT"), request(early))
        server.wait_for_ends(len(spans) + 1)
        first.stop()
        server.stop()
        expected = stored(site.data)
        until(lambda: len(path.read_text().split('"spanId"')) > len(expected), "the file")
        back.stop()
    assert once(lines_of(path)) == expected
    assert {key: expected[key] for key in sent} == sent
    repaired = Span.FromString(expected[early.trace_id.hex(), early.span_id.hex()][0])
    assert repaired.start_time_unix_nano == 1_790_000_000_000_000_000
    assert any(each.key.startswith("otel_ext.timestamp.") for each in repaired.attributes)
    assert len(expected) - len(sent) - 1 == len(objects(run("signals", site.data, "--json", "--revisions")))


def test_ours_is_killed(otelcol: Path, site: Site, front: Site, backend: Backend) -> None:
    """`kill -9` of otel_ext between two Collectors: nothing missing, repeats are the same bytes."""
    with (
        collector(otelcol, site, BACK),
        sidecar(site, OURS, SHORT) as server,
        collector(otelcol, front, FRONT),
    ):
        with Load(front.door("COLLECTOR_GRPC_PORT")) as load:
            for _ in range(4):
                load.wait_for(60)
                until(lambda: len(backend.got) > 50, "spans that came out")
                server.kill()
                load.wait_for(20)
                server.start()
        server.wait_for_ends(len(ids(load.acknowledged)))
        assert ids(load.acknowledged) <= set(delivered(backend, site.data))
        server.stop()


def test_either_collector_stops(otelcol: Path, site: Site, front: Site, backend: Backend) -> None:
    """The one in front and the one behind, each away while agents go on: nothing missing, nothing twice."""
    with (
        collector(otelcol, site, BACK) as back,
        sidecar(site, OURS, SHORT) as server,
        collector(otelcol, front, FRONT) as first,
    ):
        with Load(front.door("COLLECTOR_GRPC_PORT")) as load:
            load.wait_for(40)
            until(lambda: bool(backend.got), "spans that came out")
            back.stop()
            load.wait_for(100)
            back.start()
            load.wait_for(40)
            first.stop()
            first.start()
            load.wait_for(40)
        server.wait_for_ends(len(ids(load.acknowledged)))
        assert ids(load.acknowledged) <= set(delivered(backend, site.data))
        assert set(backend.counts().values()) == {1}
        server.stop()
