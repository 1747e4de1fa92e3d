"""One run of one case against one server, and every sample of it.

Law of this file: the CPU of the server is counted until what was acknowledged is also processed and saved,
where the server says when that is; the work of the warm-up is over before. What others did on the machine
meanwhile is recorded beside the figures, never subtracted.
"""

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any, Final

import msgspec

from otel_ext.bench.cases import Case
from otel_ext.bench.figures import cut
from otel_ext.bench.machine import CLIENT_CORE, Usage, load, on_core, own_cpu, usage
from otel_ext.bench.sender import Plan
from otel_ext.bench.server import CannotBeMeasuredError, Server

NOISE: Final = 0.05
"""Share of the machine's CPU that others may use before a run is marked as disturbed."""

_PATIENCE: Final = 1800.0
_LOOK: Final = 0.05
_SYNCS: Final = 100


class Run(msgspec.Struct, kw_only=True):
    """Figures of one run. Rates are a second, latencies ms, memory and sizes bytes; None: not known."""

    server: str
    case: str
    acknowledged: float
    processed: float | None
    cpu_100k: float | None
    cpu_gb: float | None
    peak: int | None
    grown: int | None
    written: float | None
    p50: float
    p90: float
    p99: float
    worst: float
    fsync_p99: float
    seconds: float
    spans: int
    bytes: int
    refused: int
    client_busy: float
    others: float
    warm_requests: int
    peak_rate: float | None = None
    latencies: list[list[float]] = []

    @property
    def disturbed(self) -> bool:
        """Whether others used more of the machine than a quiet one shows."""
        return self.others > NOISE


class Sender:
    """The clients' process: warmed up once made, sends when told."""

    def __init__(self, plan: Plan) -> None:
        with on_core(CLIENT_CORE):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "otel_ext.bench.sender"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self._tell(msgspec.json.encode(plan).decode())
        if (line := self._line()) != "warm":
            self.close()
            why = json.loads(line).get("failure") if line else "they ended"
            raise CannotBeMeasuredError(f"the clients could not send: {why}")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def go(self) -> dict[str, Any]:
        """Send everything; what the process says of it."""
        self._tell("go")
        answer: dict[str, Any] = json.loads(self._line() or '{"failure": "the clients died"}')
        if failure := answer.get("failure"):
            raise CannotBeMeasuredError(f"the clients could not send: {failure}")
        return answer

    def close(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait()


def _wait(server: Server, spans: int) -> bool:
    """Wait until these spans, sent since its start, are processed; False when the server does not say."""
    pause, begun = threading.Event(), time.perf_counter()
    # Looking costs the server something: every 50 ms at first, later at 2 % of the time waited so far.
    while (done := server.done()) is not None and done < spans:
        if (waited := time.perf_counter() - begun) > _PATIENCE:
            raise CannotBeMeasuredError(f"{server.name} processed {done} of {spans} in {_PATIENCE:.0f} s")
        pause.wait(max(_LOOK, waited / 50))
    return done is not None


def _settle(server: Server, spans: int) -> None:
    pause = threading.Event()
    for _ in range(int(_PATIENCE / _LOOK)):
        if server.settled(spans):
            return
        pause.wait(_LOOK)
    raise CannotBeMeasuredError(f"{server.name} did not save {spans} spans in {_PATIENCE:.0f} s")


def syncs(server: Server, size: int) -> list[float]:
    """Seconds of one write and fdatasync of `size` bytes, a hundred times, on the server's own disk."""
    path, body, taken = server.folder / "syncs", b"\xa5" * size, []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(_SYNCS):
            os.write(descriptor, body)
            begun = time.perf_counter()
            os.fdatasync(descriptor)
            taken.append(time.perf_counter() - begun)
    finally:
        os.close(descriptor)
        path.unlink()
    return taken


def plan(server: Server, case: Case) -> Plan:
    """What the clients are told for a case at this server."""
    requests = max(1, int(case.requests * server.weight))
    return Plan(
        endpoint=server.endpoints[case.door],
        door=case.door,
        clients=case.clients,
        spans=case.spans,
        size=case.size,
        requests=requests,
        # A tenth, and never so little that connections, caches and code are still cold.
        warm=min(requests, max(requests // 10, 64 // case.clients, 2)),
        gzip=case.gzip,
        mix=case.mix,
        traces=case.traces,
        sessions=case.sessions,
        per_session=case.per_session,
        rate=case.requests * case.clients / case.hold if case.hold else 0.0,
        unique=server.unique,
        headers=server.headers,
    )


def measure(server: Server, case: Case) -> Run:
    """Put a case to a server that was not started yet; it is gone afterwards.

    Raises:
        CannotBeMeasuredError: it does not start, does not take the requests, or does not finish them.
    """
    server.open(case)
    try:
        told, peak_rate, before = plan(server, case), None, 0
        if case.share:
            with on_core(CLIENT_CORE):
                first = _once(server, case, told, 0)
            peak_rate, before = first.acknowledged, first.spans + told.warm * case.clients * case.spans
            told.first = (told.requests + told.warm) * case.clients
            told.rate = peak_rate / case.spans * case.share
        with on_core(CLIENT_CORE):
            run = _once(server, case, told, before)
        run.peak_rate = peak_rate
        return run
    finally:
        server.close()


def _once(server: Server, case: Case, told: Plan, before: int) -> Run:
    """Warm up, wait until that is processed, send, wait until that is."""
    synced = syncs(server, min(1 << 20, case.size * case.spans)) if server.folder.name else [0.0, 0.0]
    sender = Sender(told)
    try:
        warm = before + told.warm * told.clients * case.spans
        if _wait(server, warm):
            _settle(server, warm)
        watched = server.pid > 0
        start = usage(server.pid) if watched else Usage(0.0, 0, 0, 0)
        helped = sum(usage(pid).cpu for pid in server.helpers)
        busy, own, begun = load(), own_cpu(), time.perf_counter()
        answer = sender.go()
        counted = _wait(server, warm + answer["spans"])
        took = time.perf_counter() - begun
        if counted:
            _settle(server, warm + answer["spans"])
        wall = time.perf_counter() - begun
        end = usage(server.pid) if watched else start
        after, mine = load(), own_cpu() - own + sum(usage(pid).cpu for pid in server.helpers) - helped
    finally:
        sender.close()
    seconds, sent, size = answer["seconds"], answer["spans"], answer["bytes"]
    cpu = end.cpu - start.cpu
    machine = (after.busy - busy.busy) + (after.idle - busy.idle)
    others = max(0.0, after.busy - busy.busy - cpu - mine - answer["client_cpu"]) / max(machine, 1e-9)
    flat = sorted(value * 1000 for client in answer["latencies"] for value in client)
    return Run(
        server=server.name,
        case=case.name,
        acknowledged=sent / seconds,
        processed=sent / max(took, seconds) if counted else None,
        cpu_100k=cpu / sent * 100_000 if watched else None,
        cpu_gb=cpu / size * 1e9 if watched else None,
        peak=end.peak if watched else None,
        grown=end.resident - start.resident if watched else None,
        written=(end.written - start.written) / size if watched else None,
        p50=cut(flat, 0.50),
        p90=cut(flat, 0.90),
        p99=cut(flat, 0.99),
        worst=flat[-1],
        fsync_p99=cut(sorted(synced), 0.99) * 1000,
        seconds=wall,
        spans=sent,
        bytes=size,
        refused=sum(answer["refused"].values()),
        client_busy=answer["client_cpu"] / seconds,
        others=others,
        warm_requests=told.warm * told.clients,
        latencies=answer["latencies"],
    )
