"""What a sidecar does with three times as much as it can take, for a minute.

    python -m tests.bench.overload [--seconds N] [--share S]

The server is held to a share of one core (stopped and continued by turns, so that it works anywhere). First
as many spans as it acknowledges to senders that wait are counted: its capacity. Then senders offer three
times that, on a fixed schedule whatever the answers are; a refused request is counted and not repeated.
Printed: goodput against capacity, refusals with a delay in them, peak memory, and spans acknowledged that
are not in its files afterwards.
"""

import argparse
import itertools
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import grpc

from otel_ext.sessions import Catalog
from tests.bench.load import Requests
from tests.support import METHOD, ServerProcess, server

SPANS, SIZE = 256, 590
CALM, STORM = 24, 96
"""Connections, of which each has one request under way: enough to fill the server, and four times that."""


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


def offer(endpoint: str, seconds: float, connections: int, rate: float = 0.0) -> Counter[str]:
    """Send for so many seconds; `rate` requests a second in all, 0 for as fast as they are answered."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()
    ticket = itertools.count()
    begun = time.perf_counter()

    def client(number: int) -> None:
        requests = Requests(SPANS, SIZE, (connections + number) * 100_000)
        with grpc.insecure_channel(endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(METHOD)
            while True:
                due = begun + (next(ticket) / rate if rate else 0.0)
                if max(due, time.perf_counter()) - begun > seconds:
                    return
                if (ahead := due - time.perf_counter()) > 0:
                    time.sleep(ahead)
                try:
                    call(requests.next(), timeout=30, wait_for_ready=True)
                    result = "acknowledged"
                except grpc.RpcError as error:
                    told = dict(error.trailing_metadata() or ())
                    hint = "with" if "google.rpc.retryinfo-bin" in told else "without"
                    result = f"{error.code().name} {hint} a delay"
                with lock:
                    counts[result] += 1
                    if due and time.perf_counter() - due > 1.0:
                        counts["late"] += 1

    threads = [threading.Thread(target=client, args=(n,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


def memory(process: ServerProcess, what: str) -> int:
    """MiB of VmRSS (now) or VmHWM (peak)."""
    assert process.process is not None
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(what)).split()[1]) // 1024


def ledger(data: Path) -> dict[str, int]:
    """The last checkpoint's."""
    catalog = Catalog(data / "engines/main/catalog.sqlite", read_only=True)
    try:
        found: dict[str, int] = catalog.meta().get("ledger", {})
        return found
    finally:
        catalog.close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--config", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server(Path(folder) / "data", options.config) as process:
        assert process.process is not None
        idle = memory(process, "VmRSS")
        with Throttle(process.process.pid, options.share):
            calm = offer(process.endpoint, options.seconds / 4, CALM)
            capacity = calm["acknowledged"] / (options.seconds / 4)
            before = memory(process, "VmHWM")
            storm = offer(process.endpoint, options.seconds, STORM, 3 * capacity)
            peak = memory(process, "VmHWM")
        acknowledged = (calm["acknowledged"] + storm["acknowledged"]) * SPANS
        process.stop(patience=1800)  # it processes everything that it acknowledged
        counts = ledger(process.data)
    offered = sum(n for name, n in storm.items() if name != "late") / options.seconds
    good = storm["acknowledged"] / options.seconds
    print(f"held to {options.share:.2f} of a core; {CALM} and {STORM} connections, requests of {SPANS} spans")
    print(
        f"capacity {capacity * SPANS:,.0f} spans/s, offered {offered * SPANS:,.0f} ({offered / capacity:.1f})"
    )
    print(f"goodput {good * SPANS:,.0f} spans/s, {good / capacity:.2f} of capacity")
    print(f"answers {dict(storm)}")
    print(f"memory MiB: idle {idle}, at capacity {before}, at overload {peak}")
    print(f"acknowledged {acknowledged:,}, received {counts['received']:,}, lost {counts.get('lost')}")


if __name__ == "__main__":
    main()
