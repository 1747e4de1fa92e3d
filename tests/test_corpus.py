"""Real agent traces through the whole program."""

import base64
import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support import corpus_files, lines, objects, run

SPANS = 8216


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus, replayed once."""
    folder = tmp_path_factory.mktemp("corpus")
    out = run("replay", *corpus_files(), "--data", folder)
    assert out.strip() == "310 lines, 8,216 spans, 0 rejected, 0 bad lines"
    return folder


def decoded(line: bytes, share: int) -> list[Span]:
    """A share of a line's spans by the protobuf library; ids are made base64, as its JSON wants them."""
    document = json.loads(line)
    document.pop("otel_ext", None)
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            scope["spans"] = [s for s in scope["spans"] if int(s["spanId"], 16) % share == share - 1]
            for span in scope["spans"]:
                for item in (span, *span.get("links", [])):
                    for key in ("traceId", "spanId", "parentSpanId"):
                        if key in item:
                            item[key] = base64.b64encode(bytes.fromhex(item[key])).decode()
    message = json_format.ParseDict(document, ExportTraceServiceRequest(), ignore_unknown_fields=True)
    return [
        s
        for r in message.resource_spans
        for c in r.scope_spans
        for s in c.spans
        if c.scope.name != "otel_ext"
    ]


def test_nothing_is_lost(data: Path) -> None:
    """Every span is stored, every byte verified."""
    (report,) = objects(run("verify", data, "--json"))
    assert (report["ok"], report["received"], report["stored"], report["lost"]) == (True, SPANS, SPANS, {})


@pytest.mark.parametrize("share", [4, pytest.param(1, marks=pytest.mark.long)])
def test_cat_decodes_to_the_input(data: Path, share: int) -> None:
    """Re-decoded by an independent decoder, stored spans equal those of the input but for our marks.

    Of a span in four, the one with a mark among them, or of all.
    """
    sent = {
        (s.trace_id, s.span_id): s
        for path in corpus_files()
        for line in lines(path)
        for s in decoded(line, share)
    }
    assert len(sent) * share > SPANS * 0.9
    marked = 0
    for line in run("cat", data).encode().splitlines():
        for span in decoded(line, share):
            original = sent.pop((span.trace_id, span.span_id))
            marks = [a for a in span.attributes if a.key.startswith("otel_ext.")]
            for mark in marks:
                span.attributes.remove(mark)
            marked += bool(marks)
            assert span == original
    assert not sent
    assert marked == 1, "one framework trace has a zero end time; everything else is as it was"


def test_a_second_replay_changes_only_the_duplicates(data: Path) -> None:
    """The same files again: the same files, findings and sessions, and 8,216 duplicates."""
    before = run("signals", data, "--json", "--revisions"), run("cat", data)
    run("replay", *corpus_files(), "--data", data)
    assert (run("signals", data, "--json", "--revisions"), run("cat", data)) == before
    (report,) = objects(run("verify", data, "--json"))
    assert (report["ok"], report["stored"], report["duplicate"]) == (True, SPANS, SPANS)
