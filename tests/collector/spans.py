"""Spans of OTLP messages and files, in the words of OTLP's own protobuf classes.

Law of this file: it shares no code with otel_ext, so that what it says is a second opinion.
"""

import base64
import json
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from tests.support import METHOD, objects, run

Id = tuple[str, str]
Told = tuple[bytes, bytes, bytes]
"""A span, its resource and its scope, each as deterministic protobuf bytes."""


def told(data: TracesData) -> list[tuple[Id, Told]]:
    """Every span of a message with its id."""
    return [
        (
            (span.trace_id.hex(), span.span_id.hex()),
            (
                _plain(span).SerializeToString(deterministic=True),
                resource.resource.SerializeToString(deterministic=True),
                scope.scope.SerializeToString(deterministic=True),
            ),
        )
        for resource in data.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _plain(span: Span) -> Span:
    """The Collector encodes a status that is not set as one that is empty: the same by OTLP."""
    if span.status == Status():
        span.ClearField("status")
    return span


def from_json(line: dict[str, Any]) -> TracesData:
    """A line of an OTLP JSON file, read by the official classes; their own JSON has ids in base64."""
    return ParseDict(_base64_ids(line), TracesData(), ignore_unknown_fields=True)


def _base64_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_base64_ids(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: _id(each) if key in _IDS else _base64_ids(each) for key, each in value.items()}


_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def _id(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def stored(data: Path) -> dict[Id, Told]:
    """What the session files of a data folder hold, by `otel-ext cat`; each span must be there once."""
    return once(objects(run("cat", data)))


def once(lines: list[dict[str, Any]]) -> dict[Id, Told]:
    """Every span of OTLP JSON lines; none may stand there twice."""
    found: dict[Id, Told] = {}
    for line in lines:
        for key, what in told(from_json(line)):
            assert key not in found, key
            found[key] = what
    return found


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of an OTLP JSON file; the Collector writes minus zero as -0, an integer to Python."""
    return [
        json.loads(line, parse_int=lambda text: -0.0 if text == "-0" else int(text))
        for line in path.read_text().split("\n")
        if line
    ]


def send(endpoint: str, *bodies: bytes) -> None:
    """Send requests one after the other; each must be accepted."""
    with grpc.insecure_channel(endpoint, options=[("grpc.max_send_message_length", -1)]) as channel:
        call = channel.unary_unary(METHOD)
        for body in bodies:
            call(body, timeout=30, wait_for_ready=True)
