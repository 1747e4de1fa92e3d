"""Spans for these tests: from keyword arguments, and from the corpus's OTLP JSON."""

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from otel_ext.span import Event, Span, Value

CORPUS = Path(os.environ.get("OTEL_EXT_CORPUS", Path(__file__).parents[2].parent / "shared" / "corpus"))


def make(attributes: dict[str, Any] | None = None, **fields: Any) -> Span:
    """A span with these attributes and plausible everything else."""
    defaults: dict[str, Any] = {
        "trace_id": bytes(16),
        "span_id": bytes(8),
        "parent_id": b"",
        "name": "a span",
        "kind": 1,
        "start": 1,
        "end": 2,
        "attributes": attributes or {},
    }
    return Span(**(defaults | fields))


def value(any_value: dict[str, Any] | None) -> Value:
    """An OTLP/JSON AnyValue in Python's types."""
    if not any_value:
        return None
    ((kind, inner),) = any_value.items()
    if kind == "intValue":
        return int(inner)
    if kind == "arrayValue":
        return [value(v) for v in inner.get("values", [])]
    if kind == "kvlistValue":
        return pairs(inner.get("values", []))
    assert kind in {"stringValue", "boolValue", "doubleValue"}, kind
    result: Value = inner
    return result


def pairs(items: list[dict[str, Any]]) -> dict[str, Value]:
    """A list of KeyValue as a dict."""
    return {item["key"]: value(item.get("value")) for item in items}


@cache
def corpus(name: str) -> tuple[Span, ...]:
    """All spans of a corpus file; skips the test where the corpus is absent."""
    path = CORPUS / f"{name}.otlp.jsonl.zst"
    if not path.exists():
        pytest.skip(f"no corpus at {CORPUS}; set OTEL_EXT_CORPUS")
    with zstd.open(path, "rt", encoding="utf-8") as lines:
        return tuple(span for line in lines for span in _spans(json.loads(line)))


def _spans(traces: dict[str, Any]) -> Iterator[Span]:
    for resource in traces["resourceSpans"]:
        about = pairs(resource.get("resource", {}).get("attributes", []))
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                status = span.get("status", {})
                yield Span(
                    trace_id=bytes.fromhex(span["traceId"]),
                    span_id=bytes.fromhex(span["spanId"]),
                    parent_id=bytes.fromhex(span.get("parentSpanId", "")),
                    name=span["name"],
                    kind=span.get("kind", 0),
                    start=int(span.get("startTimeUnixNano", 0)),
                    end=int(span.get("endTimeUnixNano", 0)),
                    attributes=pairs(span.get("attributes", [])),
                    status_code=status.get("code", 0),
                    status_message=status.get("message", ""),
                    events=[
                        Event(e["name"], int(e.get("timeUnixNano", 0)), pairs(e.get("attributes", [])))
                        for e in span.get("events", [])
                    ],
                    resource=about,
                    scope=scope.get("scope", {}).get("name", ""),
                )
