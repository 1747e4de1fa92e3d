"""The benchmarks measure something: tiny runs against real processes, and failures that are told."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from otel_ext.bench import machine
from otel_ext.bench.baseline import Baseline, read, store
from otel_ext.bench.cases import Case, suites
from otel_ext.bench.figures import Middle
from otel_ext.bench.http import Connection
from otel_ext.bench.measure import Run, measure
from otel_ext.bench.sender import Plan
from otel_ext.bench.server import CannotBeMeasuredError, Server
from otel_ext.bench.servers import Ours, Running
from otel_ext.bench.session import Figures, Session, run_all
from tests.support import PATIENCE, ROOT, objects, run, server, until


class Broken(Server):
    """One that ends before it takes anything."""

    name = "broken"
    promise = "none"

    def start(self, case: Case) -> None:
        """It says something else than its endpoint."""
        self.spawn(["/bin/sh", "-c", "echo why >&2; echo no"], start="ready")


class Missing(Server):
    """One whose program is not there."""

    name = "missing"
    promise = "none"

    def start(self, case: Case) -> None:
        """No such file."""
        self.spawn([self.folder / "program"])


class Talkative(Server):
    """One that says more than a pipe holds before it is there."""

    name = "talkative"
    promise = "none"

    def start(self, case: Case) -> None:
        """A MB on each of its outputs, then it listens."""
        talk = "head -c 1000000 /dev/zero"
        self.spawn(["/bin/sh", "-c", f"cd {self.folder}; {talk}; {talk} >&2; touch there"])
        until((self.folder / "there").exists, "it to have said all")


def test_a_server_may_say_what_it_likes() -> None:
    """Nobody has to read it; it is in its log."""
    talkative = Talkative().open(TINY)
    try:
        assert (talkative.folder / "log").stat().st_size == 2_000_000
    finally:
        talkative.close()


TINY = Case(size=100_000, door="http", gzip=True, total=16, clients=2)


def test_a_run_has_all_its_figures(tmp_path: Path) -> None:
    """Our own server over HTTP with gzip: what was sent is acknowledged, processed and measured."""
    case = TINY
    session = run_all([("size", case)], [Ours, Broken, Missing], 1, samples=tmp_path / "samples")
    (one,) = session.runs
    assert one.spans == case.requests * case.clients * case.spans
    assert one.bytes > one.spans * case.size * 0.9
    assert one.processed is not None
    assert one.acknowledged >= one.processed > 0
    assert one.cpu_100k
    assert one.peak
    assert one.peak > 10 << 20
    assert one.written is not None
    assert one.p50 <= one.p90 <= one.p99 <= one.worst
    (line,) = objects((tmp_path / "samples").read_text())
    assert [len(client) for client in line["latencies"]] == [case.requests] * case.clients
    assert max(max(client) for client in line["latencies"]) * 1000 == pytest.approx(one.worst)
    assert [who.partition(":")[0] for who in session.skipped] == ["broken", "missing"]
    assert "why" in session.skipped[f"broken: {case.name}"]


def test_the_command_measures_a_running_endpoint_and_finds_a_loss(tmp_path: Path) -> None:
    """Beside a baseline of a billion spans a second: exit 1; what it kept itself is what it measured."""
    (case,) = suites()["latency"]
    figures: Figures = {"endpoint": {case.name: {"acknowledged": Middle(1e9, 1e9, 1e9)}}}
    store(Baseline(machine=machine.described(tmp_path), figures=figures), tmp_path / "before")
    with server(tmp_path / "data") as process:
        call = ["bench", "--endpoint", f"grpc://{process.endpoint}", "--suite", "latency", "--scale", "1e-6"]
        call += ["--runs", "1", "--json", "--baseline", str(tmp_path / "after")]
        (first,) = objects(run(*call, "--compare", tmp_path / "before", code=1))
        assert first["server"] == "endpoint"
        assert first["spans"] > 0
        kept = read(tmp_path / "after").figures["endpoint"][case.name]["acknowledged"]
        assert kept is not None
        assert kept.median == first["acknowledged"]
        with pytest.raises(CannotBeMeasuredError, match="clients could not send"):
            measure(Running("http", process.endpoint), TINY)  # the wrong door


@pytest.mark.parametrize(("part", "code", "told"), [("restart", 1, "WORSE"), ("other", 2, "no part other")])
def test_comparing_with_a_baseline_tells_by_its_exit_code(
    tmp_path: Path, part: str, code: int, told: str
) -> None:
    """`python -m tests.bench --compare`: a start in a nanosecond is past; what is no part is an error."""
    figures: Figures = {"otel_ext": {"restart, 1 MiB": {"start": Middle(1e-9, 1e-9, 1e-9)}}}
    store(Baseline(machine=machine.described(tmp_path), figures=figures), tmp_path / "before")
    call = ["--parts", part, "--runs", "1", "--quick", "--scale", "0.012"]
    call += ["--compare", str(tmp_path / "before")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", *call], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert told in done.stdout + done.stderr


def test_a_connection_that_was_closed_while_idle_is_opened_again() -> None:
    """By a server that closes after each answer without a word, as some do after a few seconds."""
    closed, bodies = threading.Event(), list[bytes]()
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            for _ in range(2):
                connection, _ = door.accept()
                with connection, connection.makefile("rb") as asked:
                    length = [int(line[15:]) for line in iter(asked.readline, b"\r\n") if b"Length" in line]
                    bodies.append(asked.read(*length))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                closed.set()

        thread = threading.Thread(target=serve)
        thread.start()
        where = f"127.0.0.1:{door.getsockname()[1]}"
        told = Plan(endpoint=where, door="http", clients=1, spans=1, size=1, requests=2, warm=1)
        with contextlib.closing(Connection(told)) as connection:
            assert connection.post(b"one") == ""
            assert closed.wait(PATIENCE)
            assert connection.post(b"two") == ""
        thread.join()
    assert bodies == [b"one", b"two"]


def test_what_others_do_is_flagged() -> None:
    """The row is marked in whose runs others used the machine and the clients' core was full."""
    fields = dict.fromkeys(Run.__struct_fields__, 1.0) | {"server": "s", "latencies": []}
    runs = [
        Run(**{**fields, "case": "quiet", "others": 0.04, "client_busy": 0.5}),  # type: ignore[arg-type]
        Run(**{**fields, "case": "loud", "others": 0.06, "client_busy": 0.95}),  # type: ignore[arg-type]
    ]
    session = Session(machine={}, runs=runs)
    assert [session.marks("s", case) for case in ("quiet", "loud")] == ["", "!c"]


def test_a_process_is_looked_at_with_its_children() -> None:
    """This process has resident memory and CPU; one that is gone has nothing."""
    mine = machine.usage(os.getpid())
    assert mine.peak >= mine.resident > 0
    assert mine.cpu > 0
    assert machine.usage(2**22 + 1) == machine.Usage(0.0, 0, 0, 0)
    with machine.on_core(machine.CLIENT_CORE):
        assert os.sched_getaffinity(0) == {machine.CLIENT_CORE}
    assert os.sched_getaffinity(0) == set(machine.CORES)
