"""How much one service at full rate delays the acknowledgements of another.

    python -m tests.bench.fair [--seconds N] [--connections N...] [--spans N] [--write]

The polite one sends 16 spans every 20 ms. It is measured alone and beside the greedy one, by turns in the
same run, each time with a server that has nothing left to do; the greedy one sends requests of `--spans`
as fast as they are answered, over `--connections`, and does not wait when it is asked to. The server has one
core to itself, the clients share the other, on which the greedy one gives way. Figures are medians of rounds.
"""

import argparse
import contextlib
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import NamedTuple

import grpc

from otel_ext.bench.machine import CLIENT_CORE, SERVER_CORE, on_core
from otel_ext.bench.payload import Requests, template
from tests.bench.tables import write
from tests.support import METHOD, server

ROUNDS = 3


def polite(endpoint: str, seconds: float) -> list[float]:
    """Latencies in seconds of a small request every 20 ms."""
    latencies = []
    body = template(16, 300, traces=2).replace(b"\x07\x0a\x05bench", b"\x07\x0a\x05quiet")
    with grpc.insecure_channel(endpoint) as channel:
        call = channel.unary_unary(METHOD)
        call(body, timeout=60, wait_for_ready=True)
        for number in range(int(seconds / 0.02)):
            fresh = body.replace(b"TRACEID-", b"%08d" % (number % 10**8))
            started = time.perf_counter()
            call(fresh, timeout=60)
            latencies.append(time.perf_counter() - started)
            time.sleep(max(0.0, 0.02 - latencies[-1]))
    return latencies


def greedy(
    endpoint: str, connections: int, spans: int, stop: Event, counts: "multiprocessing.Queue[tuple[int, int]]"
) -> None:
    """Requests without a pause until `stop`; tells how many were taken and refused."""
    os.nice(10)
    taken = [0] * connections
    refused = [0] * connections

    def client(number: int) -> None:
        requests = Requests(spans, 590, (number + 1) * 1_000_000)
        with grpc.insecure_channel(endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(METHOD)
            while not stop.is_set():
                try:
                    call(requests.next(), timeout=60, wait_for_ready=True)
                    taken[number] += 1
                except grpc.RpcError:
                    refused[number] += 1

    threads = [threading.Thread(target=client, args=(n,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts.put((sum(taken), sum(refused)))


class Outcome(NamedTuple):
    """Latencies in seconds of the polite one by round, and what became of the greedy one's requests."""

    alone: list[list[float]]
    beside: list[list[float]]
    taken: int
    refused: int

    def at(self, percent: int) -> tuple[float, float, float]:
        """A percentile alone and beside, and their ratio: medians of the rounds, the ratio of each round."""
        pairs = [
            (statistics.quantiles(one, n=100)[percent - 1], statistics.quantiles(other, n=100)[percent - 1])
            for one, other in zip(self.alone, self.beside, strict=True)
        ]
        return (
            statistics.median(one for one, _ in pairs),
            statistics.median(other for _, other in pairs),
            statistics.median(other / one for one, other in pairs),
        )


def measure(connections: int, spans: int, seconds: float) -> Outcome:
    """The polite one alone and beside the greedy one, in each round with a server of its own."""
    context = multiprocessing.get_context("spawn")
    found = Outcome([], [], 0, 0)
    for _ in range(ROUNDS):
        # A new server each time: one that works on what the greedy one left is not one left alone.
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            with on_core(SERVER_CORE):
                process = stack.enter_context(server(Path(folder) / "data"))
            stack.enter_context(on_core(CLIENT_CORE))
            polite(process.endpoint, 1.0)
            found.alone.append(polite(process.endpoint, seconds))
            stop, counts = context.Event(), context.Queue()
            hog = context.Process(target=greedy, args=(process.endpoint, connections, spans, stop, counts))
            hog.start()
            time.sleep(1.5)
            found.beside.append(polite(process.endpoint, seconds))
            stop.set()
            taken, refused = counts.get()
            found = found._replace(taken=found.taken + taken, refused=found.refused + refused)
            hog.join()
    return found


def main() -> None:
    """Print the latencies alone, beside the greedy one, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--spans", type=int, default=512)
    parser.add_argument("--write", action="store_true", help="write the table into docs/operations.md")
    options = parser.parse_args()
    lines = [
        "| greedy connections | percentile | alone | beside | ratio | greedy requests taken, refused |",
        "|---|---|---|---|---|---|",
    ]
    for connections in options.connections:
        found = measure(connections, options.spans, options.seconds)
        for percent in (50, 90):
            one, other, ratio = found.at(percent)
            cells = f"p{percent} | {one * 1e3:.1f} ms | {other * 1e3:.1f} ms | {ratio:.2f}"
            lines.append(f"| {connections} | {cells} | {found.taken:,}, {found.refused:,} |")
    print("\n".join(lines))
    if options.write:
        write("fair", lines)


if __name__ == "__main__":
    main()
