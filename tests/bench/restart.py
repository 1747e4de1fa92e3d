"""How long a killed server takes until it is ready again, by the length of the journal that it left.

Law of this file: the journal is made by real requests that were acknowledged, and the server is killed right
after the last one, so that next to nothing of it was processed. The client that waits for the first
acknowledgement is there before the server starts: its own start is not counted.
"""

import signal
import time
from collections.abc import Callable

import grpc

from otel_ext.bench.cases import BATCH, Case
from otel_ext.bench.figures import Middle, middle
from otel_ext.bench.machine import CLIENT_CORE, on_core
from otel_ext.bench.measure import Sender, plan
from otel_ext.bench.payload import Requests
from otel_ext.bench.sender import PATIENCE
from otel_ext.bench.servers import Ours
from otel_ext.bench.session import Figures
from otel_ext.exporters.grpc import METHOD

SIZES = (16, 64, 256, 1024)
"""MiB of spans sent."""

_UNUSED = 10_000_000
"""Number of a request that no run has sent."""


def once(mib: int) -> tuple[float, float, float]:
    """`(seconds to ready, to the first acknowledgement, MiB of journal found)` of one kill."""
    case = Case(total=max(16 * BATCH[600], mib * (1 << 20) // 600))
    server = Ours()
    server.open(case)
    try:
        sender = Sender(plan(server, case))
        try:
            sender.go()
            server.end(signal.SIGKILL)
        finally:
            sender.close()
        left = sum(path.stat().st_size for path in (server.folder / "data").rglob("*.journal"))
        body = Requests(case.spans, case.size, _UNUSED).next()
        with on_core(CLIENT_CORE):
            begun = time.perf_counter()
            server.serve()
            ready = time.perf_counter() - begun
            with grpc.insecure_channel(server.endpoints["grpc"]) as channel:
                channel.unary_unary(METHOD)(body, timeout=PATIENCE, wait_for_ready=True)
            return ready, time.perf_counter() - begun, left / (1 << 20)
    finally:
        server.end(signal.SIGKILL)
        server.close()


def measured(runs: int, scale: float, say: Callable[[str], None]) -> Figures:
    """Medians by size; sizes of which `scale` leaves less than 1 MiB are left out."""
    cases: dict[str, dict[str, Middle | None]] = {}
    for mib in SIZES:
        if (sent := int(mib * scale)) < 1:
            continue
        found = [once(sent) for _ in range(runs)]
        names = ("start", "first", "journal")
        cases[f"restart, {sent} MiB"] = {
            name: middle(one[place] for one in found) for place, name in enumerate(names)
        }
        say(
            f"      otel_ext  restart with {found[0][2]:.0f} MiB of journal: ready in {found[0][0]:.2f} s, "
            f"acknowledged in {found[0][1]:.2f} s"
        )
    return {"otel_ext": cases}
