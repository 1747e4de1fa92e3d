"""Vouching: for what OTLP's own schema reads and whose ids are good, and never for anything else."""

import random

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_ext.otlp.vouch import vouched
from otel_ext.telemetry import Telemetry
from tests.fuzz import mutate
from tests.otlp.build import SPAN, TRACE, deep_span, request_of, requests, sized, span

pytestmark = pytest.mark.usefixtures("vouching")
REST = span(trace_id=b"", span_id=b"").SerializeToString()
T, S = sized(0x0A, TRACE), sized(0x12, SPAN)
NO_T, NO_S = sized(0x0A, bytes(16)), sized(0x12, bytes(8))


def good(body: bytes, telemetry: Telemetry) -> int | None:
    """The same by the plainest means: OTLP's own messages, every one of them looked at."""
    if telemetry is Telemetry.TRACES:
        read = ExportTraceServiceRequest.FromString(body)
        spans = [span for group in read.resource_spans for scope in group.scope_spans for span in scope.spans]
        ids = [(len(s.trace_id), len(s.span_id), any(s.trace_id), any(s.span_id)) for s in spans]
        return len(spans) if set(ids) <= {(16, 8, True, True)} else None
    if telemetry is Telemetry.LOGS:
        logs = ExportLogsServiceRequest.FromString(body)
        records = [r for group in logs.resource_logs for scope in group.scope_logs for r in scope.log_records]
        fine = all(len(r.trace_id) in {0, 16} and len(r.span_id) in {0, 8} for r in records)
        return len(records) if fine else None
    metrics = ExportMetricsServiceRequest.FromString(body)
    found = [m for group in metrics.resource_metrics for scope in group.scope_metrics for m in scope.metrics]
    kinds = [getattr(metric, metric.WhichOneof("data") or "sum") for metric in found]
    return sum(len(kind.data_points) for kind in kinds)


def judged(body: bytes, telemetry: Telemetry) -> int | None:
    """`good`, and None for what cannot be read."""
    try:
        return good(body, telemetry)
    except DecodeError:
        return None


@given(requests())
def test_what_is_good_is_vouched_for(request: ExportTraceServiceRequest) -> None:
    """Arbitrary good requests, to the span."""
    body = request.SerializeToString()
    count = sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)
    assert vouched(body, Telemetry.TRACES) == count


@given(requests(), st.integers(0, 2**32))
def test_the_verdict_on_damaged_spans(request: ExportTraceServiceRequest, seed: int) -> None:
    """Fields doubled, dropped, shuffled, renumbered, nested deeper, bits flipped: as plainly read."""
    rng, body = random.Random(seed), request.SerializeToString()
    for _ in range(20):
        changed = mutate.protobuf(rng, body)
        assert vouched(changed, Telemetry.TRACES) == judged(changed, Telemetry.TRACES), changed


@given(requests(), st.integers(0, 2**32), st.sampled_from([Telemetry.LOGS, Telemetry.METRICS]))
def test_nobody_vouches_for_bad_logs_and_metrics(
    request: ExportTraceServiceRequest, seed: int, telemetry: Telemetry
) -> None:
    """Spans read as log records or metrics, damaged: bad ones, and some that happen to be good."""
    rng, body = random.Random(seed), request.SerializeToString()
    for _ in range(20):
        changed = mutate.protobuf(rng, body)
        found = vouched(changed, telemetry)
        assert found == judged(changed, telemetry) or (found is None and telemetry is Telemetry.LOGS), changed


IDS = {
    "as encoders write them": ((T + S + REST, T + S + REST), 2),
    "after the rest": ((REST + T + S, T + S + REST), 2),
    "the other way round": ((S + T + REST, S + T), 2),
    "twice, the last one good": ((NO_T + NO_S + T + S, T + S), 2),
    "twice in one span, never in the other": ((T + S + T + S, REST), None),
    "two trace ids in one span, none in the other": ((T + S + T, S + REST), None),
    "two span ids in one span, none in the other": ((T + S + S, T + REST), None),
    "a bad one after a good one": ((T + S + NO_T, T + S), None),
    "a bad span id after a good one, which another lacks": ((T + S + NO_S, T + REST), None),
    "the trace's are zero": ((T + S, NO_T + S), None),
    "the span's are zero": ((T + S, T + NO_S), None),
    "zeros on either side of a border": (
        (
            sized(0x0A, b"12345678" + bytes(8)) + S,
            sized(0x0A, bytes(15) + b"1") + sized(0x12, bytes(7) + b"1"),
        ),
        2,
    ),
    "a trace id that looks like a span id of zeros": ((sized(0x0A, b"123456" + NO_S), T + S), None),
    "the same, and a span id": ((sized(0x0A, b"123456" + NO_S) + S, T + S), 2),
    "too short for any": ((b"", b""), None),
    "a shorter one before a longer one": ((T + sized(0x12, b"1234567"), T + sized(0x12, b"123456789")), None),
}


@pytest.mark.parametrize("case", IDS)
def test_ids_wherever_they_stand(case: str) -> None:
    """The last id of a span is its id, as protobuf has it; no span has another one's."""
    spans, verdict = IDS[case]
    body = request_of(*spans)
    assert judged(body, Telemetry.TRACES) == verdict
    assert vouched(body, Telemetry.TRACES) == verdict
    apart = request_of(spans[0]) + request_of(spans[1])
    assert vouched(apart, Telemetry.TRACES) == verdict


@pytest.mark.parametrize("levels", [*range(30, 36), *range(44, 52), 100])
@pytest.mark.parametrize("tag", [0x2A, 0x32])
def test_depth_is_judged_alike(levels: int, tag: int) -> None:
    """Nested values are good as long as OTLP's own schema reads them, to the level."""
    body = request_of(span().SerializeToString(), deep_span(levels, tag))
    assert vouched(body, Telemetry.TRACES) == judged(body, Telemetry.TRACES)
