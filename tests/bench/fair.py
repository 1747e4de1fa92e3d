"""How much one service at full rate delays the acknowledgements of another.

    python -m tests.bench.fair [--seconds N] [--connections N] [--spans N]

The polite one sends 16 spans every 20 ms. It is measured alone and beside the greedy one, by turns in the
same run, each time with a server that has nothing left to do; the greedy one sends requests of `--spans`
as fast as they are answered, over `--connections`, and does not wait when it is asked to. The server has one
core to itself, the clients share the other, on which the greedy one gives way.
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

import grpc

from otel_ext.bench.machine import CLIENT_CORE, SERVER_CORE, on_core
from otel_ext.bench.payload import Requests, template
from tests.support import METHOD, server

TURNS = 3


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


def main() -> None:
    """Print the latencies alone, beside the greedy one, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--spans", type=int, default=512)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    alone: list[float] = []
    beside: list[float] = []
    taken = refused = 0
    for _ in range(TURNS):
        # A new server each time: one that works on what the greedy one left is not one left alone.
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            with on_core(SERVER_CORE):
                process = stack.enter_context(server(Path(folder) / "data"))
            stack.enter_context(on_core(CLIENT_CORE))
            polite(process.endpoint, 1.0)
            alone += polite(process.endpoint, options.seconds)
            stop, counts = context.Event(), context.Queue()
            hog = context.Process(
                target=greedy, args=(process.endpoint, options.connections, options.spans, stop, counts)
            )
            hog.start()
            time.sleep(1.5)
            beside += polite(process.endpoint, options.seconds)
            stop.set()
            more = counts.get()
            taken, refused = taken + more[0], refused + more[1]
            hog.join()
    for name, values in (("alone", alone), ("beside", beside)):
        cuts = statistics.quantiles(values, n=100)
        shown = ", ".join(f"p{cut} {cuts[cut - 1] * 1e3:.2f} ms" for cut in (50, 90, 99))
        print(f"{name:>7}: {shown}")
    one, other = statistics.quantiles(alone, n=10), statistics.quantiles(beside, n=10)
    print(
        f"  ratio: p50 {other[4] / one[4]:.2f}, p90 {other[8] / one[8]:.2f}; "
        f"the greedy one: {taken} requests taken, {refused} refused"
    )


if __name__ == "__main__":
    main()
