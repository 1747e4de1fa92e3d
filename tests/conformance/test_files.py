"""Items 47 to 52: the files that are written."""

import itertools
import json
import re
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.builders import request, span
from tests.conformance import otlpjson
from tests.conformance.targets import Target
from tests.conformance.test_data import full_span
from tests.conformance.wire import check


def leaves(tree: Any, key: str = "") -> list[tuple[str, Any]]:
    """Every key with its value, at every level."""
    if isinstance(tree, dict):
        return [pair for name, value in tree.items() for pair in [(name, value), *leaves(value, name)]]
    return [pair for item in tree for pair in leaves(item, key)] if isinstance(tree, list) else []


def test_item_47_spelling(target: Target) -> None:
    """Hex in lower case, 64-bit integers as strings, enums as integers, camelCase keys."""
    sent = full_span(target)
    check(target.grpc.send(request(sent)).ok, "refused a full span")
    (stored,) = target.stored(sent.trace_id)
    pairs = leaves(stored.json)
    for name, value in pairs:
        check(re.fullmatch("[a-z][A-Za-z]*", name), f"wrote the key {name!r}")
        if name in {"traceId", "spanId", "parentSpanId"}:
            check(re.fullmatch("([0-9a-f]{2})*", value), f"wrote {name} as {value!r}")
        if name in {"startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "intValue"}:
            check(isinstance(value, str) and re.fullmatch(r"-?\d+", value), f"wrote {name} as {value!r}")
        if name in {"kind", "code"}:
            check(type(value) is int, f"wrote {name} as {value!r}")


def test_item_48_lines(target: Target) -> None:
    """One object a line."""
    check(target.grpc.send(request(*target.spans(3))).ok, "refused")
    target.settled(b"")
    files = target.store.files
    check(files and all(path.suffix == ".jsonl" for path in files), "wrote another suffix")
    for path in files:
        text = path.read_bytes()
        whole = text[: text.rindex(b"\n") + 1].decode() if b"\n" in text else ""
        for line in whole.split("\n")[:-1]:
            tree = json.loads(line)
            check(isinstance(tree, dict), f"wrote {line[:40]!r}")
            check("resourceSpans" in tree, f"wrote a line without resourceSpans: {line[:60]!r}")


def test_item_49_one_kind_a_file(target: Target) -> None:
    """Logs that are sent do not get into files of traces."""
    logs = json.dumps(
        {
            "resourceLogs": [
                {
                    "scopeLogs": [
                        {
                            "logRecords": [
                                {
                                    "body": {"stringValue": "hello"},
                                    "attributes": [
                                        {"key": "session.id", "value": {"stringValue": "conformance"}}
                                    ],
                                }
                            ]
                        }
                    ]
                }
            ]
        }
    )
    target.json.post(logs.encode(), path="/v1/logs")
    target.settled(b"")
    folders = {path.parent for path in target.store.files}
    for path in (path for folder in folders for path in folder.glob("*.jsonl")):
        trees = [json.loads(line) for line in path.read_text().splitlines()]
        kinds = {key for tree in trees for key in tree if key.startswith("resource")}
        check(len(kinds) < 2, f"mixed kinds in a file: {kinds}")  # a file of the Collector may still be empty


def test_item_50_order(target: Target) -> None:
    """Spans that are sent one after the other stand one after the other."""
    sent = target.spans(20)
    for one in sent:
        check(target.grpc.send(request(one)).ok, "refused")
    stored = target.stored(sent[0].trace_id, 20)
    check([s.span.span_id for s in stored] == [s.span_id for s in sent], "changed the order")


def test_item_51_lines_and_fingerprints(target: Target) -> None:
    """40 spans of 100 kB: no line over 1 MiB. Equal spans in two sessions: no equal beginnings."""
    many = target.spans(40)
    for one in many:
        one.attributes.add(key="blob").value.string_value = "x" * 100_000
    check(target.grpc.send(request(*many)).ok, "refused 4 MB")
    target.stored(many[0].trace_id, 40)
    for session in ("one", "two"):
        twin = span(1, 1, session__id=session)
        twin.trace_id = target.trace()
        check(target.grpc.send(request(twin)).ok, "refused")
        target.stored(twin.trace_id)
    longest = max(
        len(line)
        for path in target.store.files
        for line in path.read_bytes().split(b"\n")
        if b'"blob"' in line
    )
    check(longest <= 1 << 20, f"wrote a line of {longest} bytes")
    heads = [path.read_bytes()[:1000] for path in target.store.files]
    check(
        all(a != b for a, b in itertools.combinations(heads, 2)), "two files begin with the same 1,000 bytes"
    )


def test_item_52_round_trip(target: Target) -> None:
    """What is sent and what an independent decoder reads are equal messages."""
    sent = full_span(target)
    body = request(sent)
    check(target.grpc.send(body).ok, "refused a full span")
    (stored,) = target.stored(sent.trace_id)
    check(stored.span == sent, "reads back another span")
    whole = ExportTraceServiceRequest.FromString(body).resource_spans[0]
    check(
        stored.resource == whole.resource and stored.scope == whole.scope_spans[0].scope,
        "reads back another resource",
    )
    check(otlpjson.decode(otlpjson.encode(body)).resource_spans[0] == whole, "the second opinion is wrong")
