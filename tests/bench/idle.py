"""Prints what a sidecar costs that has little to do: `python -m tests.bench.idle [--seconds N]`.

Two phases of one `otel-ext serve` with its defaults: nothing comes; ten agents send five spans a second each,
one request a second over a gRPC connection of its own. Resident memory in MB (10^6 bytes) at the end of each
phase, and CPU time as a share of one core. The first figures are taken after the first requests, because
a process that never served is smaller than it will ever be again.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import grpc

from otel_ext.bench.machine import usage
from otel_ext.bench.payload import Requests
from otel_ext.exporters.grpc import METHOD
from tests.support import ServerProcess, server

AGENTS, SPANS, SIZE = 10, 8, 590
"""Requests have 8 spans, one a trace of the template; sent every 8/5 s they are five spans a second."""
PERIOD = SPANS / 5
SIDE = "127.0.0.1:0"
CONFIG = (
    f"{{extensions: {{health_check: {{endpoint: '{SIDE}'}}}}, "
    f"service: {{telemetry: {{metrics: {{address: '{SIDE}'}}}}}}}}"
)


def _agent(number: int, process: ServerProcess, end: threading.Event) -> None:
    requests = Requests(SPANS, SIZE, number * 1_000_000)
    with grpc.insecure_channel(process.endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        export = channel.unary_unary(METHOD)
        end.wait(number * PERIOD / AGENTS)  # not all at once
        while True:
            export(requests.next(), timeout=60)
            if end.wait(PERIOD):
                return


def _measure(what: str, process: ServerProcess, seconds: float) -> None:
    assert process.process is not None
    pid = process.process.pid
    before, began = usage(pid).cpu, time.monotonic()
    time.sleep(seconds)
    after = usage(pid)
    share = (after.cpu - before) / (time.monotonic() - began)
    print(f"{what:<28} {after.resident / 1e6:6.1f} MB {share:8.2%} of a core", flush=True)


def main() -> None:
    """Both phases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0, help="of each phase")
    seconds: float = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder, server(Path(folder) / "data", CONFIG) as process:
        end = threading.Event()
        end.set()
        _agent(0, process, end)
        time.sleep(5)
        _measure("idle", process, seconds)
        end.clear()
        agents = [threading.Thread(target=_agent, args=(1 + n, process, end)) for n in range(AGENTS)]
        for agent in agents:
            agent.start()
        _measure("ten agents at 5 spans/s", process, seconds)
        end.set()
        for agent in agents:
            agent.join()
        process.stop()


if __name__ == "__main__":
    main()
