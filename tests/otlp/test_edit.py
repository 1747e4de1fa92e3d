"""Requests changed on their way out: what is not meant to change does not, bit for bit."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext import otlp
from otel_ext.telemetry import Telemetry
from tests.builders import span

UNKNOWN = b"\xc2\x3e\x03abc"
"""Field 1000, three bytes."""


def tree(shape: list[list[int]]) -> tuple[bytes, list[bytes]]:
    """A request of resources of scopes of so many spans, unknown fields on every level; and the spans."""
    request, spans = b"", list[bytes]()
    for place, scopes in enumerate(shape):
        resource = _field(1, b"" if place % 3 == 2 else UNKNOWN) + _field(3, b"url") + UNKNOWN
        for count in scopes:
            scope = _field(1, _field(1, b"scope %d" % place)) + UNKNOWN
            for _ in range(count):
                raw = span(1, len(spans) + 1, a=1).SerializeToString() + UNKNOWN
                spans.append(raw)
                scope += _field(2, raw)
            resource += _field(2, scope)
        request += _field(1, resource)
    return request + UNKNOWN, spans


def _field(number: int, data: bytes) -> bytes:
    assert len(data) < 1 << 14
    size = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
    return bytes([number << 3 | 2]) + size + data


def raws(body: bytes) -> list[bytes]:
    """A request's spans as they lie in it."""
    return [raw for group in otlp.split(body) for raw in group[4]]


shapes = st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=3)


@given(shapes, st.integers(0, 2**32))
def test_an_edit_changes_what_it_names_and_nothing_else(shape: list[list[int]], seed: int) -> None:
    """Named spans are gone or longer by their addition; all other bytes stand as they were sent."""
    body, spans = tree(shape)
    chance = random.Random(seed)
    edits = {n: chance.choice([None, b"", UNKNOWN]) for n in range(len(spans)) if chance.random() < 0.5}
    edited = otlp.edit(body, edits)
    assert raws(edited) == [
        raw + (edits.get(n) or b"") for n, raw in enumerate(spans) if n not in edits or edits[n] is not None
    ]
    assert edited.endswith(UNKNOWN)
    message = ExportTraceServiceRequest.FromString(edited)
    for resource in message.resource_spans:
        assert resource.SerializeToString().count(b"abc") > len(resource.scope_spans) - 1


@given(shapes)
def test_halves_together_are_the_whole(shape: list[list[int]]) -> None:
    """Two halves hold all items in order, each with its resource and scope; one item is not divided."""
    body, spans = tree(shape)
    halves = otlp.halve(body)
    if len(spans) < 2:
        assert halves is None
        return
    assert halves is not None
    first, second = halves
    assert raws(first) == spans[: len(spans) // 2]
    assert raws(second) == spans[len(spans) // 2 :]
    keyed = {raw: group[:4] for group in otlp.split(body) for raw in group[4]}
    for half in halves:
        assert half.endswith(UNKNOWN)
        for group in otlp.split(half):
            assert all(keyed[raw] == group[:4] for raw in group[4])


def test_an_addition_reads_as_the_file_does() -> None:
    """A span with an addition says what the stored line says, and its own bytes stand before it."""
    raw = span(1, 5, a="b").SerializeToString() + UNKNOWN
    marks = (("otel_ext.dedup.conflict", True), ("otel_ext.timestamp.flags", ["a", "b"]), ("x", "y"))
    patched = raw + otlp.addition(marks, start=7, end=0)
    stored = otlp.span_json(raw, marks, 7, 0)
    assert otlp.span_json(patched) == stored
    assert Span.FromString(patched).end_time_unix_nano == 0
    assert patched.startswith(raw)


@pytest.mark.parametrize("name", ["otel_ext", "other"])
def test_only_a_scope_is_left(name: str) -> None:
    """Spans of other scopes are left out, with what held nothing else."""
    bodies = [
        otlp.request_of(b"", b"\x0a" + bytes([len(n)]) + n, b"\x2a\x01x") for n in (b"otel_ext", b"other")
    ]
    left = otlp.only_scope(b"".join(bodies), name)
    assert left == bodies[name == "other"]
    assert otlp.only_scope(bodies[0], "third") == b""


def test_items_are_counted_in_all_three() -> None:
    """Spans, log records and data points of every kind of metric; halves keep the sum."""
    logs: Any = ExportLogsServiceRequest()
    records = logs.resource_logs.add().scope_logs.add().log_records
    for _ in range(3):
        records.add()
    metrics: Any = ExportMetricsServiceRequest()
    scope = metrics.resource_metrics.add().scope_metrics.add()
    for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary"):
        points = getattr(scope.metrics.add(name=kind), kind).data_points
        points.add()
        points.add()
    for telemetry, message, count in (
        (Telemetry.TRACES, tree([[2, 1]])[0], 3),
        (Telemetry.LOGS, logs.SerializeToString(), 3),
        (Telemetry.METRICS, metrics.SerializeToString(), 10),
    ):
        assert otlp.items_of(telemetry, message) == count
        halves = otlp.halve(message)
        assert halves is not None
        assert sum(otlp.items_of(telemetry, half) for half in halves) == count
