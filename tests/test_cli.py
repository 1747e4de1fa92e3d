"""The command line as users and scripts meet it: real processes, the contract's fields, helpful errors."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.builders import looping_run, request, span
from tests.support import METHOD, child, objects, run, serve, server
from tests.test_bad_input import CONFIG

SESSION_FIELDS = [
    "session_id",
    "generation",
    "state",
    "reason",
    "start",
    "end",
    "spans",
    "duplicates",
    "tool_calls",
    "errors",
    "input_tokens",
    "output_tokens",
    "signals",
    "files",
]
SIGNAL_FIELDS = [
    "signal",
    "id",
    "revision",
    "status",
    "severity",
    "confidence",
    "trace_id",
    "session_id",
    "agent",
    "tool",
    "count",
    "start",
    "end",
    "evidence",
    "waste",
    "missing",
    "explanation",
]
VERIFY_FIELDS = ["ok", "received", "stored", "duplicate", "rejected", "lost", "damage"]


def json_line(body: bytes) -> str:
    """An encoded request as one OTLP JSON line, ids in hex, written by the protobuf library."""
    document: dict[str, Any] = MessageToDict(ExportTraceServiceRequest.FromString(body))
    message = ExportTraceServiceRequest.FromString(body)
    for r, resource in enumerate(message.resource_spans):
        for c, scope in enumerate(resource.scope_spans):
            for s, one in enumerate(scope.spans):
                target = document["resourceSpans"][r]["scopeSpans"][c]["spans"][s]
                target["traceId"], target["spanId"] = one.trace_id.hex(), one.span_id.hex()
                target["kind"] = one.kind
                if one.parent_span_id:
                    target["parentSpanId"] = one.parent_span_id.hex()
    return json.dumps(document)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one looping session, one healthy one and one of unknown id."""
    folder = tmp_path_factory.mktemp("cli")
    file = folder / "run.jsonl"
    healthy = [span(7, 7001, 7000, session__id="healthy"), span(7, 7000, session__id="healthy")]
    file.write_text(
        "\n".join(json_line(request(*spans)) for spans in (looping_run(1, "loop"), healthy, [span(8)])) + "\n"
    )
    out = run("replay", file, "--data", folder / "data")
    assert out.strip() == "3 lines, 10 spans, 0 rejected, 0 bad lines"
    return folder


def test_sessions_have_the_fields_of_the_contract(folder: Path) -> None:
    """`sessions --json` prints one object a session with the promised fields in order, times as strings."""
    rows = objects(run("sessions", folder / "data", "--json"))
    assert [list(row)[: len(SESSION_FIELDS)] for row in rows] == [SESSION_FIELDS] * 3
    by_id = {row["session_id"]: row for row in rows}
    loop = by_id["loop"]
    assert (loop["state"], loop["spans"], loop["tool_calls"], loop["signals"]) == ("completed", 7, 6, 1)
    assert loop["start"].isdecimal()
    assert loop["end"].isdecimal()
    assert [(folder / "data" / name).is_file() for name in loop["files"]] == [True]
    assert by_id["healthy"]["signals"] == 0


def test_signals_have_the_fields_of_the_contract(folder: Path) -> None:
    """`signals --json` prints one object a finding with the promised fields in order."""
    (*ends, finding) = objects(run("signals", folder / "data", "--json"))
    assert [(end["signal"], end["session_id"]) for end in ends] == [("termination.completed", "loop")]
    assert list(finding)[: len(SIGNAL_FIELDS)] == SIGNAL_FIELDS
    assert (finding["signal"], finding["count"], finding["status"]) == ("loop.exact_repeat", 6, "persisted")
    assert finding["start"].isdecimal()
    assert "search" in finding["explanation"]
    assert "6" in finding["explanation"]


def test_the_derived_span_stands_in_the_sessions_own_file(folder: Path) -> None:
    """The last revision's span is in the file, under our scope, in the same trace, linked to its evidence."""
    lines = objects(run("cat", folder / "data", "--session", "loop"))
    derived = [
        s
        for line in lines
        for r in line["resourceSpans"]
        for c in r["scopeSpans"]
        if c["scope"]["name"] == "otel_ext"
        for s in c["spans"]
    ]
    _, finding = objects(run("signals", folder / "data", "--json"))
    *_, last, end = derived
    assert (last["name"], end["name"]) == ("detect loop.exact_repeat", "detect termination.completed")
    assert {s["traceId"] for s in derived} == {finding["trace_id"]}
    assert [link["spanId"] for link in last["links"]] == finding["evidence"]
    keys = {a["key"] for a in last["attributes"]}
    assert {"otel_ext.signal.id", "otel_ext.signal.status", "otel_ext.waste.basis"} <= keys
    assert not any(key.startswith("gen_ai.usage") for key in keys)


def test_verify_has_the_fields_of_the_contract(folder: Path) -> None:
    """`verify --json` balances and prints the promised fields in order."""
    (report,) = objects(run("verify", folder / "data", "--json"))
    assert list(report)[: len(VERIFY_FIELDS)] == VERIFY_FIELDS
    assert report["ok"]
    assert (report["received"], report["stored"], report["damage"]) == (10, 10, [])


def test_show_draws_the_tree_with_findings(folder: Path) -> None:
    """`show` prints every span once, indented under its parent, findings at the spans they name."""
    out = run("show", folder / "data", "loop")
    assert out.startswith("loop  completed: every root span ended")
    assert out.count("◄ loop.exact_repeat") == 6
    assert "└─ span 1006" in out
    rows = objects(run("show", folder / "data", "loop", "--json"))
    assert [row["depth"] for row in rows] == [0, 1, 1, 1, 1, 1, 1]


def test_a_second_replay_changes_only_the_duplicates(folder: Path, tmp_path: Path) -> None:
    """The same file again: everything is a duplicate, nothing else moves."""
    run("replay", folder / "run.jsonl", "--data", tmp_path)
    before = (
        [objects(run(command, tmp_path, "--json")) for command in ("sessions", "signals")],
        run("cat", tmp_path),
    )
    run("replay", folder / "run.jsonl", "--data", tmp_path)
    after = (
        [objects(run(command, tmp_path, "--json")) for command in ("sessions", "signals")],
        run("cat", tmp_path),
    )
    (report,) = objects(run("verify", tmp_path, "--json"))
    assert (report["received"], report["stored"], report["duplicate"]) == (20, 10, 10)
    for row in [*before[0][0], *after[0][0]]:
        row["duplicates"] = None
    assert after == before


def test_bad_lines_are_reported_with_their_place_and_stop_nothing(tmp_path: Path) -> None:
    """A bad line is told with file, line and byte offset; the rest is read; --strict stops with exit 1."""
    file = tmp_path / "mixed.jsonl"
    good = json_line(request(span(1, 1)))
    text = f"{good}\nnot json\n[1]\n{'[' * 3000}\n\n{json_line(request(span(1, 2)))}\n"
    file.write_bytes(text.encode() + b'{"resourceSpans":"\xff\xfe"}\n')
    summary = json.loads(run("replay", file, "--data", tmp_path / "data", "--json"))
    assert {k: summary[k] for k in ("lines", "bad_lines", "spans", "rejected")} == {
        "lines": 2,
        "bad_lines": 4,
        "spans": 2,
        "rejected": 0,
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "otel_ext",
            "replay",
            "--strict",
            str(file),
            "--data",
            str(tmp_path / "strict"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{file}:2 (byte {len(good) + 1}): " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_file_gives_all_before_the_damage(tmp_path: Path) -> None:
    """A cut .zst is read up to the cut, then told; one of which nothing can be read exits with 1."""
    zstd = pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")
    text = "".join(json_line(request(span(1, n, note=os.urandom(2000).hex()))) + "\n" for n in range(1, 200))
    file = tmp_path / "cut.zst"
    file.write_bytes(zstd.compress(text.encode())[:-2000])
    summary = json.loads(run("replay", file, "--data", tmp_path / "data", "--json"))
    assert summary["bad_lines"] == 1
    assert 100 < summary["spans"] < 199
    (tmp_path / "junk.zst").write_bytes(b"junk")
    run("replay", tmp_path / "junk.zst", "--data", tmp_path / "data", code=1)


def test_stored_sessions_are_derived_again_as_if_received(folder: Path, tmp_path: Path) -> None:
    """Replaying our own files leaves our spans and marks out: the same sessions and findings come out."""
    odd = span(9, 1, session__id="odd")
    odd.start_time_unix_nano, odd.end_time_unix_nano = 1_790_000_000_000, 1_790_000_000_500
    first, second = tmp_path / "first", tmp_path / "second"
    (tmp_path / "run.jsonl").write_text((folder / "run.jsonl").read_text() + json_line(request(odd)) + "\n")
    run("replay", tmp_path / "run.jsonl", "--data", first)
    assert "otel_ext.timestamp.unit.start" in run("cat", first)
    run("replay", *sorted(first.glob("engines/main/sessions/*.jsonl")), "--data", second)
    (report,) = objects(run("verify", second, "--json"))
    assert (report["ok"], report["received"], report["stored"]) == (True, 11, 11)
    strip = ("id", "files")
    for command in ("sessions", "signals"):
        before, after = (
            [{k: v for k, v in row.items() if k not in strip} for row in objects(run(command, d, "--json"))]
            for d in (first, second)
        )
        assert after == before
    assert sorted(run("cat", first).splitlines()) == sorted(run("cat", second).splitlines())


@pytest.mark.parametrize("http", [False, True])
def test_replay_reads_stdin_and_sends_to_an_endpoint(folder: Path, tmp_path: Path, http: bool) -> None:
    """`replay - --endpoint` sends through the same doors as any exporter."""
    with server(tmp_path / "data", CONFIG) as process:
        body = (folder / "run.jsonl").read_bytes()
        where = [f"http://{process.http}", "--http"] if http else [f"http://{process.endpoint}"]
        out = run("replay", "-", "--endpoint", *where, stdin=body)
        assert out.strip() == "3 lines, 10 spans, 0 rejected, 0 bad lines"
        process.stop()
    (report,) = objects(run("verify", tmp_path / "data", "--json"))
    assert (report["ok"], report["received"]) == (True, 10)


def test_verify_finds_a_flipped_bit_and_a_short_file(folder: Path, tmp_path: Path) -> None:
    """Any changed byte of a session file is damage, named by file; exit code 1."""
    run("replay", folder / "run.jsonl", "--data", tmp_path)
    (path,) = tmp_path.glob("engines/main/sessions/loop*.jsonl")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (report,) = objects(run("verify", tmp_path, "--json", code=1))
    assert not report["ok"]
    assert any(str(path) in text for text in report["damage"])
    path.write_bytes(bytes(data[:-10]))
    assert "DAMAGED" in run("verify", tmp_path, code=1)
    path.unlink()
    assert "is missing" in run("verify", tmp_path, code=1)


def test_a_flipped_bit_in_the_journal_costs_its_own_record_only(tmp_path: Path) -> None:
    """Spans before and after a damaged record are stored; the lost ones are counted exactly."""
    config = CONFIG.replace("100ms}\n", "1h}\n")  # no checkpoint: everything is still in the journal
    with server(tmp_path / "data", config) as process:
        channel = grpc.insecure_channel(process.endpoint)
        for number in range(3):
            channel.unary_unary(METHOD)(
                request(*(span(5, 100 * number + n, session__id="s") for n in range(1, 4))), timeout=30
            )
        channel.close()
        process.kill()
    (segment, *_) = sorted((tmp_path / "data/engines/main/journal").glob("*.journal"))
    data = bytearray(segment.read_bytes())
    data[data.find(struct.pack(">Q", 101))] ^= 1
    segment.write_bytes(data)
    with server(tmp_path / "data", CONFIG) as process:
        process.stop()
    (report,) = objects(run("verify", tmp_path / "data", "--json"))
    assert (report["received"], report["stored"], report["lost"]) == (9, 6, {"journal_damage": 3})
    assert list((tmp_path / "data/engines/main/journal/quarantine").iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sessions", "{empty}"), "holds no otel-ext data"),
        (("show", "{data}", "nobody"), "no session 'nobody'"),
        (("cat", "{data}", "--session", "nobody"), "no session 'nobody'"),
        (("replay", "{empty}/none.jsonl", "--data", "{empty}/d"), "No such file or directory"),
        (("replay", "x.jsonl"), "give either --data DIR or --endpoint URL"),
        (("replay", "x.jsonl", "--endpoint", "ftp://x"), "not an OTLP/gRPC endpoint"),
        (("serve", "--config", "{empty}/none.yaml"), "cannot be read"),
        (("serve", "--config", "env:OTEL_EXT_NOT_SET"), "environment variable is not set"),
        (("serve", "--grpc", "nowhere", "--data", "{empty}/d"), "is not HOST:PORT"),
    ],
)
def test_a_wrong_call_is_one_clear_line(
    folder: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    """Exit code 2, what is wrong, no traceback."""
    filled = [a.format(empty=tmp_path, data=folder / "data") for a in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "otel_ext", *filled], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_signal_drains_and_exits_0(tmp_path: Path, number: int) -> None:
    """What was acknowledged is in the files after SIGTERM and SIGINT, spans of unknown sessions too."""
    with server(tmp_path / "data") as process:
        channel = grpc.insecure_channel(process.endpoint)
        channel.unary_unary(METHOD)(request(span(1, 1), span(2, 2, session__id="s")), timeout=30)
        channel.close()
        process.stop(number)
    (report,) = objects(run("verify", tmp_path / "data", "--json"))
    assert (report["ok"], report["stored"], report["waiting"]) == (True, 2, 0)


def test_serve_needs_no_configuration(tmp_path: Path) -> None:
    """Without --data and --config the folder is the state home's, and the ready line says so."""
    call = [sys.executable, "-m", "otel_ext", "serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    with child(call, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        process.terminate()
        process.wait()
    assert re.fullmatch(
        rf"ready grpc=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+ .*data={re.escape(str(tmp_path))}/otel-ext\n",
        ready,
    )
    assert process.returncode == 0


def test_serve_without_a_free_port_says_so(tmp_path: Path) -> None:
    """A taken port ends serve with exit code 2 and the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        call = serve(tmp_path, address)
        done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"cannot listen on {address}" in done.stderr
