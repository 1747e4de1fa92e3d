"""Very many sessions at one time: memory and descriptors stay within what is stated, and every byte is right.

The bounds are those of README and `docs/durability.md`: 320 MiB and 400 descriptors, whatever the number of
sessions.
"""

import contextlib
import json
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from tests.builders import request, span
from tests.support import METHOD, ServerProcess, objects, run, server

MEMORY_MIB = 320
DESCRIPTORS = 400
BATCH = 512
CONFIG = "processors: {sessions: {idle_timeout: 10m}}\nextensions: {journal: {max_backlog_mib: 256}}\n"


def requests(sessions: int, rounds: int) -> Iterator[bytes]:
    """Spans of all sessions in turn, so that all are open from the first round to the last."""
    rng = random.Random(sessions)
    batch = []
    for each in range(rounds):
        order = list(range(sessions))
        rng.shuffle(order)
        for session in order:
            number = 1 + session * rounds + each
            batch.append(span(session + 1, number, 1 if each else 0, session__id=f"session-{session}"))
            if len(batch) == BATCH:
                yield request(*batch)
                batch = []
    if batch:
        yield request(*batch)


class Watch:
    """Looks at a process's memory and descriptors until it is told to stop."""

    def __init__(self, process: ServerProcess) -> None:
        assert process.process is not None
        self._proc = Path(f"/proc/{process.process.pid}")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.descriptors = self.memory = 0

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            with contextlib.suppress(OSError, StopIteration):  # it has just ended
                self.descriptors = max(self.descriptors, len(list((self._proc / "fd").iterdir())))
                status = (self._proc / "status").read_text()
                peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
                self.memory = int(peak.split()[1]) // 1024


def send(endpoint: str, bodies: Iterator[bytes]) -> None:
    """Send everything, waiting where the server asks for it."""
    channel = grpc.insecure_channel(endpoint)
    call = channel.unary_unary(METHOD)
    lock = threading.Lock()

    def sender() -> None:
        while True:
            with lock:
                body = next(bodies, None)
            if body is None:
                return
            while True:
                try:
                    call(body, timeout=60, wait_for_ready=True)
                    break
                except grpc.RpcError as error:
                    if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}:
                        raise
                    threading.Event().wait(0.5)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(sender) for _ in range(4)]:
            done.result()
    channel.close()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("sessions", "rounds"),
    [
        (400, 10),
        pytest.param(2_000, 20, marks=pytest.mark.long, id="slice"),
        pytest.param(10_000, 100, marks=pytest.mark.long),
    ],
)
def test_memory_and_descriptors_are_bounded(
    tmp_path: Path, sessions: int, rounds: int, record_property: Callable[[str, object], None]
) -> None:
    """All sessions are open from the first round to the last; then every byte and the ledger are verified."""
    with server(tmp_path / "data", CONFIG) as process, Watch(process) as watch:
        send(process.endpoint, requests(sessions, rounds))
        process.stop(patience=900)  # it processes all that was acknowledged
    record_property("peak_mib", watch.memory)
    record_property("descriptors", watch.descriptors)
    print(json.dumps({"peak_mib": watch.memory, "descriptors": watch.descriptors}))
    (report,) = objects(run("verify", tmp_path / "data", "--json"))
    assert (report["ok"], report["stored"], report["lost"]) == (True, sessions * rounds, {})
    rows = objects(run("sessions", tmp_path / "data", "--json"))
    assert len(rows) == sessions
    assert {row["spans"] for row in rows} == {rounds}
    assert 0 < watch.memory <= MEMORY_MIB
    assert 0 < watch.descriptors <= DESCRIPTORS
