"""Our own log: sampled, in two encodings, and never with anything that a client sent."""

import io
import json
import logging
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from otel_ext import otlp
from otel_ext.errors import Busy, InvalidRequest
from otel_ext.pipeline.process import Processor
from otel_ext.pipeline.reserve import Reserve
from otel_ext.service import Server, load_config
from otel_ext.service.logs import configure
from otel_ext.testing import ManualClock
from tests.builders import looping_run, request, span
from tests.service.probes import get
from tests.support import METHOD, until

MARK = "PAYLOAD-7c1f"
Lines = Callable[[], list[str]]


@pytest.fixture
def clock() -> ManualClock:
    """The log's clock."""
    return ManualClock()


@pytest.fixture(params=["json", "console"])
def lines(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[Lines]:
    """What was logged; the process's logging is as before afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("otel_ext")
    before = root.handlers[:], root.level, ours.level
    stream = io.StringIO()
    configure("info", request.param, stream=stream, clock=clock)
    yield lambda: stream.getvalue().splitlines()
    root.handlers[:], level, own = before
    root.setLevel(level)
    ours.setLevel(own)


log = logging.getLogger("otel_ext.tests")


def test_a_text_that_repeats_is_sampled(lines: Lines, clock: ManualClock) -> None:
    """Ten in ten seconds, then each hundredth, which says how many it stands for; others are not affected."""
    for number in range(315):
        log.warning("number %d", number)
    assert len(lines()) == 10 + 3
    assert re.search(r"left_out\W+99", lines()[-1])
    log.warning("another")
    clock.advance(10 * 10**9)
    log.warning("number %d", 316)
    assert len(lines()) == 13 + 2


def test_levels(lines: Lines) -> None:
    """Below the level nothing is written, and of others only warnings."""
    log.debug("no")
    logging.getLogger("somebody").info("no")
    assert not lines()
    log.info("yes")
    assert len(lines()) == 1


def test_texts_of_ours_are_written_without_what_they_stumbled_over(lines: Lines) -> None:
    """The system's words, our own errors, places; no other exception's message, no session in a name."""
    log.warning("it failed: %s", OSError(28, "No space left on device", f"/d/sessions/{MARK}.000001.jsonl"))
    log.warning("%s cannot be removed", f"/d/sessions/{MARK}%41.000007.jsonl.zst")
    log.warning("it failed: %s", Busy("the journal is stopped"))
    log.warning("it failed: %s", InvalidRequest(MARK))
    log.warning("it failed: %s", sqlite3.IntegrityError(MARK))
    log.warning("several\nlines %s", "of\rtext")
    try:
        int(MARK)
    except ValueError as error:
        log.error("a defect: %s", error, exc_info=True)
    logging.getLogger("grpc._server").error("Exception calling application: %s", MARK)
    text = "\n".join(lines())
    assert len(lines()) == 8
    assert MARK not in text
    for words in (
        "it failed: No space left on device",
        "/d/sessions/*.000007.jsonl.zst cannot be removed",
        "it failed: the journal is stopped",
        "it failed: InvalidRequest",
        "a defect: ValueError",
        "test_logs.py:",
        "grpc._server",
    ):
        assert words in text


def test_json_lines_are_objects(clock: ManualClock) -> None:
    """One a line, with the keys that the page names."""
    stream = io.StringIO()
    handlers = logging.getLogger().handlers[:]
    try:
        configure("warn", "json", stream=stream, clock=clock)
        log.warning('quotes " and é')
    finally:
        logging.getLogger().handlers[:] = handlers
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert (found["level"], found["logger"], found["msg"]) == ("warn", "otel_ext.tests", 'quotes " and é')
    assert found["ts"].endswith("Z")


def marked(number: int) -> list[bytes]:
    """Requests that carry the mark wherever a client can put text, whole and broken in many ways."""
    good = looping_run(number, f"session-{MARK}", rounds=5)
    odd = span(number, 900_000 + number, gen_ai__tool__call__arguments=f'{{"a": "{MARK}"')
    odd.attributes.append(KeyValue(key=MARK))
    odd.name, odd.trace_state, odd.status.message = MARK, f"{MARK}=1", MARK
    odd.events.add(name=MARK).attributes.append(KeyValue(key=MARK))
    short = span(number, 910_000 + number, a=MARK)
    short.trace_id = MARK.encode()
    backwards = span(number, 920_000 + number, a=MARK)
    backwards.end_time_unix_nano = 5
    whole = request(*good, odd, short, backwards, service=MARK)
    invalid = whole.replace(MARK.encode(), MARK.encode()[:-1] + b"\xff")
    return [
        whole,
        whole,
        invalid,
        whole[:-7],
        MARK.encode(),
        b"\xff" + whole,
        request(odd, odd, service=MARK),
    ]


@pytest.mark.filterwarnings("ignore")
def test_no_failure_tells_what_a_client_sent(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refusals, garbage, defects at the door and in the pipeline, a stopped journal: no mark anywhere."""
    text = "processors: {sessions: {hold: 50ms}}\n"
    text += "extensions: {journal: {min_free_mib: 0, max_in_flight_mib: 1}}\n"
    text += "service: {checkpoint_interval: 50ms, telemetry: {metrics: {address: '127.0.0.1:0'}}}"
    server = Server(load_config(text, data=tmp_path / "data", grpc="127.0.0.1:0"))
    server.start()
    try:
        with grpc.insecure_channel(server.grpc_endpoint) as channel:
            answers = []

            def send(bodies: list[bytes], method: str = METHOD) -> None:
                for body in bodies:
                    try:
                        channel.unary_unary(method)(body, timeout=30)
                        answers.append("OK")
                    except grpc.RpcError as error:
                        answers.append(error.code().name)

            send(marked(1))
            send([marked(2)[0]], f"/{MARK}/Export")
            send([request(span(3, 1, a=MARK * 200_000))])  # over the budget

            record = Processor.record

            def defect(self: Processor, found: object) -> None:
                raise ValueError(MARK)

            with monkeypatch.context() as patch:  # a defect of ours, in the pipeline
                patch.setattr(Processor, "record", defect)
                send([marked(4)[0]])
                until(lambda: server.stats.get("otel_ext.pipeline.failed_records") > 0, "the defect")
            assert Processor.record is record

            def broken(body: bytes, telemetry: object, **_: object) -> object:
                raise KeyError(body)

            with monkeypatch.context() as patch:  # and one at the door
                patch.setattr(otlp, "admit", broken)
                send([marked(5)[0]])
            with monkeypatch.context() as patch:  # and nobody opens the journal again for a while
                patch.setattr(Reserve, "reopen", lambda self, journal: None)
                server.engine.journal._writer.stopped = "the journal is stopped: a test"
                send([marked(6)[0]])
            until(lambda: server.engine.journal.stopped is None, "the journal to open again")
            send([marked(7)[0]])
        status, shown = get(server.metrics_endpoint, "/metrics")
        assert status == 200
    finally:
        server.stop()
    told = "\n".join(lines())
    assert set(answers) >= {"OK", "INVALID_ARGUMENT", "UNIMPLEMENTED", "UNAVAILABLE"}
    for words in (
        "refused for good",
        "could not be processed",
        "could not be handled",
        "refused for now",
        "again",
    ):
        assert words in told, told
    assert "ValueError" in told
    assert "KeyError" in told
    for part in (MARK, "PAYLOAD", "session-"):
        assert part not in told
        assert part not in shown
