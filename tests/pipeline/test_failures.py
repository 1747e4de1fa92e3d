"""The disk and the program fail under the engine; it pauses, goes on without restart, and nothing is lost."""

import errno
import json
from collections import Counter
from pathlib import Path

import pytest

from otel_ext.cli.folder import engines, lines_of
from otel_ext.cli.verify import check_engine
from otel_ext.errors import Busy, DataFolderError
from otel_ext.files import RealFiles
from otel_ext.pipeline import Engine, EngineSettings
from otel_ext.pipeline.records import REQUEST, pack_request
from otel_ext.stats import Stats
from otel_ext.testing import FailingFiles
from tests.builders import looping_run, request, span
from tests.support import objects, run, until

SETTINGS = EngineSettings(idle_timeout=30.0, hold=0.05, min_free=0, checkpoint_interval=0.05, file_bytes=3000)
BODIES = [request(*looping_run(number, f"s{number % 2}", rounds=4)) for number in range(1, 9)]


def send(engine: Engine, body: bytes) -> None:
    """Send until it is accepted, as a client does that is told to come back."""

    def accepted() -> bool:
        try:
            engine.intake.accept(body)
        except Busy:
            return False
        return True

    until(accepted, "the engine to accept again")


def stored(data: Path) -> Counter[str]:
    """How often each received span stands in the files."""
    return Counter(
        s["traceId"] + s["spanId"]
        for engine in engines(data)
        for line in map(json.loads, lines_of(engine, None))
        for r in line["resourceSpans"]
        for c in r["scopeSpans"]
        if c["scope"]["name"] != "otel_ext"
        for s in c["spans"]
    )


def started(data: Path, disk: FailingFiles) -> Engine | None:
    """An engine on a failing disk, or None when the failure met it while it started."""
    try:
        return Engine(data, SETTINGS, files=disk)
    except (DataFolderError, Busy):
        return None


@pytest.mark.parametrize(
    ("operation", "number", "short"),
    [
        ("append", errno.EIO, False),
        ("append", errno.ENOSPC, True),
        ("sync", errno.EIO, False),
        ("create", errno.ENOSPC, False),
        ("sync_directory", errno.EIO, False),
    ],
)
def test_any_single_failure_is_survived(tmp_path: Path, operation: str, number: int, *, short: bool) -> None:
    """The n-th write, sync or creation fails: every accepted span is stored once, without a restart."""
    fired = 0
    for nth in (1, 2, 4, 9):
        data = tmp_path / str(nth)
        disk = FailingFiles(RealFiles(), fail_at=nth, number=number, on={operation}, short=short)
        engine = started(data, disk) or Engine(data, SETTINGS)
        engine.start()
        for body in BODIES:
            send(engine, body)
        until(lambda e=engine: e.ledger["stored"] >= 40, "everything to be stored")  # type: ignore[misc]
        if not engine.close():  # the failure met the last checkpoint: the next start reads on
            again = Engine(data, SETTINGS)
            again.start()
            assert again.close()
        fired += disk.fired
        (engine_folder,) = engines(data)
        report = check_engine(engine_folder)
        assert report["ok"], report
        counts = stored(data)
        assert len(counts) == 40
        assert set(counts.values()) == {1}
    assert fired


def test_a_lasting_failure_of_the_outputs_pauses_the_pipeline_never_intake(tmp_path: Path) -> None:
    """While session files cannot be created, requests are accepted; when they can, all is stored."""
    disk = FailingFiles(RealFiles(), fail_at=None, number=errno.ENOSPC, lasting=True)
    stats = Stats()
    engine = Engine(tmp_path, SETTINGS, files=disk, stats=stats)
    engine.start()
    engine.intake.accept(BODIES[0])
    until(lambda: engine.ledger["stored"] == 5, "the first request to be stored")
    disk.on, disk.fail_at = {"open", "create"}, 1
    engine.intake.accept(BODIES[1])
    until(lambda: stats.get("otel_ext.pipeline.pauses") >= 1, "a pause")
    for body in BODIES[2:]:
        engine.intake.accept(body)
    disk.heal()
    until(lambda: engine.ledger["stored"] == 40, "everything to be stored")
    engine.close()
    assert disk.fired
    assert set(stored(tmp_path).values()) == {1}


def test_a_record_that_cannot_be_processed_is_set_aside(tmp_path: Path) -> None:
    """A record that makes the processor fail costs its own spans, counted; its bytes are kept."""
    stats = Stats()
    engine = Engine(tmp_path, SETTINGS, stats=stats)
    engine.intake.accept(BODIES[0])
    engine.journal.append(REQUEST, pack_request(b"\xff not a request", {}), items=7)
    engine.intake.accept(BODIES[1])
    engine.start()
    until(lambda: engine.ledger["received"] == 17, "all three records")
    engine.close()
    (report,) = objects(run("verify", tmp_path, "--json"))
    assert (report["ok"], report["stored"], report["lost"]) == (True, 10, {"unprocessable": 7})
    assert stats.get("otel_ext.pipeline.failed_records") == 1
    (kept,) = (tmp_path / "engines/main/quarantine").iterdir()
    assert b"not a request" in kept.read_bytes()


def test_a_record_set_aside_stays_set_aside_after_a_kill(tmp_path: Path) -> None:
    """A bad record behind the last checkpoint does not keep the engine from starting or going on."""
    first = Engine(tmp_path, SETTINGS)
    first.journal.append(REQUEST, pack_request(b"\xff", {}), items=1)
    first.abandon()
    second = Engine(tmp_path, SETTINGS)
    second.start()
    second.intake.accept(request(span(session__id="s")))
    until(lambda: second.ledger["stored"] == 1, "the good record")
    second.close()
    assert second.ledger["lost"] == {"unprocessable": 1}
