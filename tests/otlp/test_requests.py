"""Logs and metrics through JSON and back, and a door's JSON bodies."""

import json
import random
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_ext import otlp
from otel_ext.telemetry import Telemetry

CLASSES: dict[Telemetry, Any] = {
    Telemetry.TRACES: ExportTraceServiceRequest,
    Telemetry.LOGS: ExportLogsServiceRequest,
    Telemetry.METRICS: ExportMetricsServiceRequest,
}
WHOLE = [Telemetry.LOGS, Telemetry.METRICS]
UNKNOWN = bytes.fromhex("c23e03616263")
"""Field 1000, a string: no schema of ours names it."""


def fill(message: Message, chance: random.Random, depth: int = 0) -> None:
    """Random content in each field, and an unknown field now and then."""
    for field in message.DESCRIPTOR.fields:
        if "strindex" in field.name or chance.random() < 0.25:
            continue
        if field.message_type is not None:
            if depth > 11:
                continue
            target = getattr(message, field.name)
            if field.is_repeated:
                for _ in range(chance.randrange(3)):
                    fill(target.add(), chance, depth + 1)
            else:
                target.SetInParent()
                fill(target, chance, depth + 1)
            continue
        values = [scalar(field, chance) for _ in range(chance.randrange(4))]
        if field.is_repeated:
            getattr(message, field.name).extend(values)
        elif values:
            setattr(message, field.name, values[0])
    if chance.random() < 0.05:
        message.MergeFromString(UNKNOWN)


def scalar(field: Any, chance: random.Random) -> object:
    """A value of the field's type, extremes included."""
    if field.enum_type is not None:
        return chance.choice([0, 1, 2, 77, -5])
    match field.cpp_type:
        case field.CPPTYPE_STRING if field.type == field.TYPE_BYTES:
            return chance.randbytes(chance.choice([0, 3, 8, 16]))
        case field.CPPTYPE_STRING:
            return chance.choice(["", "x", 'nul\0 \u2028 é 🙂 "\\', "otel_ext.unknown_fields", "y" * 200])
        case field.CPPTYPE_BOOL:
            return chance.random() < 0.5
        case field.CPPTYPE_DOUBLE:
            return chance.choice([0.0, -0.0, 1.5, 1e300, float("inf"), float("-inf"), 0.1])
        case field.CPPTYPE_INT64:
            return chance.choice([0, -(2**63), 2**63 - 1, 17])
        case field.CPPTYPE_UINT64:
            return chance.choice([0, 2**64 - 1, 17])
        case field.CPPTYPE_INT32:
            return chance.choice([0, -(2**31), 2**31 - 1])
        case _:
            return chance.choice([0, 2**32 - 1, 256])


@pytest.mark.parametrize("telemetry", WHOLE)
@pytest.mark.parametrize("seed", range(60))
def test_a_line_reads_back_to_equal_protobuf(telemetry: Telemetry, seed: int) -> None:
    """Every field of every kind of log and metric, unknown ones included, survives a line of JSON."""
    message = CLASSES[telemetry]()
    fill(message, random.Random(seed))
    line = otlp.json_line(telemetry, message.SerializeToString())
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    json.loads(line)
    assert CLASSES[telemetry].FromString(otlp.read_json(telemetry, line)) == message
