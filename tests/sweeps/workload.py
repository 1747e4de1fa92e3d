"""A recorded workload, the engine that plays it on a disk in memory, and what must be true in the end.

The journal and the session files live on the disk in memory; the lock and the catalog are at the same
path of the real one (a folder in RAM where there is one). SQLite's transactions count as atomic and
durable, which `synchronous=FULL` promises; the instants before and after a commit are operations of the
disk in memory, so the power goes there too.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext import otlp
from otel_ext.cli.folder import engines
from otel_ext.cli.verify import check_engine
from otel_ext.pipeline import Destination, Engine, EngineSettings
from otel_ext.pipeline.records import SETTLE
from otel_ext.sessions import Session, State
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry
from otel_ext.testing import CrashableFiles, ManualClock, content
from tests.builders import (
    START,
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

SECOND = 10**9
SETTINGS = EngineSettings(
    idle_timeout=20.0,
    hold=2.0,
    segment_bytes=4000,
    file_bytes=3000,
    line_bytes=1500,
    min_free=0,
    reserve=64,
    checkpoint_interval=1.2,
)
"""Files and segments of a few lines, so that a short workload rotates and releases many."""


class Action(NamedTuple):
    """One thing that happens at an engine.

    A request, spans that begin, a word about a session, silence, a batch processed, a polite stop and start.
    """

    at: int
    kind: Literal["send", "began", "crashed", "ended", "pass", "step", "stop"]
    body: bytes = b""


def begun(trace: int, number: int, session: str) -> Span:
    """A tool call that has begun, and is not known to end."""
    made = tool(trace, number, trace * 1000, "search", "{}", "", session)
    made.end_time_unix_nano = 0
    return made


def repeated(actions: Sequence[Action], doubled: Mapping[int, int]) -> list[Action]:
    """The script of a client that sends some requests more than once."""
    return [action for at, action in enumerate(actions) for _ in range(1 + doubled.get(at, 0))]


def script(seed: int = 1) -> list[Action]:
    """Loops, re-deliveries, a conflict, unknown sessions, idle ends, late and rejected spans, two stops."""
    rng = random.Random(seed)
    spans = [s for n in range(1, 4) for s in looping_run(n, f"session-{n % 2}", rounds=5)]
    spans += [span(50 + n % 3, 60_000 + n, parent=60_000 if n % 3 else 0) for n in range(6)]
    spans += [tool(9, 9000 + n, 0, "read", f'{{"n": {n}}}', "x" * 300, "session-0") for n in range(6)]
    rng.shuffle(spans)
    bodies = []
    while spans:
        size = rng.randint(2, 5)
        bodies.append(request(*spans[:size]))
        spans = spans[size:]
    named = span(50, 60_100, session__id="learnt-in-time")
    changed = span(1, 1001, note="other content")
    changed.name = "changed"
    refused = span(7, 7001, session__id="session-1")
    refused.span_id = b""
    bodies.insert(len(bodies) // 2, request(named))
    bodies += [bodies[0], bodies[1], request(changed), request(refused, span(7, 7002, session__id="a/b"))]
    late = span(1, 1099, parent=1000, session__id="session-1")
    unreadable = log("short id")
    unreadable.trace_id = b"short"
    same = logs(log("alone", session__id="logs-only"), log("no session"), log("by trace", trace=1))
    others: list[tuple[int, bytes]] = [
        (2, same),
        (4, metrics(series("m", 1, 2), series("n", *range(20)))),
        (6, logs(*(log(f"{n}" + "x" * 400, session__id="session-0") for n in range(5)), unreadable)),
        (len(bodies), same),
    ]
    for place, body in others:
        bodies.insert(place, body)
    now = START
    actions = []
    for number, body in enumerate([*bodies, b"", request(late), *map(request, looping_run(77, "session-0"))]):
        if body:
            actions.append(Action(now, "send", body))
        if not body or number == 5:  # sessions end in the middle: late spans, generations
            now += 30 * SECOND
            actions.append(Action(now, "pass"))
        if number == 2:
            actions.append(
                Action(now, "began", request(begun(3, 3009, "session-1"), begun(88, 88_001, "doomed")))
            )
        if number == 6:
            actions.append(Action(now, "crashed", b"doomed"))
        if number == 9:
            actions.append(Action(now, "ended", b"session-1"))
        if not body or rng.random() < 0.6:
            actions.append(Action(now, "step"))
        if number == 8:
            actions.append(Action(now, "stop"))
        now += SECOND // 2
    actions += [Action(now + 4 * SECOND, "pass"), Action(now + 4000 * SECOND, "pass")]
    return [*actions, Action(actions[-1].at, "stop")]


@dataclass
class Outcome:
    """What a finished run left, as far as it must not depend on what happened on the way.

    Attributes:
        files: session files by name, without line one (it holds the folder's random id).
        heads: the first lines.
        findings: every revision of every finding.
        sessions: every generation.
    """

    files: dict[str, bytes]
    heads: dict[str, bytes]
    findings: list[dict[str, Any]]
    sessions: list[Session]
    ledger: dict[str, Any]
    report: dict[str, Any]


@dataclass
class Machine:
    """An engine on a disk in memory, driven by hand through a script; it dies by `PowerCut`.

    Attributes:
        at: how many actions are done; the next one may have begun.
        acked: items that were acknowledged.
    """

    folder: Path
    disk: CrashableFiles
    actions: Sequence[Action]
    at: int = 0
    acked: int = 0
    doubled: Counter[int] = field(default_factory=Counter)
    stats: Stats = field(default_factory=Stats)
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    engine: Engine | None = None
    settings: EngineSettings = SETTINGS
    destinations: Sequence[Destination] | None = None

    def stepped(self, engine: Engine) -> None:
        """Called after a batch was processed."""

    @property
    def home(self) -> Path:
        """The engine's folder."""
        return self.folder / "engines" / "main"

    def play(self) -> None:
        """Start, unless started, and do what is left of the script."""
        engine = self.engine or self.start()
        while self.at < len(self.actions):
            action = self.actions[self.at]
            self.clock.advance(max(0, action.at - self.clock.now()))
            match action.kind:
                case "send":
                    self.acked += engine.intake.accept(action.body, telemetry_of(action.body)).received
                case "began":
                    engine.own.started(action.body)
                case "crashed" | "ended":
                    engine.own.mark(action.body.decode(), action.kind, "as told")
                case "pass":
                    engine.tick(action.at)
                case "step":
                    engine.journal.wake()  # a former life may have left nothing to do: do not wait then
                    engine.step()
                    self.stepped(engine)
                case "stop":
                    self.stop(engine)
                    if self.at + 1 < len(self.actions):
                        engine = self.start()
            self.at += 1

    def start(self) -> Engine:
        """Open the folder. What the journal holds beyond the acknowledged will be sent again."""
        self.engine = Engine(
            self.folder,
            self.settings,
            files=self.disk,
            clock=self.clock,
            stats=self.stats,
            destinations=self.destinations,
        )
        kept = sum(received(self.actions[at].body) * times for at, times in self.doubled.items())
        if extra := self.engine.journal.items - self.acked - kept:
            assert extra == received(self.actions[self.at].body), "only the request in flight may be there"
            self.doubled[self.at] += 1
        return self.engine

    def stop(self, engine: Engine) -> None:
        """What a polite end does, on this thread: nothing waits any longer, all is processed and saved."""
        engine.journal.append(SETTLE, b"", engine=self.clock.now())
        engine._consumer.stop()
        while engine.step():
            pass
        engine.close()
        self.engine = None

    def die(self) -> bytes | None:
        """The process is gone; the catalog's bytes."""
        if self.engine is not None:
            self.engine.abandon()
            self.engine = None
        catalog = self.home / "catalog.sqlite"
        return catalog.read_bytes() if catalog.exists() else None

    def revived(self, disk: CrashableFiles, catalog: bytes | None) -> "Machine":
        """The next life, on what is left of the disk."""
        for path in self.home.glob("catalog.sqlite*"):
            path.unlink()
        if catalog is not None:
            (self.home / "catalog.sqlite").write_bytes(catalog)
        again = Machine(self.folder, disk, self.actions, self.at, self.acked, Counter(self.doubled))
        again.settings = self.settings
        again.clock = ManualClock(self.clock.now())
        return again

    def bytes_of(self, room: str, disk: CrashableFiles | None = None) -> dict[str, bytes]:
        """All files of `journal` or `sessions` by name."""
        disk, folder = disk or self.disk, f"{self.home}/{room}"
        if not disk.exists(folder):
            return {}
        # Folders below it (quarantine) are not files.
        paths = {name: f"{folder}/{name}" for name in disk.list(folder) if "." in name}
        return {name: content(disk, path) for name, path in paths.items()}

    def outcome(self) -> Outcome:
        """Put what is in memory on the real disk, have it verified, and read everything."""
        for room in ("journal", "sessions"):
            target = self.home / room
            target.mkdir(exist_ok=True)
            for path in target.iterdir():
                path.unlink()
            for name, data in self.bytes_of(room).items():
                (target / name).write_bytes(data)
        manifest = f"{self.home}/MANIFEST"
        if self.disk.exists(manifest):
            Path(manifest).write_bytes(content(self.disk, manifest))
        (engine,) = engines(self.folder)
        files = {name: data.partition(b"\n") for name, data in self.bytes_of("sessions").items()}
        sessions = engine.catalog.sessions()
        report = check_engine(engine)
        findings, meta = list(engine.catalog.signals()), engine.catalog.meta()
        engine.catalog.close()
        return Outcome(
            {name: rest for name, (_, _, rest) in files.items()},
            {name: head for name, (head, _, _) in files.items()},
            findings,
            sessions,
            meta["ledger"],
            report,
        )


def received(body: bytes) -> int:
    """How many items a request counts for in the journal."""
    return otlp.admit(body, telemetry_of(body)).received


def check(found: Outcome, calm: Outcome) -> None:
    """A disturbed run ended as the undisturbed one: every byte, finding, session and count."""
    assert found.report["ok"], found.report
    assert sorted(found.files) == sorted(calm.files)
    for name, data in found.files.items():
        assert data.splitlines() == calm.files[name].splitlines(), name
    assert found.findings == calm.findings
    for session, other in zip(found.sessions, calm.sessions, strict=True):
        assert session == other
    assert found.ledger == calm.ledger


def check_calm(calm: Outcome, actions: Sequence[Action]) -> None:
    """The undisturbed run did what this sweep is about, as told without the engine's own code."""
    assert calm.report["ok"], calm.report
    sent = Counter(spans_sent(actions))
    stored = spans_of(calm.files)
    assert [key for key in stored if key not in sent] == [unfinished()]
    assert set(stored.values()) == {1}
    assert set(sent) < set(stored)
    ledger = calm.ledger
    assert (ledger["conflicts"], sum(ledger["rejected"].values())) == (1, 1)
    assert ledger["stored"] == len(sent) + 1
    assert ledger["duplicate"] == sent.total() - len(sent) > 0
    assert ledger["derived"] > 3
    assert ledger["waiting"] == 0
    logged = Counter(body for body in others_of(calm.files).elements() if "=" not in body)
    assert logged == {
        **dict.fromkeys(("alone", "no session", "by trace"), 2),
        **{f"{n}" + "x" * 400: 1 for n in range(5)},
    }
    assert ledger["logs"] == {
        "received": 12,
        "stored": 11,
        "rejected": {"trace_id": 1},
        "lost": {},
        "waiting": 0,
    }
    assert ledger["metrics"]["stored"] == 22 == sum("=" in each for each in others_of(calm.files).elements())
    assert any(s.logs and not s.spans and s.state is State.COMPLETED for s in calm.sessions)
    assert {f["status"] for f in calm.findings} >= {"onset", "ongoing", "persisted"}
    assert Counter(s.state for s in calm.sessions)[State.CRASHED] == 1
    assert max(s.generation for s in calm.sessions) > 1
    assert b"otel_ext.session.late" in b"".join(calm.files.values())
    assert max(Counter(name.split(".")[0] for name in calm.files).values()) > 2, "files rotate"


def unfinished() -> str:
    """The span that began and is written as unfinished when its session's crash is told."""
    doomed = begun(88, 88_001, "doomed")
    return doomed.trace_id.hex() + doomed.span_id.hex() + doomed.name


def spans_sent(actions: Sequence[Action]) -> Iterator[str]:
    """Every span that a valid request carries: ids and name; re-deliveries too."""
    for action in actions:
        if action.kind != "send" or telemetry_of(action.body) is not Telemetry.TRACES:
            continue
        for resource in ExportTraceServiceRequest.FromString(action.body).resource_spans:
            for scope in resource.scope_spans:
                for s in scope.spans:
                    if s.span_id:
                        yield s.trace_id.hex() + s.span_id.hex() + s.name


def others_of(files: dict[str, bytes]) -> Counter[str]:
    """How often each log record (its body) and data point stands in the files (without their first lines)."""
    found = Counter[str]()
    for name, text in files.items():
        for line in map(json.loads, text.splitlines()):
            if name.endswith(".logs.jsonl"):
                scopes = (scope for group in line["resourceLogs"] for scope in group["scopeLogs"])
                found.update(record["body"]["stringValue"] for s in scopes for record in s["logRecords"])
            elif name.endswith(".metrics.jsonl"):
                scopes = (scope for group in line["resourceMetrics"] for scope in group["scopeMetrics"])
                streams = (metric for scope in scopes for metric in scope["metrics"])
                found.update(f"{m['name']}={p['asInt']}" for m in streams for p in m["sum"]["dataPoints"])
    return found


def spans_of(files: dict[str, bytes]) -> Counter[str]:
    """How often each received span stands in the files (without their first lines)."""
    return Counter(
        s["traceId"] + s["spanId"] + s["name"]
        for text in files.values()
        for line in text.splitlines()
        for r in json.loads(line).get("resourceSpans", ())
        for scope in r["scopeSpans"]
        if scope["scope"]["name"] != "otel_ext"
        for s in scope["spans"]
    )
