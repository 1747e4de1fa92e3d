"""The chain's promises at full length: a Collector away for a minute, a far side that refuses in every way.

Law of this file: as in `test_before`; and what is missing at a far side must be what that far side said that
it rejected, item by item.

    python -m pytest -m long tests/collector -n0 -s
"""

import random
import threading
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel_ext.files import RealFiles
from otel_ext.pipeline.outbox import Tally
from otel_ext.pipeline.outbox.cursor import read
from tests.collector.backend import Backend
from tests.collector.process import Collector, Site, collector, sidecar
from tests.collector.spans import Id, Told, stored, told
from tests.collector.test_before import BACK, FRONT, OURS, SHORT, delivered, front
from tests.crash.load import Load, ids
from tests.exporters.farside import OK, FarSide, GrpcFarSide, HttpFarSide, Received, Reply, far_sides
from tests.support import until

__all__ = ["front"]  # a fixture
pytestmark = pytest.mark.long
MINUTE = 60.0
PACE = 0.1
"""Seconds between a sender's requests: an agent's, so that a minute's spans can be compared one by one."""
MOST = 7
"""Spans of a request that the scripted far side takes; the Collector in front and our batches join more."""


def away(process: Collector, load: Load) -> int:
    """Stop a Collector for a minute while agents go on; how many requests were acknowledged meanwhile."""
    process.stop()
    before = len(load.acknowledged)
    threading.Event().wait(MINUTE)
    meanwhile = len(load.acknowledged) - before
    process.start()
    load.wait_for(40)
    return meanwhile


@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", ["behind", "in front"])
def test_a_collector_is_away_for_a_minute(
    otelcol: Path, site: Site, front: Site, backend: Backend, which: str
) -> None:
    """Everything acknowledged before, meanwhile and after is delivered, once, as it is stored."""
    with (
        collector(otelcol, site, BACK) as back,
        sidecar(site, OURS, SHORT) as server,
        collector(otelcol, front, FRONT) as first,
    ):
        with Load(front.door("COLLECTOR_GRPC_PORT"), pace=PACE) as load:
            load.wait_for(40)
            until(lambda: bool(backend.got), "spans that came out")
            meanwhile = away(back if which == "behind" else first, load)
        assert bool(meanwhile) == (which == "behind")  # with nobody in front, agents wait
        server.wait_for_ends(len(ids(load.acknowledged)))
        arrived = delivered(backend, site.data)
        assert ids(load.acknowledged) <= set(arrived)
        assert set(backend.counts().values()) == {1}
        server.stop()
    print(f"\n{which}: {meanwhile} requests meanwhile; {len(arrived)} spans arrived, each once")


CONFIG = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:${env:OTEL_EXT_GRPC_PORT}"}}}}
processors: {sessions: {idle_timeout: 2s}}
exporters:
  KIND/far:
    endpoint: ENDPOINT
    tls: {insecure: true}
    retry_on_failure: {initial_interval: 20ms, max_interval: 200ms, max_elapsed_time: 0s}
"""


class Picky:
    """Answers 503, 429 and 413, drops connections, and rejects one request's last span now and then."""

    def __init__(self, far: FarSide) -> None:
        self._chance, self._http = random.Random(4), isinstance(far, HttpFarSide)
        self.said: dict[str, int] = {}
        self.rejected = 0

    def __call__(self, received: Received) -> Reply:
        """See `FarSide.answer`; one request at a time."""
        spans, chance = len(received.spans), self._chance.random()
        if chance < 0.15:
            return self._say("503", Reply(status=503, code="" if self._http else "UNAVAILABLE"))
        if chance < 0.3:
            code = "" if self._http else "RESOURCE_EXHAUSTED"
            return self._say("429", Reply(status=429, code=code, retry_after=0 if self._http else 0.05))
        if spans > MOST:
            return self._say("413", Reply(status=413, code="" if self._http else "RESOURCE_EXHAUSTED"))
        if chance < 0.4:
            self.rejected += 1
            return self._say("partial", Reply(rejected=1))
        return self._say("ok", OK)

    def _say(self, word: str, reply: Reply) -> Reply:
        self.said[word] = self.said.get(word, 0) + 1
        return reply


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["otlp", "otlphttp"])
def test_a_far_side_that_refuses_in_every_way(otelcol: Path, site: Site, front: Site, kind: str) -> None:
    """429, 503, 413 and partial successes: each span is taken once, or rejected by the far side, counted."""
    far = GrpcFarSide() if kind == "otlp" else HttpFarSide()
    answer = far.answer = Picky(far)
    server = site.sidecar("behind/otel-ext.yaml")
    server.config = CONFIG.replace("KIND", kind).replace("ENDPOINT", far.endpoint)
    with far_sides(far), collector(otelcol, front, FRONT):
        server.start()
        try:
            with Load(front.door("COLLECTOR_GRPC_PORT"), pace=PACE) as load:
                load.wait_for(400)
            server.wait_for_ends(len(ids(load.acknowledged)))
            expected = stored(site.data)
            got: dict[Id, list[Told]] = {}
            until(lambda: far.items >= len(expected), "everything to be taken")
            server.stop()
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()
    for received in far.accepted:
        for key, what in told(TracesData.FromString(received.body)):
            got.setdefault(key, []).append(what)
    assert got == {key: [what] for key, what in expected.items()}
    assert ids(load.acknowledged) <= set(got)
    assert set(answer.said) == {"503", "429", "413", "partial", "ok"}
    found = read(RealFiles(), f"{site.data}/engines/main/forward/{kind}%2Ffar.cursor")
    assert found is not None
    total = len(expected)
    assert found[1] == Tally(received=total, sent=total - answer.rejected, rejected=answer.rejected)
    print(f"\n{kind}: {total} spans, each there once; answers {answer.said}")
