"""Engine, outbox and forwarders together, against scripted far sides."""

import base64
import collections
import gzip
import json
import random
import shutil
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext.clock import SystemClock
from otel_ext.errors import ConfigError
from otel_ext.exporters import Forwarder, ForwarderSettings
from otel_ext.files import File, Files, RealFiles
from otel_ext.pipeline import Engine, EngineSettings, Tally
from otel_ext.pipeline.outbox.refused import Quarantine
from otel_ext.pipeline.records import LOGS, METRICS, pack_request
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry
from tests.builders import looping_run, request, span, trace_id
from tests.exporters.farside import OK, FarSide, GrpcFarSide, HttpFarSide, Received, Reply, far_sides, names
from tests.support import PATIENCE, until
from tests.support import run as run_command

SETTINGS = EngineSettings(
    idle_timeout=3600.0, hold=0.02, min_free=0, checkpoint_interval=0.05, reserve=0, segment_bytes=8000
)
FAST: dict[str, Any] = {"retry_initial": 0.01, "retry_max": 0.05, "timeout": PATIENCE}
"""A slow machine must not make us send again what the far side is about to answer."""


class Running:
    """An engine and its forwarders."""

    def __init__(
        self,
        data: Path,
        *settings: ForwarderSettings,
        engine: EngineSettings = SETTINGS,
        files: Files | None = None,
    ) -> None:
        self.data, self.stats = data, Stats()
        self.forwarders = [Forwarder(each, stats=self.stats) for each in settings]
        destinations = [each.destination for each in self.forwarders]
        self.engine = Engine(data, engine, files=files, destinations=destinations)
        self.engine.start()
        for forwarder in self.forwarders:
            forwarder.start(self.engine.outbox.feeds[forwarder.settings.name])

    def tally(self, name: str = "far") -> Tally:
        """What became of everything a destination got."""
        return self.engine.outbox.feeds[name].cursor.tally

    def refused(self, name: str = "far") -> bytes:
        """A destination's quarantine."""
        return (self.data / f"engines/main/forward/{name}.refused.jsonl").read_bytes()

    def stop(self, patience: float = PATIENCE) -> bool:
        """A polite end; whether everything was delivered."""
        self.engine.finish()
        done = [forwarder.stop(patience) for forwarder in self.forwarders]
        assert self.engine.close()
        return all(done)


@contextmanager
def running(data: Path, *settings: ForwarderSettings, **more: Any) -> Iterator[Running]:
    """A running engine that is gone afterwards; failing tests do not wait for dead destinations."""
    made = Running(data, *settings, **more)
    try:
        yield made
    except BaseException:
        made.stop(0.0)
        raise
    made.stop()


def to(far: FarSide, name: str = "far", **values: Any) -> ForwarderSettings:
    """Settings for a far side."""
    protocol = "grpc" if isinstance(far, GrpcFarSide) else "http"
    return ForwarderSettings(
        **{"name": name, "protocol": protocol, "endpoint": far.endpoint, **FAST, **values}
    )


@pytest.fixture(params=["grpc", "http"])
def far(request: pytest.FixtureRequest) -> Iterator[FarSide]:
    """One far side of each protocol."""
    made: FarSide = GrpcFarSide() if request.param == "grpc" else HttpFarSide()
    with far_sides(made):
        yield made


def test_everything_arrives_once_and_in_order(tmp_path: Path, far: FarSide) -> None:
    """Spans go out in the order in which they were accepted, findings after them, nothing twice."""
    bodies = [request(span(1, n), span(1, n + 1)) for n in range(10, 50, 2)]
    bodies += [request(*looping_run(2, "s"))]
    with running(tmp_path, to(far)) as run:
        for body in bodies:
            run.engine.intake.accept(body)
    spans = [s for body in bodies for s in spans_of(body)]
    assert names(far.spans) == [s.name for s in spans]
    found = [s for s in far.spans if s.name.startswith("detect ")]
    assert len(found) == run.engine.ledger["derived"] > 0
    tally = run.tally()
    assert tally.received == tally.sent == len(spans) + len(found)
    assert tally.balance == 0


@pytest.mark.parametrize("consumers", [1, 4])
def test_what_may_be_tried_again_is_until_it_is_delivered(
    tmp_path: Path, far: FarSide, consumers: int
) -> None:
    """429, 503, timeouts, dropped connections: all arrive, once, in order with one consumer."""
    chance = random.Random(5)
    codes = ["UNAVAILABLE", "ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "OUT_OF_RANGE", "DATA_LOSS"]
    bad = [Reply(code=c) for c in codes] + [Reply(code="RESOURCE_EXHAUSTED", retry_after=0.01)]
    if isinstance(far, HttpFarSide):
        bad = [Reply(status=s) for s in (429, 502, 503, 504)] + [Reply(status=503, retry_after=0)]
        bad += [Reply(drop=True)]
    far.answer = lambda received: chance.choice(bad) if chance.random() < 0.5 else OK
    with running(tmp_path, to(far, consumers=consumers, batch_bytes=1)) as run:
        for n in range(60):
            run.engine.intake.accept(request(span(1, n + 1)))
    got = names(far.spans)
    assert sorted(got) == sorted(f"span {n + 1}" for n in range(60))
    if consumers == 1:
        assert got == [f"span {n + 1}" for n in range(60)]
    assert run.tally() == Tally(received=60, sent=60)
    assert len(far.tries) > 80


def test_a_partial_success_is_never_repeated(tmp_path: Path, far: FarSide) -> None:
    """What the far side rejects of a batch is counted; the batch is done."""
    far.replies.extend([Reply(rejected=2), OK, Reply(rejected=100)])
    with running(tmp_path, to(far, batch_bytes=1)) as run:
        for n in range(4):
            run.engine.intake.accept(request(span(1, 3 * n + 1), span(1, 3 * n + 2), span(1, 3 * n + 3)))
    assert len(far.tries) == 4
    assert run.tally() == Tally(received=12, sent=7, rejected=5)
    (forwarder,) = run.forwarders
    assert (forwarder.sent[Telemetry.TRACES], forwarder.failed[Telemetry.TRACES]) == (7, 5)


def test_an_answer_that_cannot_be_read_is_still_a_success(tmp_path: Path, far: FarSide) -> None:
    """Garbage, and more than 4 MiB: what was delivered is not sent again, nor is memory filled."""
    far.replies.extend([Reply(body=b"\xff" * 50), Reply(body=bytes(5 << 20))])
    if isinstance(far, HttpFarSide):
        bomb = gzip.compress(bytes(50 << 20))
        far.replies.extend(
            [
                Reply(body=bomb, headers=(("Content-Encoding", "gzip"),)),
                Reply(body=b"not gzip", headers=(("Content-Encoding", "gzip"),)),
                Reply(body=b"x", headers=(("Content-Encoding", "br"),)),
            ]
        )
    count = len(far.replies)
    with running(tmp_path, to(far, batch_bytes=1)) as run:
        for n in range(6):
            run.engine.intake.accept(request(span(1, n + 1)))
    assert len(far.tries) == 6
    assert run.tally() == Tally(received=6, sent=6)
    assert run.stats.get("otel_ext.forward.unreadable_answers") == count


REFUSALS = [
    ("INVALID_ARGUMENT", 400),
    ("UNAUTHENTICATED", 401),
    ("PERMISSION_DENIED", 403),
    ("UNIMPLEMENTED", 404),
    ("INTERNAL", 500),
    ("UNKNOWN", 501),
    ("NOT_FOUND", 301),
    ("FAILED_PRECONDITION", 204),
]


@pytest.mark.parametrize(("code", "status"), REFUSALS)
def test_what_is_refused_for_good_is_kept_and_costs_no_other(
    tmp_path: Path, far: FarSide, code: str, status: int
) -> None:
    """One bad record of a joined batch: it is tried alone once, kept in the quarantine, the rest arrives."""
    refusal = Reply(status=status, body=b"") if isinstance(far, HttpFarSide) else Reply(code=code)
    far.answer = lambda received: refusal if "span 3" in names(received.spans) else OK
    gate = threading.Event()
    far.replies.append(Reply(hold=gate))
    with running(tmp_path, to(far)) as run:
        run.engine.intake.accept(request(span(1, 1)))
        until(lambda: bool(far.tries), "the first request")
        for n in range(1, 6):
            run.engine.intake.accept(request(span(1, n + 1)))
        run.engine.finish()
        gate.set()
    assert names(far.spans) == [f"span {n}" for n in (1, 2, 4, 5, 6)]
    assert len([t for t in far.tries if names(t.spans) == ["span 3"]]) == 1
    assert run.tally() == Tally(received=6, sent=5, quarantined=1)
    (kept,) = [json.loads(line) for line in run.refused().splitlines()]
    assert kept["telemetry"] == "traces"
    assert kept["items"] == 1
    assert str(status) in kept["reason"] or code in kept["reason"]
    assert [s.name for s in spans_of(base64.b64decode(kept["request"]))] == ["span 3"]


def test_what_is_too_large_is_halved_until_it_fits(tmp_path: Path, far: FarSide) -> None:
    """On item boundaries, in order; a single span that is too large is kept in the quarantine."""
    too_large = Reply(status=413) if isinstance(far, HttpFarSide) else Reply(code="RESOURCE_EXHAUSTED")
    far.answer = lambda received: too_large if len(received.body) > 1500 else OK
    spans = [span(1, n + 1, text="x" * (2000 if n == 11 else 100)) for n in range(40)]
    with running(tmp_path, to(far)) as run:
        run.engine.intake.accept(request(*spans))
    assert names(far.spans) == [f"span {n + 1}" for n in range(40) if n != 11]
    assert run.tally() == Tally(received=40, sent=39, quarantined=1)


class Hasty:
    """An HTTP server that answers 413 to a body over 1 MB, unread, and hangs up, as proxies do."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.taken: list[bytes] = []
        self.refused = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                heads = iter(stream.readline, b"\r\n")
                length = next(int(h.split(b":")[1]) for h in heads if h.lower().startswith(b"content-length"))
                if length > 1_000_000:
                    self.refused += 1
                    connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                    continue
                collections.deque(heads, maxlen=0)
                self.taken.append(stream.read(length))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def stop(self) -> None:
        """Serve no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


def test_too_large_is_heard_before_the_body_is_sent(tmp_path: Path) -> None:
    """A connection that breaks while a large body is sent has an answer in it: 413, so it is halved."""
    far = Hasty()
    spans = [span(1, n + 1, text="x" * 900_000) for n in range(12)]
    where = ForwarderSettings(name="far", protocol="http", endpoint=far.endpoint, compression="none", **FAST)
    try:
        with running(tmp_path, where) as run:
            run.engine.intake.accept(request(*spans))
            assert run.engine.outbox.feeds["far"].drained(30), run.forwarders[0].last
    finally:
        far.stop()
    assert [s.name for body in far.taken for s in spans_of(body)] == [s.name for s in spans]
    assert far.refused
    assert run.tally() == Tally(received=12, sent=12)


class Defective(RealFiles):
    """A disk in whose driver is a defect of ours: the first file of refused requests cannot be made."""

    def __init__(self) -> None:
        self.broke = False

    def create(self, path: str) -> File:
        """See `Files`."""
        if path.endswith(".refused.jsonl") and not self.broke:
            self.broke = True
            raise RuntimeError("a defect")
        return super().create(path)


def test_a_defect_of_ours_does_not_silence_a_destination(tmp_path: Path, far: FarSide) -> None:
    """Whatever is raised while a batch is sent, its thread lives and brings it to its end."""
    refusal = Reply(status=400) if isinstance(far, HttpFarSide) else Reply(code="INVALID_ARGUMENT")
    far.answer = lambda received: refusal if "span 1" in names(received.spans) else OK
    files = Defective()
    with running(tmp_path, to(far, batch_bytes=1), files=files) as run:
        for n in range(3):
            run.engine.intake.accept(request(span(1, n + 1)))
        far.wait(2)
    assert files.broke
    assert names(far.spans) == ["span 2", "span 3"]
    assert run.tally() == Tally(received=3, sent=2, quarantined=1)


def test_what_was_refused_is_sent_again(tmp_path: Path, far: FarSide) -> None:
    """With a wrong token everything is kept, and said; `otel-ext replay` delivers that file."""
    refusal = Reply(status=401) if isinstance(far, HttpFarSide) else Reply(code="UNAUTHENTICATED")
    far.answer = lambda received: refusal
    spans = request(span(1, 1), span(1, 2))
    bodies = dict(zip(Telemetry, (spans, *logs_and_metrics()), strict=True))
    with running(tmp_path, to(far)) as run:
        for telemetry, body in bodies.items():
            run.engine.intake.accept(body, telemetry)
    assert run.tally().quarantined == run.tally().received
    path = tmp_path / "engines/main/forward/far.refused.jsonl"
    mended = GrpcFarSide()
    with far_sides(mended):
        said = run_command("replay", path, "--endpoint", mended.endpoint, "--json")
    assert [received.body for received in mended.accepted] == list(bodies.values())
    assert json.loads(said)["lines"] == 3
    with path.open("ab") as file:
        file.write(b'{"at":1,"telemetry":"traces","request":"/w=="}\n')
    said = run_command("replay", path, "--data", tmp_path / "again", "--json")
    assert json.loads(said)["bad_lines"] == 1
    assert json.loads(said)["spans"] == 2


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize(
    ("key", "value"), [("Authorization", "Bearer x\n"), ("a b", "x"), ("x", "gr\u00f6\u00dfe")]
)
def test_headers_that_cannot_be_sent(protocol: Any, key: str, value: str) -> None:
    """They are an error at the start, not one of each request; the value is not in it."""
    settings = ForwarderSettings(
        name="far", protocol=protocol, endpoint="http://127.0.0.1:1", headers={key: value}
    )
    with pytest.raises(ConfigError) as error:
        Forwarder(settings)
    assert value not in str(error.value).replace(key, "")


def test_our_own_limit_comes_before_the_wire(tmp_path: Path, far: FarSide) -> None:
    """No request above `max_request_bytes` leaves (checklist item 67)."""
    spans = [span(1, n + 1, text="x" * 100) for n in range(40)]
    with running(tmp_path, to(far, max_request_bytes=1000)) as run:
        run.engine.intake.accept(request(*spans))
    assert names(far.spans) == [s.name for s in spans]
    assert max(len(t.body) for t in far.tries) <= 1000


def test_a_dead_destination_delays_nobody(tmp_path: Path, far: FarSide) -> None:
    """Beside one that hangs and one that is not there, a live one gets everything."""
    held = threading.Event()
    hanging = type(far)()
    hanging.answer = lambda received: Reply(hold=held)
    absent = ForwarderSettings(name="absent", endpoint="http://127.0.0.1:1", **FAST)
    with far_sides(hanging):
        run = Running(tmp_path, to(hanging, "hanging", timeout=5), absent, to(far))
        try:
            for n in range(50):
                run.engine.intake.accept(request(span(1, n + 1)))
            far.wait(50)
            assert not hanging.accepted
            assert run.tally("absent") == Tally()
        finally:
            held.set()
            run.stop(0.0)
    with running(tmp_path, to(far, "hanging"), to(far, "absent")) as run:
        pass  # under the same names, what waited is sent
    assert run.tally("absent") == Tally(received=50, sent=50)
    assert run.tally("hanging").received == 50


def test_overflow_is_counted_exactly(tmp_path: Path, far: FarSide) -> None:
    """A destination that is down for longer than its budget loses the oldest, counted; the rest arrives."""
    far.answer = lambda received: Reply(code="UNAVAILABLE", status=503)
    bodies = [request(span(1, n + 1, text="x" * 400), span(2, n + 1)) for n in range(100)]
    with running(tmp_path, to(far, queue_bytes=10_000)) as run:
        for body in bodies:
            run.engine.intake.accept(body)
        # As long as there is more to process, what is about to be sent may still become too old.
        until(lambda: run.engine.outbox.end == run.engine.journal.readable_end, "everything to be processed")
        until(lambda: run.tally().overflow > 100, "the oldest to be dropped")
        far.answer = lambda received: OK
    tally = run.tally()
    assert tally.received == 200
    assert tally.balance == 0
    assert tally.sent + tally.overflow == 200
    assert len(far.spans) == tally.sent > 0
    numbers = [s.span_id[-1] for s in far.spans if s.trace_id == trace_id(1)]
    assert numbers == list(range(101 - len(numbers), 101)), "the newest"


def test_what_does_not_arrive_in_time_is_given_up_when_that_is_wanted(tmp_path: Path, far: FarSide) -> None:
    """`max_elapsed` bounds the tries of one batch; the count says how many expired."""
    far.answer = lambda received: Reply(code="UNAVAILABLE", status=503)
    with running(tmp_path, to(far, max_elapsed=0.05)) as run:
        run.engine.intake.accept(request(span(1, 1), span(1, 2)))
        until(lambda: run.tally().expired == 2, "both to expire")
        far.answer = lambda received: OK
        run.engine.intake.accept(request(span(1, 3)))
    assert run.tally() == Tally(received=3, sent=1, expired=2)


def test_a_full_quarantine_still_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its bound nothing is kept, and that is counted apart."""
    keeper = Quarantine(RealFiles(), str(tmp_path), "x", SystemClock(), most=500)
    kept = [keeper.keep(Telemetry.LOGS, b"x" * 100, 1, "no") for _ in range(5)]
    assert kept == [True, True, False, False, False]
    keeper.close()
    with (tmp_path / "x.refused.jsonl").open("ab") as file:
        file.write(b'{"half')
    again = Quarantine(RealFiles(), str(tmp_path), "x", SystemClock(), most=5000)
    assert again.keep(Telemetry.LOGS, b"y", 1, "no")
    again.close()
    lines = (tmp_path / "x.refused.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["items"] for line in lines] == [1, 1, 1]


def logs_and_metrics() -> tuple[bytes, bytes]:
    """A request of ten log records, and one of twenty data points."""
    logs, metrics = ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    for n in range(10):
        logs.resource_logs.add().scope_logs.add().log_records.add().body.string_value = f"line {n}"
        metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name=f"m{n}")
        metric.gauge.data_points.add().as_int = n
        metric.gauge.data_points.add().as_int = n
    return logs.SerializeToString(), metrics.SerializeToString()


def test_all_three_telemetries_go_where_they_belong(tmp_path: Path, far: FarSide) -> None:
    """Logs and metrics have methods and paths of their own, are counted, split and kept like spans."""
    logs, metrics = logs_and_metrics()
    too_large = Reply(status=413) if isinstance(far, HttpFarSide) else Reply(code="RESOURCE_EXHAUSTED")
    far.answer = lambda received: too_large if received.items > 6 else OK
    with running(tmp_path, to(far)) as run:
        journal = run.engine.journal
        journal.append(LOGS, pack_request(logs, {}), items=10)
        journal.append(METRICS, pack_request(metrics, {}), items=20)
        run.engine.intake.accept(request(span(1, 1)))
    assert run.tally() == Tally(received=31, sent=31)
    by_path = Counter[str]()
    for received in far.accepted:
        by_path[received.path] += received.items
    words = {"trace": 1, "log": 10, "metric": 20}
    assert {w: next(n for p, n in by_path.items() if w in p) for w in words} == words
    assert len(by_path) == 3
    assert [s.name for s in far.spans] == ["span 1"]


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_headers_agent_and_compression(tmp_path: Path, far: FarSide, compression: str) -> None:
    """The product token, the headers that were asked for, and the encoding (checklist items 3, 4, 70)."""
    with running(tmp_path, to(far, headers={"X-Tenant": "a b"}, compression=compression)) as run:
        run.engine.intake.accept(request(span(1, 1)))
    (received,) = far.accepted
    assert received.headers["x-tenant"] == "a b"
    assert received.headers["user-agent"].startswith("OTel-OTLP-Exporter-otel_ext/")
    if isinstance(far, HttpFarSide):
        assert received.headers["content-type"] == "application/x-protobuf"
        assert received.headers.get("content-encoding", "none") == compression
        assert received.path == "/v1/traces"


def test_connections_are_kept(tmp_path: Path, far: FarSide) -> None:
    """All requests of one consumer come over one connection (checklist item 72); a closed one is replaced."""
    with running(tmp_path, to(far, batch_bytes=1)) as run:
        for n in range(20):
            run.engine.intake.accept(request(span(1, n + 1)))
    assert len({received.peer for received in far.tries}) == 1
    assert len(far.tries) == 20


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_unix_sockets(tmp_path: Path, kind: str) -> None:
    """Both protocols speak over a Unix domain socket."""
    path = str(tmp_path / "s")
    made: FarSide = GrpcFarSide(f"unix:{path}") if kind == "grpc" else HttpFarSide(path)
    with far_sides(made), running(tmp_path / "data", to(made, endpoint=f"unix://{path}")) as run:
        run.engine.intake.accept(request(span(1, 1)))
        made.wait(1)
    assert run.tally() == Tally(received=1, sent=1)


def test_a_server_that_comes_back_gets_what_waited(tmp_path: Path) -> None:
    """The far side dies between two requests over a kept connection and is started again."""
    first = HttpFarSide()
    port = int(first.endpoint.rpartition(":")[2])
    with running(tmp_path, to(first)) as run:
        run.engine.intake.accept(request(span(1, 1)))
        first.wait(1)
        first.stop()
        run.engine.intake.accept(request(span(1, 2)))
        until(lambda: run.forwarders[0].last != "", "a failed try")
        second = HttpFarSide(port)
        with far_sides(second):
            second.wait(1)
    assert names(second.spans) == ["span 2"]
    assert run.tally() == Tally(received=2, sent=2)


def test_findings_alone_go_where_only_they_are_wanted(tmp_path: Path, far: FarSide) -> None:
    """`derived_only`, beside a destination that gets everything."""
    other = type(far)()
    with far_sides(other), running(tmp_path, to(far, derived_only=True), to(other, "other")) as run:
        run.engine.intake.accept(request(*looping_run(1, "s")))
    assert far.spans
    assert names(far.spans) == []
    assert len(other.spans) == len(far.spans) + 7


def test_an_acknowledgement_that_waits_for_delivery(tmp_path: Path, far: FarSide) -> None:
    """`ack: forwarded`: no success before the far side has it."""
    gate = threading.Event()
    far.replies.append(Reply(hold=gate))
    done = threading.Event()
    with running(tmp_path, to(far, acknowledges=True)) as run:

        def client() -> None:
            run.engine.intake.accept(request(span(1, 1)))
            done.set()

        thread = threading.Thread(target=client)
        thread.start()
        until(lambda: bool(far.tries), "the request at the far side")
        assert not done.is_set()
        gate.set()
        thread.join()
    assert done.is_set()
    assert len(far.accepted) == 1


def spans_of(body: bytes) -> list[Span]:
    """A request's spans."""
    return Received("trace", body, {}, "").spans


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A key and a certificate of 127.0.0.1 that is its own authority."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = str(folder / "key.pem"), str(folder / "cert.pem")
    subprocess.run(
        [
            *(
                openssl,
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    return key, cert


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_tls_with_certificates_of_both_sides(tmp_path: Path, certificate: tuple[str, str], kind: str) -> None:
    """The far side is trusted by its authority and gets our certificate; an unknown one gets nothing."""
    key, cert = certificate
    made: FarSide = GrpcFarSide(tls=certificate) if kind == "grpc" else HttpFarSide(tls=certificate)
    with far_sides(made):
        trusting = to(made, ca_file=cert, cert_file=cert, key_file=key)
        strange = to(made, "strange", cert_file=cert, key_file=key)
        run = Running(tmp_path, trusting, strange)
        try:
            run.engine.intake.accept(request(span(1, 1)))
            made.wait(1)
            until(lambda: run.forwarders[1].last != "", "the untrusted one to fail")
        finally:
            run.stop(0.0)
    assert len(made.tries) == 1
