"""The engine against itself: killed anywhere, it writes what an undisturbed one does (laws L2-L4, L7)."""

import itertools
import random
import shutil
import sqlite3
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_ext.cli.folder import engines
from otel_ext.cli.verify import check_engine
from otel_ext.errors import DataFolderError
from otel_ext.files import RealFiles
from otel_ext.pipeline import Engine, EngineSettings
from otel_ext.sessions import Catalog, ManifestReport, Session
from otel_ext.testing import ManualClock
from tests.builders import (
    START,
    Logs,
    Metrics,
    attributes,
    log,
    logs,
    looping_run,
    metrics,
    request,
    series,
    span,
    telemetry_of,
    tool,
)
from tests.support import RAM, until
from tests.sweeps.workload import others_of, spans_of

SECOND = 10**9
SETTINGS = EngineSettings(
    idle_timeout=20.0,
    hold=2.0,
    file_bytes=6000,
    line_bytes=1500,
    min_free=0,
    reserve=0,
    checkpoint_interval=1.0,
)


UNSAVED = msgspec.structs.replace(SETTINGS, checkpoint_interval=1e9)
"""No checkpoint before the end: everything is replayed after a kill."""


def requests(seed: int) -> list[bytes | int]:
    """Requests with loops, re-deliveries, conflicts, unknown sessions, and pauses (ns) that end sessions."""
    rng = random.Random(seed)
    spans = [
        s
        for number in range(1, 5)
        for s in looping_run(number, f"session-{number % 3}", rounds=rng.randint(2, 7))
    ]
    spans += [span(50 + n % 4, 60_000 + n, parent=60_000 if n % 4 else 0) for n in range(12)]
    spans += [span(50, 60_100, session__id="learnt-later")]
    spans += [tool(9, 9000 + n, 0, "read", f'{{"n": {n}}}', "x" * 400, "session-0") for n in range(12)]
    rng.shuffle(spans)
    out, at = [], 0
    while at < len(spans):
        size = rng.randint(1, 9)
        out.append(request(*spans[at : at + size], service=f"service-{rng.randint(1, 2)}"))
        at += size
    again = rng.choice(out)
    changed = span(1, 1001, note="other content")
    changed.name = "changed"
    script: list[bytes | int] = [*out, again, request(changed)]
    for _ in range(
        rng.randint(0, 3)
    ):  # sessions end in the middle: late spans, generations, traces of others
        script.insert(rng.randint(1, len(script)), 30 * SECOND)
    for body in others(seed):
        script.insert(rng.randint(1, len(script)), body)
    late = span(1, 1099, parent=1000, session__id="session-2")
    return [*script, request(late), request(*looping_run(77, "session-1"))]


def others(seed: int) -> list[bytes]:
    """Logs that name a session, have one by their trace or resource, or have none; equal ones; metrics."""
    rng = random.Random(-seed)
    made: list[bytes] = []
    for number in range(8):
        records = [
            log(f"{number}/{n}" + "x" * rng.choice((0, 900)), trace=rng.randint(0, 5), seconds=n)
            for n in range(rng.randint(1, 4))
        ]
        for record in records[: rng.randint(0, 2)]:
            record.attributes.extend(attributes(session__id=f"session-{rng.randint(0, 3)}"))
        resource = {"session__id": "logs-only"} if rng.random() < 0.2 else {}
        made.append(logs(*records, **resource))
    made += [logs(*calls(number, rng)) for number in range(12)]
    made += [made[0], metrics(series("m", 1, 2, 3), series("n", *range(30)))]
    return [*made, metrics(series("m", 4))]


def calls(number: int, rng: random.Random) -> list[LogRecord]:
    """A coding agent's log records: a model's response, and a tool that fails again and again."""
    session, trace = rng.choice([("coder", 0), ("coder", 0), ("session-1", 0), ("session-0", 3)])
    said: dict[str, Any] = {"event__kind": "response.completed", "input_token_count": "100"}
    failed: dict[str, Any] = {
        "tool_name": "shell",
        "success": "false",
        "output": "no such file",
        "arguments": "{}",
    }
    return [
        log(
            name,
            trace=trace,
            seconds=4 * number + n,
            event__name=name,
            conversation__id=session,
            call_id=f"{number}",
            **values,
        )
        for n, (name, values) in enumerate({"codex.sse_event": said, "codex.tool_result": failed}.items())
    ]


class Run:
    """An engine driven by hand over a script of requests and pauses."""

    def __init__(self, folder: Path, engine_settings: EngineSettings = SETTINGS) -> None:
        self.folder, self.settings = folder, engine_settings
        self.clock = ManualClock(START)
        self.engine = self.open()

    def open(self) -> Engine:
        """An engine on the folder."""
        return Engine(self.folder, self.settings, clock=self.clock)

    def accept(self, body: bytes | int) -> None:
        """Send one request and let half a second pass; or let more time pass, in silence."""
        if isinstance(body, int):
            self.clock.advance(body)
            self.engine.tick(self.clock.now())
            return
        self.engine.intake.accept(body, telemetry_of(body))
        self.clock.advance(SECOND // 2)

    def process(self) -> None:
        """Process what is in the journal, without a checkpoint."""
        self.engine.step()

    def kill(self) -> None:
        """End as by SIGKILL and start again."""
        self.engine.abandon()
        self.engine = self.open()

    def finish(self) -> None:
        """Let everything become due and stop politely."""
        for silence in (4, 4000):  # before the start: a reader that waits would record a tick of its own
            self.engine.tick(self.engine.journal.engine_time + silence * SECOND)
        self.engine.start()
        self.engine.close()

    def files(self) -> dict[str, bytes]:
        """Session files by name, without line one (it holds the folder's random id)."""
        found = sorted((self.folder / "engines/main/sessions").iterdir())
        return {path.name: path.read_bytes().partition(b"\n")[2] for path in found}

    def manifest(self) -> dict[str, Any]:
        """What the manifest says last of each file, less what the folder's random id shows in."""
        folder = self.folder / "engines/main"
        meta = Catalog(folder / "catalog.sqlite", read_only=True).meta()
        report = ManifestReport.of(RealFiles(), str(folder), meta["manifest"])
        assert report.faults == []
        return {f.name: (f.session, f.length, f.spans, f.derived, f.at) for f in report.sealed.values()}

    def sessions(self) -> list[Session]:
        """Every generation of every session, as the catalog has it."""
        return Catalog(self.folder / "engines/main/catalog.sqlite", read_only=True).sessions()

    def ledger(self) -> dict[str, Any]:
        """The last checkpoint's ledger."""
        return self.engine.ledger


@pytest.mark.parametrize("examples", [15, pytest.param(150, marks=pytest.mark.long)])
def test_a_killed_engine_writes_what_an_undisturbed_one_writes(examples: int) -> None:
    """Whenever it was killed, files, findings and ledger end the same, byte for byte."""

    @settings(max_examples=examples)
    @given(
        seed=st.integers(0, 10**6),
        steps=st.lists(st.sampled_from(["process", "kill", "go"]), min_size=50, max_size=50),
    )
    def holds(seed: int, steps: list[str]) -> None:
        script = requests(seed)
        with tempfile.TemporaryDirectory(dir=RAM) as name:
            calm, killed = Run(Path(name) / "calm"), Run(Path(name) / "killed")
            for body in script:
                calm.accept(body)
            for body, step in zip(script, itertools.cycle(steps), strict=False):
                killed.accept(body)
                if step == "process":
                    killed.process()
                elif step == "kill":
                    killed.kill()
            calm.finish()
            killed.finish()
            assert killed.files() == calm.files()
            assert killed.ledger() == calm.ledger()
            assert killed.sessions() == calm.sessions()
            assert killed.manifest() == calm.manifest()
            left = calm.files().keys() - calm.manifest().keys()
            assert {name.partition(".")[0] for name in left} <= {"%"}  # every session ended
            assert calm.ledger()["received"] == calm.ledger()["stored"] + calm.ledger()["duplicate"]
            assert calm.ledger()["derived"] > 0
            check_others(calm, script)
            assert calm.ledger()["conflicts"] == 1
            assert calm.ledger()["waiting"] == 0
            counts = spans_of(calm.files())
            assert sum(counts.values()) == calm.ledger()["stored"]
            assert set(counts.values()) == {1}

    holds()


def check_others(run: Run, script: list[bytes | int]) -> None:
    """Every log record and data point that was sent is there once, as told without the engine's own code."""
    sent = Counter[str]()
    for body in script:
        match body:
            case Logs():
                for group in ExportLogsServiceRequest.FromString(body).resource_logs:
                    for scope in group.scope_logs:
                        sent.update(each.body.string_value for each in scope.log_records)
            case Metrics():
                for metric_group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    for metric_scope in metric_group.scope_metrics:
                        for metric in metric_scope.metrics:
                            sent.update(f"{metric.name}={p.as_int}" for p in metric.sum.data_points)
    assert others_of(run.files()) == sent
    ledger = run.ledger()
    assert ledger["logs"]["stored"] + ledger["metrics"]["stored"] == sent.total()
    assert ledger["logs"]["waiting"] == ledger["metrics"]["waiting"] == 0
    assert sum(s.logs for s in run.sessions()) == sum(
        others_of({name: data}).total()
        for name, data in run.files().items()
        if name.endswith(".logs.jsonl") and not name.startswith("%.")
    )


def test_a_torn_line_is_completed_not_repeated(tmp_path: Path) -> None:
    """A file that a crash cut in the middle of a line is grown, byte for byte, to what it should be."""
    calm, torn = Run(tmp_path / "calm"), Run(tmp_path / "torn", UNSAVED)
    for body in requests(1):
        calm.accept(body)
        torn.accept(body)
    torn.process()
    torn.engine.abandon()
    cut = 0
    for path in (tmp_path / "torn/engines/main/sessions").iterdir():
        data = path.read_bytes()
        path.write_bytes(data[: len(data) - 7])
        cut += 1
    assert cut
    torn.engine = torn.open()
    calm.finish()
    torn.finish()
    assert torn.files() == calm.files()
    assert torn.engine.stats.get("otel_ext.sessions.truncated_bytes") == 0


def test_foreign_bytes_are_cut_after_the_last_equal_line_and_counted(tmp_path: Path) -> None:
    """What a crash left that the replay does not write is cut, never what equals it."""
    run = Run(tmp_path / "data", UNSAVED)
    for body in requests(2):
        run.accept(body)
    run.process()
    run.engine.abandon()
    (path, *_) = sorted((tmp_path / "data/engines/main/sessions").iterdir())
    with path.open("ab") as stream:
        stream.write(b'{"resourceSpans":"never written by us"}\n')
    run.engine = run.open()
    run.finish()
    assert b"never written by us" not in path.read_bytes()
    assert run.engine.stats.get("otel_ext.sessions.truncated_bytes") == 40


def test_the_same_journal_gives_the_same_bytes(tmp_path: Path) -> None:
    """A fresh catalog over a copy of the journal derives byte-identical files (law L7)."""
    first = Run(tmp_path / "first")
    for body in requests(3):
        first.accept(body)
    first.finish()
    shutil.copytree(tmp_path / "first/engines/main/journal", tmp_path / "second/engines/main/journal")
    second = Run(tmp_path / "second")
    second.engine.start()
    second.engine.close()
    assert second.files() == first.files()
    assert second.ledger() == first.ledger()


@pytest.mark.parametrize(("before", "after"), [(100_000, 4_000), (4_000, 100_000)])
def test_another_rotation_size_after_a_crash_loses_and_repeats_nothing(
    tmp_path: Path, before: int, after: int
) -> None:
    """Files that a crash left and the replay cuts elsewhere are cut or set aside, never counted twice."""
    run = Run(tmp_path, msgspec.structs.replace(UNSAVED, file_bytes=before, checkpoint_interval=1.0))
    for number in range(1, 14):
        run.accept(request(span(1, number, session__id="s", note="x" * 500)))
        if number == 3:
            run.process()  # with a checkpoint
            run.engine.abandon()
            run.settings = msgspec.structs.replace(run.settings, checkpoint_interval=1e9)
            run.engine = run.open()
    run.process()
    run.engine.abandon()
    run.settings = msgspec.structs.replace(run.settings, file_bytes=after)
    run.engine = run.open()
    run.finish()
    assert set(spans_of(run.files()).values()) == {1}
    assert run.ledger()["stored"] == len(spans_of(run.files())) == 13
    (folder,) = engines(tmp_path)
    assert check_engine(folder)["ok"]


def test_a_catalog_older_than_the_journal_is_refused(tmp_path: Path) -> None:
    """A restored catalog whose next records are gone from the journal would cut files: it is refused."""
    run = Run(tmp_path, msgspec.structs.replace(SETTINGS, segment_bytes=3000, checkpoint_interval=0.0))
    catalog = tmp_path / "engines/main/catalog.sqlite"
    for number in range(1, 30):
        run.accept(request(span(1, number, session__id="s", note="x" * 300)))
        run.process()
        if number == 3:
            source, backup = sqlite3.connect(catalog), sqlite3.connect(tmp_path / "backup")
            source.backup(backup)
            source.close()
            backup.close()
    run.engine.abandon()
    for path in catalog.parent.glob("catalog.sqlite*"):
        path.unlink()
    shutil.copy(tmp_path / "backup", catalog)
    files = run.files()
    with pytest.raises(DataFolderError, match="older than the journal"):
        run.open()
    assert run.files() == files


def test_verify_beside_a_writer_sees_one_checkpoint(tmp_path: Path) -> None:
    """Rows, ledger and lengths of one instant agree, however much is written meanwhile."""
    engine = Engine(tmp_path, msgspec.structs.replace(SETTINGS, checkpoint_interval=0.0))
    engine.start()
    done = threading.Event()

    def write() -> None:
        for number in itertools.count(1):
            if done.is_set():
                return
            engine.intake.accept(request(*(span(number, n, session__id=f"s{number % 9}") for n in (1, 2))))

    writer = threading.Thread(target=write)
    writer.start()
    reports: list[dict[str, Any]] = []

    def grown() -> bool:
        reports.append(check_engine(engines(tmp_path)[0]))
        return len(reports) >= 12 and reports[-1]["stored"] > reports[0]["stored"]

    until(grown, "a dozen reports while the folder grows")
    done.set()
    writer.join()
    engine.close()
    assert [report["damage"] for report in reports] == [[]] * len(reports)


def test_engine_time_goes_on_when_a_replay_had_recorded_later_times(tmp_path: Path) -> None:
    """A journal whose last engine time is ahead of the clock does not make anything wait for the clock."""
    clock = ManualClock(START)
    ahead = Engine(tmp_path, SETTINGS, clock=clock)
    ahead.tick(START + 10_000 * SECOND)
    ahead.abandon()
    engine = Engine(tmp_path, SETTINGS, clock=clock)
    engine.intake.accept(request(span(1, 1)))
    engine.step()
    clock.advance(3 * SECOND)
    engine.intake.accept(request(span(2, 2)))
    engine.step()
    assert (engine.ledger["stored"], engine.ledger["waiting"]) == (1, 1)
    engine.abandon()
