"""The real process, killed for real."""

import random
import threading
from collections import Counter
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

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
