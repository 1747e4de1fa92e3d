"""Real agent traces: read, written and read again, against protobuf's own reader."""

import itertools
import os
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_ext import otlp
from tests.otlp.build import as_line, instant, oracle, regrouped

CORPUS = Path(os.environ.get("OTEL_EXT_CORPUS") or Path(__file__).parents[3] / "shared" / "corpus")
FILES = sorted(CORPUS.glob("*.otlp.jsonl.zst"))


@pytest.mark.skipif(not FILES, reason=f"no real traces in {CORPUS}; name their folder in OTEL_EXT_CORPUS")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.long)])
def test_real_traces_survive(path: Path, stride: int) -> None:
    """Every line, read, admitted and written, equals what protobuf's own reader makes of the original."""
    zstd = pytest.importorskip("backports.zstd", reason="reading .zst needs backports.zstd")
    lines = 0
    with zstd.open(path, "rb") as file:
        for line in itertools.islice(file, 0, None, stride):
            admitted = otlp.admit(otlp.read_traces(line, instant=instant))
            assert admitted.rejected == {}
            expected = ExportTraceServiceRequest.FromString(admitted.body)
            assert expected == oracle(line)
            assert oracle(as_line(admitted.body)) == regrouped(expected)
            lines += 1
    assert lines
