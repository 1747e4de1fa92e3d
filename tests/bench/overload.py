"""What a sidecar does with three times as much as it can take, for a minute.

    python -m tests.bench.overload [--seconds N] [--share S] [--times N] [--runs N] [--write]

The server is held to a share of one core (stopped and continued by turns, so that it works anywhere). First
as many spans as it acknowledges to senders that wait are counted: its capacity. Then a process of its own
offers three times that in an open loop: each request is sent when its time has come, whatever became of those
before it, over many connections, and is not repeated when it is refused. Printed: goodput against capacity,
refusals by whether the delay is in both places where clients look for it, how late the schedule itself was,
peak memory, and, once everything is processed, spans acknowledged that are not stored. Data is in memory.
"""

import argparse
import asyncio
import itertools
import multiprocessing
import os
import signal
import statistics
import tempfile
import threading
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otel_ext.bench.payload import Requests
from tests.bench.tables import write
from tests.support import METHOD, RAM, ServerProcess, objects, run, server

SPANS: Final = 256
SIZE: Final = 590
CALM: Final = 24
"""Connections of senders that wait, each with one request under way: enough to fill the server."""
STORM: Final = 128
"""Connections of those that do not wait, with as many requests under way as come together."""
DEADLINE: Final = 30.0


class Throttle:
    """Lets a process run for a share of the time, in slices of 20 ms."""

    def __init__(self, pid: int, share: float) -> None:
        self._pid, self._share = pid, share
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        os.kill(self._pid, signal.SIGCONT)

    def _run(self) -> None:
        while not self._stop.is_set():
            os.kill(self._pid, signal.SIGCONT)
            self._stop.wait(0.02 * self._share)
            os.kill(self._pid, signal.SIGSTOP)
            self._stop.wait(0.02 * (1 - self._share))


def calm(endpoint: str, seconds: float) -> int:
    """Requests acknowledged to senders that wait for each answer."""
    done = [0] * CALM
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        requests = Requests(SPANS, SIZE, number * 100_000)
        with grpc.insecure_channel(endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(METHOD)
            while time.perf_counter() < end:
                call(requests.next(), timeout=DEADLINE, wait_for_ready=True)
                done[number] += 1

    threads = [threading.Thread(target=client, args=(n,)) for n in range(CALM)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done)


def storm(results: Connection, endpoint: str, seconds: float, rate: float) -> None:
    """In a process of its own: `rate` requests a second for so many seconds; sends `(counts, latencies)`."""
    results.send(asyncio.run(_storm(endpoint, seconds, rate)))


async def _storm(endpoint: str, seconds: float, rate: float) -> tuple[Counter[str], list[float]]:
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(endpoint, options=options) for _ in range(STORM)]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    calls = itertools.cycle([channel.unary_unary(METHOD) for channel in channels])
    requests = Requests(SPANS, SIZE, 50_000_000)
    counts, latencies = Counter[str](), list[float]()
    under_way = set[asyncio.Task[None]]()

    async def one(body: bytes) -> None:
        began = time.perf_counter()
        try:
            await next(calls)(body, timeout=DEADLINE)
        except grpc.aio.AioRpcError as error:
            counts[_refusal(error)] += 1
        else:
            counts["acknowledged"] += 1
            latencies.append(time.perf_counter() - began)

    begun = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = begun + number / rate
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        counts["late by over 0.1 s"] += time.perf_counter() - due > 0.1
        task = asyncio.create_task(one(requests.next()))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        counts["most under way"] = max(counts["most under way"], len(under_way))
        await asyncio.sleep(0)
    counts["seconds"] = round(time.perf_counter() - begun)
    await asyncio.gather(*under_way)
    await asyncio.gather(*(channel.close() for channel in channels))
    return counts, latencies


def _refusal(error: grpc.aio.AioRpcError) -> str:
    """A refused call in words."""
    trailers = {str(key): value for key, value in error.trailing_metadata()}
    told = Status.FromString(bytes(trailers.get("grpc-status-details-bin", b"")))
    both = "google.rpc.retryinfo-bin" in trailers and any(d.Is(RetryInfo.DESCRIPTOR) for d in told.details)
    return f"{error.code().name} {'with' if both else 'without'} a delay"


def memory(process: ServerProcess, what: str) -> int:
    """MiB of VmRSS (now) or VmHWM (peak)."""
    assert process.process is not None
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(what)).split()[1]) // 1024


def rounded(value: float) -> str:
    """Three digits of it."""
    return f"{float(f'{value:.3g}'):,.12g}"


def measure(seconds: float, share: float, times: float) -> dict[str, float]:
    """One server's life: at capacity, in the storm, and until all that it acknowledged is processed."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=RAM) as folder, server(Path(folder) / "data") as process:
        assert process.process is not None
        with Throttle(process.process.pid, share):
            before = max(5.0, seconds / 4)
            first = calm(process.endpoint, before)
            capacity = first / before
            found = {
                "capacity, with senders that wait, spans/s": capacity * SPANS,
                "memory at capacity, MiB": memory(process, "VmHWM"),
            }
            receiving, sending = context.Pipe(duplex=False)
            given = (sending, process.endpoint, seconds, times * capacity)
            client = context.Process(target=storm, args=given)
            client.start()
            counts, latencies = receiving.recv()
            client.join()
            peak = memory(process, "VmHWM")
        late, most = counts.pop("late by over 0.1 s"), counts.pop("most under way")
        took = counts.pop("seconds")
        cuts = statistics.quantiles(latencies, n=100)
        found |= {
            "offered / capacity": sum(counts.values()) / took / capacity,
            "goodput / capacity": counts["acknowledged"] / took / capacity,
            "requests acknowledged": counts.pop("acknowledged"),
            "acknowledged after, median, s": cuts[49],
            "acknowledged after, 99th percentile, s": cuts[98],
            **{f"requests refused: {words}": count for words, count in sorted(counts.items())},
            "memory at overload, MiB": peak,
            "requests sent over 0.1 s late": late,
            "most requests under way": most,
        }
        print(found, flush=True)  # what follows may take long
        process.stop(patience=1800)  # it processes everything that it acknowledged
        (report,) = objects(run("verify", process.data, "--json"))
    acknowledged = (first + found["requests acknowledged"]) * SPANS
    missing = max(0.0, acknowledged - report["received"])
    unaccounted = report["received"] - report["stored"] - report["duplicate"]
    return {**found, "spans acknowledged": acknowledged, "of these lost": missing + unaccounted}


def main() -> None:
    """Print the table: medians of the runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--times", type=float, default=3.0)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write the table into docs/operations.md")
    options = parser.parse_args()
    runs = []
    for _ in range(options.runs):
        runs.append(measure(options.seconds, options.share, options.times))
        print(runs[-1], flush=True)
    lines = ["| | median | runs |", "|---|---|---|"]
    for name in dict.fromkeys(name for found in runs for name in found):
        values = [found.get(name, 0) for found in runs]
        shown = ", ".join(map(rounded, values))
        lines.append(f"| {name} | {rounded(statistics.median(values))} | {shown} |")
    print("\n".join(lines))
    if options.write:
        write("overload", lines)


if __name__ == "__main__":
    main()
