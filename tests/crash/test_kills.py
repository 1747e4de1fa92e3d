"""The real process, killed for real."""

import random
import threading
from collections import Counter
from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from tests.builders import looping_run, request, span_id, trace_id
from tests.support import (
    METHOD,
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


def stored_ids(data: Path) -> Counter[tuple[str, str]]:
    """How often each (trace id, span id) stands in the files, our own spans left out."""
    return Counter(
        (span["traceId"], span["spanId"])
        for line in objects(run("cat", data))
        for resource in line["resourceSpans"]
        for scope in resource["scopeSpans"]
        if scope["scope"].get("name") != "otel_ext"
        for span in scope["spans"]
    )


def check(data: Path, sent: Counter[tuple[str, str]]) -> dict[str, int]:
    """Every acknowledged span is stored exactly once, every byte and the ledger are in order."""
    (report,) = objects(run("verify", data, "--json"))
    assert report["ok"]
    assert not report["lost"]
    assert stored_ids(data) == sent
    assert report["received"] == report["stored"] + report["duplicate"]
    derived = [
        (span["traceId"], span["spanId"])
        for line in objects(run("cat", data))
        for resource in line["resourceSpans"]
        for scope in resource["scopeSpans"]
        if scope["scope"].get("name") == "otel_ext"
        for span in scope["spans"]
    ]
    assert len(derived) == len(set(derived)) == len(objects(run("signals", data, "--json", "--revisions")))
    return {key: report[key] for key in ("received", "stored", "duplicate", "derived")}


def corpus_batches() -> list[list[ReadableSpan]]:
    """Each trace of the corpus as one batch."""
    return [readable_spans(line) for path in corpus_files() for line in lines(path)]


def ids(batches: list[list[ReadableSpan]]) -> Counter[tuple[str, str]]:
    """(trace id, span id) of each distinct span."""
    return Counter(
        {(f"{s.context.trace_id:032x}", f"{s.context.span_id:016x}"): 1 for batch in batches for s in batch}
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kills", "seed"),
    [(20, 1), pytest.param(100, 2, marks=pytest.mark.long), pytest.param(150, 3, marks=pytest.mark.long)],
)
def test_the_corpus_survives_random_kills(tmp_path: Path, kills: int, seed: int) -> None:
    """The corpus by the stock exporter, killed often: each span once, findings as if undisturbed."""
    batches = corpus_batches()
    with server(tmp_path / "killed", CONFIG) as process:
        made = send_all(process, batches, kills, seed)
        process.wait_for_ends(sum(ids(batches).values()))
        process.stop()
    assert made == kills
    check(tmp_path / "killed", ids(batches))
    run("replay", *corpus_files(), "--data", tmp_path / "calm")
    calm = findings_set(objects(run("signals", tmp_path / "calm", "--json")))
    assert calm
    assert findings_set(objects(run("signals", tmp_path / "killed", "--json"))) == calm


def keep_sending(process: ServerProcess, first: int, requests: int, acknowledged: list[int]) -> None:
    """Send looping runs one after the other, each until it is acknowledged; its trace number is noted."""
    channel = grpc.insecure_channel(process.endpoint, options=[("grpc.initial_reconnect_backoff_ms", 50)])
    call = channel.unary_unary(METHOD)
    for number in range(first, first + requests):
        body = request(*looping_run(number, f"session-{number % 7}", rounds=4))
        while True:
            try:
                call(body, timeout=20, wait_for_ready=True)
            except grpc.RpcError:
                continue
            acknowledged.append(number)
            break
    channel.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kills", "seed"),
    [
        (6, 1),
        pytest.param(30, 2, marks=pytest.mark.long, id="slice"),
        pytest.param(300, 3, marks=pytest.mark.long),
    ],
)
def test_concurrent_senders_survive_random_kills(tmp_path: Path, kills: int, seed: int) -> None:
    """Several senders under group commit, killed at random: acknowledged is stored, stored is stored once."""
    rng = random.Random(seed)
    acknowledged: list[int] = []
    share = 60 * max(1, kills // 3)
    with server(tmp_path / "data", CONFIG) as process:
        senders = [
            threading.Thread(target=keep_sending, args=(process, 1 + n * share, share, acknowledged))
            for n in range(4)
        ]
        for sender in senders:
            sender.start()
        made = 0
        while made < kills and any(s.is_alive() for s in senders):
            senders[0].join(rng.uniform(0.0, 0.3))  # the moment of the kill is what is random
            process.kill()
            made += 1
            process.start()
        for sender in senders:
            sender.join()
        process.wait_for_ends(4 * share * 5)
        process.stop()
    assert made > 0
    assert sorted(acknowledged) == list(range(1, 4 * share + 1))
    sent = Counter(
        {
            (trace_id(number).hex(), span_id(number * 1000 + n).hex()): 1
            for number in acknowledged
            for n in range(5)
        }
    )
    check(tmp_path / "data", sent)
    found = objects(run("signals", tmp_path / "data", "--json"))
    assert len(found) == 4 * share
    assert {(f["signal"], f["count"], f["status"]) for f in found} == {("loop.exact_repeat", 4, "persisted")}
