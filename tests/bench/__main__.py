"""Prints the table of the README: acknowledged and processed spans a second, CPU, memory.

    python -m tests.bench [--spans N]

Server and client share the machine. `bare` is a grpcio server that appends each request to a file and
fdatasyncs it before it answers: the limit of what Python could acknowledge. Ratios to it, measured in
the same run, are what to compare between machines.
"""

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from otel_ext.sessions import Catalog
from tests.bench.bare import serve_bare
from tests.bench.load import BATCH, CLIENTS, send, send_elsewhere
from tests.support import serve


class Result(NamedTuple):
    """One run's figures."""

    acknowledged: float
    processed: float
    cpu: float
    memory: int
    p50: float
    p99: float


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024


def _percentiles(latencies: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(latencies, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def _received(folder: Path) -> int:
    try:
        catalog = Catalog(folder / "engines" / "main" / "catalog.sqlite", read_only=True)
    except Exception:  # noqa: BLE001 - it is not there yet
        return 0
    try:
        return int(catalog.meta().get("ledger", {}).get("received", 0))
    finally:
        catalog.close()


def ours(size: int, total: int, mix: str) -> Result:
    """`otel-ext serve` with its defaults."""
    with tempfile.TemporaryDirectory(prefix="otel-ext-bench-") as name:
        folder = Path(name)
        call = serve(folder)
        server = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert server.stdout is not None
        endpoint = server.stdout.readline().split()[1].removeprefix("grpc=")
        send(endpoint, CLIENTS, BATCH[size], size, BATCH[size] * CLIENTS, mix)  # warm-up, discarded
        base = BATCH[size] * CLIENTS
        while _received(folder) < base:
            threading.Event().wait(0.05)
        cpu, started = _cpu(server.pid), time.perf_counter()
        elapsed, latencies = send_elsewhere(endpoint, size, total, mix)
        sent = len(latencies) * BATCH[size]
        while _received(folder) < base + sent:
            threading.Event().wait(0.05)
        processed = time.perf_counter() - started
        used, peak = _cpu(server.pid) - cpu, _peak(server.pid)
        server.send_signal(signal.SIGTERM)
        server.wait()
        return Result(sent / elapsed, sent / processed, used / sent * 100_000, peak, *_percentiles(latencies))


def bare(size: int, total: int, mix: str) -> Result:
    """A grpcio server that appends and fdatasyncs."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="otel-ext-bench-") as folder:
        server = context.Process(target=serve_bare, args=(sending, folder))
        server.start()
        sending.close()
        endpoint, pid = receiving.recv(), server.pid or 0
        send(endpoint, CLIENTS, BATCH[size], size, BATCH[size] * CLIENTS)
        cpu = _cpu(pid)
        elapsed, latencies = send_elsewhere(endpoint, size, total, mix)
        sent = len(latencies) * BATCH[size]
        used, peak = _cpu(pid) - cpu, _peak(pid)
        server.kill()
        server.join()
        return Result(sent / elapsed, 0.0, used / sent * 100_000, peak, *_percentiles(latencies))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--spans", type=int, default=400_000, help="spans of 590 B; a tenth of it at 20 kB")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, the median is printed")
    parser.add_argument("--json", action="store_true", help="every run as JSON lines")
    options = parser.parse_args()
    print(
        "    span      mix    server   acked spans/s   processed spans/s   CPU s/100k   peak MiB"
        "   p50 ms   p99 ms   acked/bare"
    )
    plans = (
        (590, "agent", options.spans),
        (590, "service", options.spans),
        (20_000, "agent", options.spans // 10),
    )
    for size, mix, total in plans:
        runs = {"bare": list[Result](), "otel-ext": list[Result]()}
        for _ in range(options.runs):
            runs["bare"].append(bare(size, total, mix))
            runs["otel-ext"].append(ours(size, total, mix))
        limit = statistics.median(r.acknowledged for r in runs["bare"])
        for name, results in runs.items():
            if options.json:
                for result in results:
                    print(json.dumps({"size": size, "mix": mix, "server": name, **result._asdict()}))
            m = Result(*(statistics.median(column) for column in zip(*results, strict=True)))
            print(
                f"{size:>6} B {mix:>8} {name:>9} {m.acknowledged:>13,.0f} {m.processed:>19,.0f}"
                f" {m.cpu:>11.2f} {m.memory:>10,.0f} {m.p50:>8.1f} {m.p99:>8.1f}"
                f" {m.acknowledged / limit:>12.2f}"
            )


if __name__ == "__main__":
    main()
