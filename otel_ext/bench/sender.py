"""The clients: `python -m otel_ext.bench.sender`, a process of its own with one thread a connection.

It reads its plan as one JSON line from stdin, connects, warms up, says `warm`, waits for a line, sends, and
says what happened as one JSON line. Law of this file: bounded fan-out, each connection has one request under
way. A refused request is counted and sent again, and its latency runs from its first try, so that refusing
does not look fast. Bytes are counted as they are before compression.
"""

import gc
import itertools
import json
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import grpc
import msgspec

from otel_ext.bench.http import Connection
from otel_ext.bench.payload import TRACES, Requests
from otel_ext.exporters.grpc import METHOD

Export: TypeAlias = Callable[[bytes], str]
"""Sends one body; "" when it was acknowledged, else why not."""

_PAUSE = 0.01
"""Seconds before a refused request is sent again."""
PATIENCE = 120.0
"""Seconds after which a single request is given up, which ends the run."""


class Plan(msgspec.Struct, kw_only=True):
    """What to send: `requests` a connection, at `rate` a second over all of them (0: as fast as answered)."""

    endpoint: str
    door: str
    clients: int
    spans: int
    size: int
    requests: int
    warm: int
    first: int = 0
    rate: float = 0.0
    gzip: bool = False
    mix: str = "agent"
    traces: int = TRACES
    sessions: int = 0
    per_session: int = 0
    unique: bool = False
    headers: dict[str, str] = {}

    def session(self, spans: int) -> Callable[[int], int] | None:
        """From trace to session, `spans` a trace: so many in all, or a new one after so many spans."""
        if self.sessions:
            return lambda trace: trace % self.sessions
        if self.per_session:
            traces = max(1, self.per_session // spans)
            return lambda trace: trace // traces
        return None


def _bodies(plan: Plan, number: int) -> tuple[Iterator[tuple[bytes, int]], int]:
    """A connection's requests with their sizes, and the spans of each; compressed ones are made at once."""
    each = plan.spans // min(plan.traces, plan.spans)
    # Numbers are dense, so that sessions that are shared by traces are met by all connections.
    total = plan.requests + plan.warm
    first = plan.first + number * total
    requests = Requests(
        plan.spans,
        plan.size,
        first,
        mix=plan.mix,
        traces=plan.traces,
        session=plan.session(each),
        unique=plan.unique,
    )
    encoded = ((body, len(body)) for body in iter(requests.next, None))
    if plan.gzip and plan.door == "http":
        some = itertools.islice(encoded, total)
        return iter([(zlib.compress(body, 1, 31), size) for body, size in some]), requests.spans
    return encoded, requests.spans


def _grpc(plan: Plan) -> Export:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    compression = grpc.Compression.Gzip if plan.gzip else grpc.Compression.NoCompression
    channel = grpc.insecure_channel(plan.endpoint, options=options, compression=compression)
    call: Callable[..., bytes] = channel.unary_unary(METHOD)
    metadata = tuple((key.lower(), value) for key, value in plan.headers.items())
    try:
        grpc.channel_ready_future(channel).result(timeout=30)
    except grpc.FutureTimeoutError as error:
        raise ConnectionError(f"nothing answers at {plan.endpoint}") from error

    def export(body: bytes) -> str:
        try:
            call(body, timeout=PATIENCE, wait_for_ready=True, metadata=metadata)
        except grpc.RpcError as error:
            return str(error.code().name)
        return ""

    return export


class _Client:
    def __init__(self, plan: Plan, number: int) -> None:
        self.plan, self.number = plan, number
        self.latencies, self.refused = list[float](), Counter[str]()
        self.bytes = self.spans = 0
        self.failure = ""

    def one(self, export: Export, body: bytes, size: int) -> None:
        begun = time.perf_counter()
        while why := export(body):
            self.refused[why] += 1
            if time.perf_counter() - begun > PATIENCE:
                raise TimeoutError(f"refused for {PATIENCE:.0f} s: {why}")
            time.sleep(_PAUSE)
        self.latencies.append(time.perf_counter() - begun)
        self.bytes += size

    def run(self, barrier: threading.Barrier) -> None:
        try:
            plan = self.plan
            bodies, self.spans = _bodies(plan, self.number)
            export = _grpc(plan) if plan.door == "grpc" else Connection(plan).post
            for _ in range(plan.warm):
                self.one(export, *next(bodies))
            self.latencies.clear()
            self.refused.clear()
            self.bytes = 0
            barrier.wait()  # warm
            barrier.wait()  # go
            begun = time.perf_counter()
            for turn in range(plan.requests):
                if plan.rate:
                    due = begun + (turn * plan.clients + self.number) / plan.rate
                    time.sleep(max(0.0, due - time.perf_counter()))
                self.one(export, *next(bodies))
        except Exception as error:  # noqa: BLE001 - told to who asked
            self.failure = f"{type(error).__name__}: {error}"
            barrier.abort()


def main() -> None:
    """One plan."""
    plan = msgspec.json.decode(sys.stdin.readline(), type=Plan)
    clients = [_Client(plan, number) for number in range(plan.clients)]
    barrier = threading.Barrier(plan.clients + 1)
    threads = [threading.Thread(target=client.run, args=(barrier,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        barrier.wait()
        _say("warm")
        sys.stdin.readline()
        gc.collect()
        gc.freeze()
        cpu, begun = time.process_time(), time.perf_counter()
        barrier.wait()
    except threading.BrokenBarrierError:
        _say(json.dumps({"failure": next(c.failure for c in clients if c.failure)}))
        return
    for thread in threads:
        thread.join()
    answer: dict[str, Any] = {
        "seconds": time.perf_counter() - begun,
        "client_cpu": time.process_time() - cpu,
        "spans": sum(len(client.latencies) * client.spans for client in clients),
        "bytes": sum(client.bytes for client in clients),
        "latencies": [[round(value, 7) for value in client.latencies] for client in clients],
        "refused": dict(sum((client.refused for client in clients), Counter[str]())),
        "failure": next((client.failure for client in clients if client.failure), ""),
    }
    _say(json.dumps(answer))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
