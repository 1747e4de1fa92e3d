"""Logs and metrics from the door to the files: whose they are, what they are told as, what is counted."""

import json
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from otel_ext import otlp
from otel_ext.cli.folder import engines
from otel_ext.cli.verify import check_engine
from otel_ext.pipeline import Engine, EngineSettings, repair
from otel_ext.pipeline.records import LOGS, METRICS, pack_request
from otel_ext.sessions import Session, State
from otel_ext.telemetry import Telemetry
from tests.builders import (
    START,
    attributes,
    log,
    logs,
    looping_run,
    metrics,
    request,
    series,
    span,
    trace_id,
)
from tests.pipeline.test_exactly_once import SECOND, SETTINGS, Run
from tests.support import objects, run, server

FOLDER = "engines/main"


def test_they_are_received_and_balance_on_their_own(tmp_path: Path) -> None:
    """Accepted, counted under the Collector's names, journalled, and in the ledger apart from spans."""
    engine = Engine(tmp_path, EngineSettings(min_free=0))
    bad = log("bad")
    bad.trace_id = b"short"
    taken = engine.intake.accept(logs(log("one"), log("two"), bad), Telemetry.LOGS)
    assert (taken.received, taken.rejected) == (3, 1)
    assert engine.intake.accept(metrics(series("m", 1, 2, 3)), Telemetry.METRICS).received == 3
    counted = engine.stats.snapshot()
    assert counted["otelcol_receiver_accepted_log_records"] == 2
    assert counted["otelcol_receiver_refused_log_records"] == 1
    assert counted["otelcol_receiver_accepted_metric_points"] == 3
    engine.start()
    assert engine.close()
    ledger = engine.ledger
    none: dict[str, Any] = {"rejected": {}, "lost": {}, "waiting": 0}
    assert ledger["logs"] == {**none, "received": 3, "stored": 2, "rejected": {"trace_id": 1}}
    assert ledger["metrics"] == {**none, "received": 3, "stored": 3}
    assert ledger["received"] == 0


def bodies(made: Run) -> dict[str, list[str]]:
    """Bodies of the log records in the files of each session, in order."""
    found: dict[str, list[str]] = {}
    for name, text in made.files().items():
        if name.endswith(".logs.jsonl"):
            lines = map(json.loads, text.splitlines())
            groups = (group for line in lines for group in line["resourceLogs"])
            found.setdefault(name.partition(".")[0], []).extend(
                r["body"]["stringValue"] for g in groups for s in g["scopeLogs"] for r in s["logRecords"]
            )
    return found


def test_whose_a_log_record_is(tmp_path: Path) -> None:
    """Its own word counts before its resource's, that before its known trace's; else it is nobody's."""
    made = Run(tmp_path)
    made.accept(logs(log("too early", trace=1)))
    made.accept(request(span(1, 1, session__id="from-trace")))
    made.accept(request(span(2, 2)))
    made.accept(4 * SECOND)
    zeros = log("zeros")
    zeros.trace_id, zeros.span_id = bytes(16), bytes(8)
    made.accept(
        logs(
            log("own", trace=1, gen_ai__conversation__id="own"),
            log("codex", conversation__id="c"),
            log("by trace", trace=1),
            log("by a trace on its own", trace=2),
            log("nobody's"),
            zeros,
        )
    )
    made.accept(
        logs(log("resource", trace=1), log("own again", session__id="own"), session__id="from-resource")
    )
    made.accept(request(span(2, 3, session__id="learnt-later")))
    made.accept(logs(log("joined", trace=2)))
    made.finish()
    assert bodies(made) == {
        "own": ["own", "own again"],
        "c": ["codex"],
        "from-trace": ["by trace"],
        trace_id(2).hex(): ["by a trace on its own"],
        "learnt-later": ["joined"],
        "from-resource": ["resource"],
        "%": ["too early", "nobody's", "zeros"],
    }
    assert {s.session_id: s.logs for s in made.sessions()} == {
        "own": 2,
        "c": 1,
        "from-trace": 1,
        trace_id(2).hex(): 1,
        "learnt-later": 1,
        "from-resource": 1,
    }


def session_of(made: Run, session_id: str = "s") -> list[Session]:
    """Generations of a session."""
    return [s for s in made.sessions() if s.session_id == session_id]


def test_a_session_of_logs_alone(tmp_path: Path) -> None:
    """It is active, completes in silence, wakes with a late record; its first trace is no new generation."""
    made = Run(tmp_path, msgspec.structs.replace(SETTINGS, checkpoint_interval=0.0))
    made.accept(logs(log("a", seconds=5, session__id="s"), log("b", seconds=2, session__id="s")))
    made.process()
    (session,) = session_of(made)
    assert (session.state, session.logs, session.traces, session.spans) == (State.ACTIVE, 2, 0, 0)
    assert (session.first, session.last) == (START + 2 * SECOND, START + 5 * SECOND)
    made.accept(30 * SECOND)
    made.process()
    (session,) = session_of(made)
    assert (session.state, session.reason) == (State.COMPLETED, "no more log records came")
    made.accept(logs(log("c", seconds=40, session__id="s")))
    made.process()
    assert [s.state for s in session_of(made)] == [State.ACTIVE]
    made.accept(30 * SECOND)
    made.accept(request(*looping_run(1, "s")))
    made.finish()
    (session,) = session_of(made)
    assert (session.logs, session.traces, session.state) == (3, 1, State.COMPLETED)
    assert session.first == session.start


def test_logs_end_nothing_and_take_no_crash_back(tmp_path: Path) -> None:
    """A record of a crashed session is counted for it; of one with several generations, for the newest."""
    made = Run(tmp_path)
    made.accept(request(*looping_run(1, "s")))
    made.accept(30 * SECOND)
    made.accept(request(*looping_run(2, "s")))
    made.engine.own.mark("s", "crashed", "as told")
    made.accept(logs(log("late", trace=1), log("later", session__id="s")))
    made.finish()
    assert [(s.generation, s.state, s.logs) for s in session_of(made)] == [
        (1, State.COMPLETED, 0),
        (2, State.CRASHED, 2),
    ]


def test_a_mark_before_anything_but_logs(tmp_path: Path) -> None:
    """A crash told of a session of logs alone is carried to its first trace, also over a restart."""
    for restart in (False, True):
        made = Run(tmp_path / str(restart), msgspec.structs.replace(SETTINGS, checkpoint_interval=0.0))
        made.accept(logs(log("a", session__id=trace_id(1).hex())))
        made.engine.own.mark(trace_id(1).hex(), "crashed", "as told")
        made.process()
        if restart:
            made.kill()
        made.accept(request(span(1, 1, session__id="s")))
        made.finish()
        assert [s.state for s in session_of(made)] == [State.CRASHED]


def test_the_times_of_logs_are_mended_for_their_session_only(tmp_path: Path) -> None:
    """Milliseconds in a nanosecond field say when the session was; the record stays as it was sent."""
    made = Run(tmp_path)
    record = log("ms", session__id="s")
    record.time_unix_nano = START // 10**6
    observed = log("observed", session__id="s")
    observed.time_unix_nano, observed.observed_time_unix_nano = 0, START + SECOND
    made.accept(logs(record, observed, log("unknown", session__id="t", seconds=-START // SECOND)))
    made.finish()
    (session,) = session_of(made)
    assert (session.first, session.last) == (START, START + SECOND)
    (text,) = (data for name, data in made.files().items() if name.startswith("s."))
    assert b'"timeUnixNano":"%d"' % (START // 10**6) in text
    assert session_of(made, "t")[0].first == 0


def test_lines_are_split_on_records_and_say_where_they_are_from(tmp_path: Path) -> None:
    """No line is longer than it may be, unless one record is; all are there, in their order."""
    made = Run(tmp_path, msgspec.structs.replace(SETTINGS, line_bytes=1000))
    texts = [f"{n:03}" + "x" * 100 for n in range(30)] + ["y" * 3000] + [f"{n:03}" for n in range(5)]
    made.accept(request(span(1, 1, session__id="s"), span(1, 2)))
    made.accept(logs(*(log(text, session__id="s") for text in texts)))
    made.accept(metrics(*(series(f"m{n}", *range(10)) for n in range(9)), series("large", *range(100))))
    made.finish()
    assert bodies(made)["s"] == texts
    others = {name: data for name, data in made.files().items() if not name.endswith("0.jsonl")}
    lines = [
        line for n, data in others.items() if n.count(".") == 3 for line in data.splitlines(keepends=True)
    ]
    assert sum(len(line) > 1000 for line in lines) == 2
    assert {otlp.read_mark(line) for line in lines} == {2, 2 + len(texts)}
    for line in lines:
        what = Telemetry.LOGS if b"resourceLogs" in line else Telemetry.METRICS
        assert otlp.admit(otlp.read_json(what, line), what).received == otlp.items_in(line, what) > 0


def test_the_file_is_the_request(tmp_path: Path) -> None:
    """Without sessions and splitting, what is read back from the file is the request that was sent."""
    made = Run(tmp_path)
    first, second = logs(log("a"), log("b")), metrics(series("m", 1, 2), series("n", 3))
    made.accept(first)
    made.accept(second)
    made.finish()
    assert {
        n.partition(".")[2]: otlp.read_json(t, d)
        for (n, d), t in zip(sorted(made.files().items()), (Telemetry.LOGS, Telemetry.METRICS), strict=True)
    } == {"000001.logs.jsonl": first, "000002.metrics.jsonl": second}
    for path in (tmp_path / FOLDER / "sessions").iterdir():
        head = json.loads(path.read_bytes().splitlines()[0])
        assert [value for key, value in head.items() if key != "otel_ext"] == [[]]


def test_damaged_logs_are_found_and_counted(tmp_path: Path) -> None:
    """`verify` names the file, `repair` sets it aside and counts what it held; the rest balances."""
    made = Run(tmp_path)
    made.accept(logs(*(log(str(n), session__id="s") for n in range(5)), log("other", session__id="t")))
    made.accept(metrics(series("m", 1, 2, 3)))
    made.accept(request(*looping_run(1, "s")))
    made.finish()
    for pattern, name, counts in (("s.*.logs.jsonl", "logs", (1, 5)), ("*.metrics.jsonl", "metrics", (0, 3))):
        (path,) = (tmp_path / FOLDER / "sessions").glob(pattern)
        data = path.read_bytes()
        path.write_bytes(data.replace(b'"INFO"' if name == "logs" else b'"unit"', b'"oops"'))
        (report,) = (check_engine(e) for e in engines(tmp_path, recover=False))
        assert any(path.name in text for text in report["damage"])
        done = repair(tmp_path / FOLDER)
        assert done.ok
        assert (done.lost, getattr(done, {"logs": "logs", "metrics": "points"}[name])) == (0, counts[1])
        (report,) = (check_engine(e) for e in engines(tmp_path, recover=False))
        assert report["damage"] == []
        assert (report[name]["stored"], report[name]["lost"]) == (counts[0], {"damage": counts[1]})
    assert report["lost"] == {}


def test_a_record_that_cannot_be_processed_is_lost_with_a_reason(tmp_path: Path) -> None:
    """A defect costs one record, counted as what it was; the others go on."""
    made = Run(tmp_path)
    made.accept(logs(log("before")))
    made.engine.journal.append(LOGS, pack_request(b"\xff", {}), items=7, engine=made.clock.now())
    made.accept(logs(log("after")))
    made.finish()
    assert bodies(made) == {"%": ["before", "after"]}
    assert made.ledger()["logs"]["lost"] == {"unprocessable": 7}
    (report,) = (check_engine(e) for e in engines(tmp_path, recover=False))
    assert report["damage"] == []


@pytest.mark.parametrize("form", [["--json"], []])
def test_what_the_commands_say(tmp_path: Path, form: list[str]) -> None:
    """`sessions`, `show`, `verify` and `cat` know of logs and metrics."""
    made = Run(tmp_path)
    made.accept(logs(log("a", session__id="s"), log("b")))
    made.accept(metrics(series("m", 1, 2, 3)))
    made.finish()
    if form:
        (row,) = objects(run("sessions", tmp_path, *form))
        assert (row["logs"], row["spans"], row["state"], row["start"]) == (1, 0, "completed", str(START))
        (report,) = objects(run("verify", tmp_path, *form))
        assert (report["logs"]["stored"], report["metrics"]["stored"]) == (2, 3)
    else:
        assert "1 log records" in run("show", tmp_path, "s")
        assert "metrics: received 3 = stored 3" in run("verify", tmp_path)
    assert run("cat", tmp_path, *form) == ""
    (line,) = objects(run("cat", tmp_path, "--telemetry", "logs", "--session", "s", *form))
    assert len(line["resourceLogs"]) == 1
    assert len(objects(run("cat", tmp_path, "--telemetry", "logs"))) == 2
    assert "resourceMetrics" in run("cat", tmp_path, "--telemetry", "metrics")


def test_a_request_that_was_rejected_whole_leaves_no_line(tmp_path: Path) -> None:
    """All of its points are counted, none is left to be written, and the file stays OTLP JSON."""
    made = Run(tmp_path)
    made.accept(metrics(series("m", 1)))
    nothing = pack_request(b"", {"undecodable": 8})
    made.engine.journal.append(METRICS, nothing, items=8, engine=made.clock.now())
    made.finish()
    (report,) = (check_engine(e) for e in engines(tmp_path, recover=False))
    assert report["damage"] == []
    assert (report["metrics"]["stored"], report["metrics"]["rejected"]) == (1, {"undecodable": 8})


def test_attributes_that_only_look_like_a_session(tmp_path: Path) -> None:
    """A transport's session and a blank value name none."""
    made = Run(tmp_path)
    blank = log("blank", session__id=" ")
    blank.attributes.extend(attributes(mcp__session__id="transport"))
    made.accept(logs(blank))
    made.finish()
    assert bodies(made) == {"%": ["blank"]}
    assert made.sessions() == []


def test_replayed_files_tell_the_same(tmp_path: Path) -> None:
    """`replay` of an engine's files into another folder gives the same log records, points and sessions."""
    made = Run(tmp_path / "first")
    made.accept(logs(log("a", session__id="s"), log("b")))
    made.accept(request(span(1, 1, session__id="s"), span(1, 2)))
    made.accept(metrics(series("m", 1, 2, 3)))
    made.accept(logs(log("c", trace=1)))
    made.finish()
    files = sorted((tmp_path / "first" / FOLDER / "sessions").iterdir(), key=lambda p: p.name.count("."))
    (done,) = objects(run("replay", *files, "--data", tmp_path / "second", "--json"))
    counts = {key: done[key] for key in ("spans", "log_records", "data_points", "bad_lines", "rejected")}
    assert counts == {"spans": 2, "log_records": 3, "data_points": 3, "bad_lines": 0, "rejected": 0}
    for what in ("logs", "metrics"):
        first, second = (run("cat", tmp_path / n, "--telemetry", what) for n in ("first", "second"))
        kept = [
            [{k: v for k, v in line.items() if k != "otel_ext"} for line in objects(t)]
            for t in (first, second)
        ]
        assert kept[0] == kept[1]
    (row,) = objects(run("sessions", tmp_path / "second", "--json"))
    assert (row["session_id"], row["logs"], row["spans"]) == ("s", 2, 2)


def test_over_the_wire(tmp_path: Path) -> None:
    """A real server takes logs and metrics, keeps them over a kill, and tells how many it rejected."""
    bad = log("bad")
    bad.trace_id = b"short"
    service = "/opentelemetry.proto.collector.{0}.v1.{1}Service/Export"
    with server(tmp_path / "data") as process:
        with grpc.insecure_channel(process.endpoint) as channel:
            send = channel.unary_unary(service.format("logs", "Logs"))
            answer = ExportLogsServiceResponse.FromString(send(bytes(logs(log("a", session__id="s"), bad))))
            assert answer.partial_success.rejected_log_records == 1
            send = channel.unary_unary(service.format("metrics", "Metrics"))
            assert send(bytes(metrics(series("m", 1, 2, 3)))) == b""
        process.kill()
        process.start()
        process.stop()
    (line,) = objects(run("cat", tmp_path / "data", "--telemetry", "logs"))
    assert len(line["resourceLogs"][0]["scopeLogs"][0]["logRecords"]) == 1
    (report,) = objects(run("verify", tmp_path / "data", "--json"))
    assert (report["logs"]["stored"], report["logs"]["rejected"]) == (1, {"trace_id": 1})
    assert report["metrics"]["stored"] == 3
