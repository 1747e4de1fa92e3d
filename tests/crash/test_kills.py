"""The real process, killed for real."""

import itertools
import random
import threading
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from tests.builders import trace_id
from tests.crash.checks import check
from tests.crash.load import SPANS, Id, Load, ids
from tests.support import (
    ServerProcess,
    corpus_files,
    findings_set,
    lines,
    objects,
    readable_spans,
    run,
    server,
)

CONFIG = "processors: {sessions: {idle_timeout: 6s}}\nservice: {checkpoint_interval: 300ms}\n"


def send_all(process: ServerProcess, batches: list[list[ReadableSpan]], kills: int, seed: int) -> int:
    """Export every batch until it is acknowledged, killing the server at random moments; the kills made."""
    rng = random.Random(seed)
    exporter = OTLPSpanExporter(endpoint=process.endpoint, insecure=True, timeout=20)
    moments = set(rng.sample(range(len(batches)), kills))
    made = 0
    for number, batch in enumerate(batches):
        acknowledged = threading.Event()

        def export(spans: list[ReadableSpan] = batch, done: threading.Event = acknowledged) -> None:
            while exporter.export(spans) is not SpanExportResult.SUCCESS:
                pass
            done.set()

        client = threading.Thread(target=export)
        client.start()
        if number in moments:
            acknowledged.wait(rng.uniform(0.0, 0.04))  # the moment of the kill is what is random
            process.kill()
            made += 1
            process.start()
        client.join()
        assert acknowledged.is_set()
    exporter.shutdown()
    return made


def corpus_lines(share: int) -> list[bytes]:
    """A share of the corpus' traces."""
    return [line for path in corpus_files() for line in itertools.islice(lines(path), 0, None, share)]


def ids_of(batches: list[list[ReadableSpan]]) -> set[Id]:
    """(trace id, span id) of each distinct span."""
    return {(f"{s.context.trace_id:032x}", f"{s.context.span_id:016x}") for batch in batches for s in batch}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kills", "seed", "share"),
    [
        (5, 1, 4),
        pytest.param(100, 2, 1, marks=pytest.mark.long),
        pytest.param(150, 3, 1, marks=pytest.mark.long),
    ],
)
def test_the_corpus_survives_random_kills(tmp_path: Path, kills: int, seed: int, share: int) -> None:
    """The corpus by the stock exporter, killed often: each span once, findings as if undisturbed."""
    sent = corpus_lines(share)
    batches = [readable_spans(line) for line in sent]
    with server(tmp_path / "killed", CONFIG) as process:
        made = send_all(process, batches, kills, seed)
        process.wait_for_ends(len(ids_of(batches)))
        process.stop()
    assert made == kills
    check(tmp_path / "killed", ids_of(batches))
    (tmp_path / "sent.jsonl").write_bytes(b"".join(sent))
    run("replay", tmp_path / "sent.jsonl", "--data", tmp_path / "calm")
    calm = findings_set(objects(run("signals", tmp_path / "calm", "--json")))
    assert calm
    assert findings_set(objects(run("signals", tmp_path / "killed", "--json"))) == calm


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kills", "seed"),
    [
        (5, 1),
        pytest.param(30, 2, marks=pytest.mark.long, id="slice"),
        pytest.param(300, 3, marks=pytest.mark.long),
    ],
)
def test_concurrent_senders_survive_random_kills(tmp_path: Path, kills: int, seed: int) -> None:
    """Several senders under group commit, killed at random: acknowledged is stored, stored is stored once."""
    rng = random.Random(seed)
    with server(tmp_path / "data", CONFIG.replace("6s", "2s")) as process:
        with Load(process) as load:
            for _ in range(kills):
                threading.Event().wait(rng.uniform(0.0, 0.3))  # the moment of the kill is what is random
                process.kill()
                process.start()
            load.wait_for(20)
        process.wait_for_ends(SPANS * len(load.acknowledged))
        process.stop()
    acknowledged = ids(load.acknowledged)
    report = check(tmp_path / "data", acknowledged, ids(load.attempted))
    signals = objects(run("signals", tmp_path / "data", "--json"))
    found = [f for f in signals if not f["signal"].startswith("termination.")]
    assert {f["trace_id"] for f in found} >= {trace_id(number).hex() for number in load.acknowledged}
    assert SPANS * len(found) == report["stored"]
    assert {(f["signal"], f["count"], f["status"]) for f in found} == {("loop.exact_repeat", 4, "persisted")}
    print(f"{kills} kills, {len(acknowledged)} spans acknowledged, 0 lost, 0 twice, {report}")
