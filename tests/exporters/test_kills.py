"""The real server process, killed under load while it forwards; agents that die beside it."""

import itertools
import json
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from otel_ext.cli.folder import engines, lines_of
from otel_ext.cli.verify import check_engine
from otel_ext.exporters.grpc import METHOD
from otel_ext.files import RealFiles
from otel_ext.pipeline.outbox.cursor import Tally, read
from otel_ext.sessions import stem
from tests.builders import looping_run, request, span_id, trace_id
from tests.exporters.farside import OK, FarSide, GrpcFarSide, HttpFarSide, Received, Reply, far_sides
from tests.support import PATIENCE, ROOT, until
from tests.support import server as real_server

ENGINE = {
    "idle_timeout": 2.0,
    "hold": 0.05,
    "min_free": 0,
    "reserve": 0,
    "checkpoint_interval": 0.2,
    "segment_bytes": 100_000,
}
SPANS = 5


class Victim:
    """A server process; it keeps its port over restarts."""

    def __init__(
        self, data: Path, far: Mapping[str, FarSide | str], *, grace: float = PATIENCE, **settings: Any
    ) -> None:
        self.data = data
        self.told = {
            "data": str(data),
            "grpc": "127.0.0.1:0",
            "grace": grace,
            "engine": ENGINE,
            "forward": [
                {
                    "name": name,
                    "protocol": "http" if isinstance(each, HttpFarSide) else "grpc",
                    "endpoint": each if isinstance(each, str) else each.endpoint,
                    "retry_initial": 0.05,
                    "retry_max": 0.5,
                    "batch_bytes": 1,
                    "timeout": PATIENCE,
                    **settings,
                }
                for name, each in far.items()
            ],
        }
        self.log = data.parent / "server.log"
        self.start()

    def start(self) -> None:
        """Start it, wait until it is ready."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.exporters.victim", json.dumps(self.told)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
            )
        assert self.process.stdout is not None
        try:
            ready = self.process.stdout.readline()
            assert ready.startswith("ready "), self.log.read_text()[-3000:]
        except BaseException:
            self.end(signal.SIGKILL)
            raise
        self.told["grpc"] = ready.split()[1].removeprefix("grpc=")

    def end(self, number: int) -> int:
        """Send a signal, wait for the end; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def tally(self, name: str) -> Tally:
        """What a destination's cursor file says."""
        word = read(RealFiles(), f"{self.data}/engines/main/forward/{stem(name)}.cursor")
        assert word is not None
        return word[1]


@contextmanager
def victim(data: Path, far: Mapping[str, FarSide | str], **settings: Any) -> Iterator[Victim]:
    """A running server that is gone afterwards."""
    made = Victim(data, far, **settings)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.end(signal.SIGKILL)


def send(server: Victim, numbers: Iterable[int], acknowledged: set[int]) -> None:
    """Send runs, each until it is acknowledged."""
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
    with grpc.insecure_channel(server.told["grpc"], options) as channel:
        call = channel.unary_unary(METHOD)
        for number in numbers:
            body = request(*looping_run(number, f"s{number}", rounds=SPANS - 1))
            while number not in acknowledged:
                try:
                    call(body, timeout=10, wait_for_ready=True)
                    acknowledged.add(number)
                    threading.Event().wait(0.01)  # a slow machine must not make the load the greater
                except grpc.RpcError:
                    continue


def wanted(numbers: Iterable[int]) -> set[bytes]:
    """Trace and span ids of these runs."""
    return {trace_id(n) + span_id(n * 1000 + k) for n in numbers for k in range(SPANS)}


def arrived(far: FarSide) -> Counter[bytes]:
    """Trace and span ids that arrived, our own spans left out."""
    return Counter(s.trace_id + s.span_id for s in far.spans if not s.name.startswith("detect "))


def _grown(numbers: set[int], before: int) -> bool:
    return len(numbers) > before


def _has(far: FarSide, ids: set[bytes]) -> bool:
    return ids <= arrived(far).keys()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kills", "seed"), [(4, 1), pytest.param(60, 2, marks=pytest.mark.long)])
def test_killed_under_load_nothing_is_missing(tmp_path: Path, kills: int, seed: int) -> None:
    """All that was acknowledged arrives at both; repeats are whole batches, byte for byte, one a kill."""
    rng = random.Random(seed)
    flaky = random.Random(seed)
    slow: FarSide = HttpFarSide()
    slow.answer = lambda received: Reply(status=503, retry_after=0) if flaky.random() < 0.2 else OK
    far: dict[str, FarSide] = {"otlp/a": GrpcFarSide(), "otlphttp": slow}
    over, acknowledged = threading.Event(), set[int]()
    with far_sides(*far.values()), victim(tmp_path / "data", far) as server:
        clients = [
            threading.Thread(
                target=send,
                args=(server, itertools.takewhile(lambda _: not over.is_set(), each), acknowledged),
            )
            for each in (itertools.count(1, 3), itertools.count(2, 3), itertools.count(3, 3))
        ]
        for client in clients:
            client.start()
        try:
            for _ in range(kills):
                before = len(acknowledged)
                until(partial(_grown, acknowledged, before), "the load to go on")
                threading.Event().wait(rng.uniform(0.0, 0.3))  # the moment of the kill is what is random
                server.end(signal.SIGKILL)
                server.start()
        finally:
            over.set()
            for client in clients:
                client.join(PATIENCE)
        everything = wanted(acknowledged)
        for each in far.values():
            until(partial(_has, each, everything), "every span at the far side")
        assert server.end(signal.SIGTERM) == 0, server.log.read_text()[-3000:]
        tallies = {name: server.tally(name) for name in far}
    for name, each in far.items():
        found = arrived(each)
        assert found.keys() == everything
        bodies = Counter(received.body for received in each.accepted)
        repeats = sum(bodies.values()) - len(bodies)
        assert repeats <= kills
        once = Counter(s.trace_id + s.span_id for b in bodies for s in Received("trace", b, {}, "").spans)
        assert set(once.values()) == {1}, "what was sent again is the same batch"
        assert any(s.name.startswith("detect termination") for s in each.spans)
        tally = tallies[name]
        assert tally.balance == 0
        assert tally.sent == tally.received == len(once)
        print(f"{name}: {kills} kills, {len(once)} spans, {repeats} batches twice")


@pytest.mark.timeout(600)
def test_where_the_far_side_is_otel_ext_itself_nothing_is_there_twice(tmp_path: Path) -> None:
    """Both are killed under load; what the near one sends again, the far one knows."""
    rng, over, acknowledged = random.Random(3), threading.Event(), set[int]()
    with real_server(tmp_path / "far") as behind:
        far = {"far": behind.endpoint}
        with victim(tmp_path / "near", far) as server:
            numbers = itertools.takewhile(lambda _: not over.is_set(), itertools.count(1))
            client = threading.Thread(target=send, args=(server, numbers, acknowledged))
            client.start()
            try:
                for number in range(4):
                    until(partial(_grown, acknowledged, len(acknowledged)), "the load to go on")
                    threading.Event().wait(rng.uniform(0.0, 0.2))  # the moment of the kill is what is random
                    if number % 2:
                        behind.kill()
                        behind.start()
                    else:
                        server.end(signal.SIGKILL)
                        server.start()
            finally:
                over.set()
                client.join(PATIENCE)
            assert server.end(signal.SIGTERM) == 0
            tally = server.tally("far")
        behind.stop()
    (engine,) = engines(tmp_path / "near")
    told = engine.catalog.meta()["ledger"]
    engine.catalog.close()
    (engine,) = engines(tmp_path / "far")
    report, meta = check_engine(engine), engine.catalog.meta()
    lines = [json.loads(line) for line in lines_of(engine, None)]
    engine.catalog.close()
    assert report["ok"], report
    stored = Counter(
        (c["scope"]["name"] == "otel_ext", s["traceId"] + s["spanId"])
        for line in lines
        for r in line["resourceSpans"]
        for c in r["scopeSpans"]
        for s in c["spans"]
    )
    assert {each for ours, each in stored if not ours} == {one.hex() for one in wanted(acknowledged)}
    assert set(stored.values()) == {1}
    assert meta["ledger"]["conflicts"] == 0
    # A finding that the far one told first is a duplicate when it comes.
    ledger = meta["ledger"]
    assert ledger["received"] == ledger["stored"] + ledger["duplicate"]
    assert ledger["stored"] <= tally.sent == told["stored"] + told["derived"]


AGENT = """
import os, signal, sys
from opentelemetry.sdk.trace import TracerProvider
from otel_ext import AgentSpanProcessor
provider = TracerProvider()
provider.add_span_processor(AgentSpanProcessor(data=sys.argv[1], min_free_mib=0))
tracer = provider.get_tracer("agent")
session = {"gen_ai.conversation.id": "doomed", "gen_ai.operation.name": "invoke_agent"}
with tracer.start_as_current_span("invoke_agent", attributes=session):
    with tracer.start_as_current_span("done"):
        pass
    with tracer.start_as_current_span("never ended"):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.timeout(300)
def test_what_a_dead_agent_left_unfinished_goes_out(tmp_path: Path) -> None:
    """Adopted: its unfinished spans and its session's end are sent on; what it could send itself is not."""
    far: dict[str, FarSide] = {"far": GrpcFarSide()}
    with far_sides(*far.values()):
        agent = subprocess.run([sys.executable, "-c", AGENT, str(tmp_path / "data")], check=False, cwd=ROOT)
        assert agent.returncode == -signal.SIGKILL
        with victim(tmp_path / "data", far) as server:
            until(lambda: len(far["far"].spans) >= 3, "unfinished spans at the far side")
            assert server.end(signal.SIGTERM) == 0
    names = sorted(s.name for s in far["far"].spans)
    assert names == ["detect termination.crashed", "invoke_agent", "never ended"]
    for each in far["far"].spans:
        if not each.name.startswith("detect "):
            marks = {a.key: a.value.bool_value for a in each.attributes}
            assert marks["otel_ext.span.unfinished"] is True


@pytest.mark.timeout(300)
def test_a_polite_end_delivers_the_rest_and_a_dead_far_side_does_not_prevent_it(tmp_path: Path) -> None:
    """SIGTERM: what waits is sent; where the far side is gone it is kept, and the end comes all the same."""
    far: dict[str, FarSide] = {"far": GrpcFarSide()}
    with far_sides(*far.values()), victim(tmp_path / "data", far) as server:
        send(server, range(1, 20), set())
        assert server.end(signal.SIGTERM) == 0
    assert arrived(far["far"]).keys() == wanted(range(1, 20))
    with victim(tmp_path / "data", far, grace=3.0, timeout=1.0) as server:
        send(server, range(20, 25), set())
        assert server.end(signal.SIGTERM) == 0, "what could not be sent is kept"
    again: dict[str, FarSide] = {"far": HttpFarSide()}
    with far_sides(*again.values()), victim(tmp_path / "data", again) as server:
        until(lambda: arrived(again["far"]).keys() == wanted(range(20, 25)), "the rest")
        assert server.end(signal.SIGTERM) == 0
