"""The other signals at the same doors: requests of log records and of metrics, and their answers."""

import base64
import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from tests.conformance.targets import Target
from tests.conformance.wire import JSON, Answer

_IDS: Final = ("traceId", "spanId")
_UNBROKEN, _BROKEN = b"unbroken", b"\xffnbroken"
"""Text, and bytes of the same length that are no UTF-8: nothing else in metrics can be wrong of one alone."""


class Signal(NamedTuple):
    """What one signal is called where."""

    name: str
    service: str
    response: Any
    counted: str

    @property
    def method(self) -> str:
        """The gRPC method."""
        return f"/opentelemetry.proto.collector.{self.name}.v1.{self.service}/Export"

    @property
    def path(self) -> str:
        """The HTTP path."""
        return f"/v1/{self.name}"

    def ask(self, target: Target, good: int, bad: int = 0) -> Iterator[tuple[str, Answer]]:
        """The answers of all doors to so many items; bad ones break what the proto files say."""
        message = (_logs if self.name == "logs" else _metrics)(good, bad)
        body = message.SerializeToString().replace(_UNBROKEN, _BROKEN)
        yield f"{self.name} over gRPC", target.grpc.call(body, self.method)
        yield f"{self.name} over HTTP", target.http.post(body, path=self.path)
        if _BROKEN not in body:  # JSON that is not UTF-8 is none
            tree = _hexed(MessageToDict(message, use_integers_for_enums=True))
            yield f"{self.name} in JSON", target.json.post(json.dumps(tree).encode(), path=self.path)

    def garbage(self, target: Target) -> Iterator[tuple[str, Answer]]:
        """The answers of all doors to what is no request."""
        garbage = b"\xff\xff\xff garbage"
        yield f"{self.name} over gRPC", target.grpc.call(garbage, self.method)
        for door in (target.http, target.json):
            yield f"{self.name} over {door.name}", door.post(garbage, path=self.path)

    def partial(self, answer: Answer) -> tuple[int, str]:
        """Items rejected, and the message, of a success."""
        response = self.response()
        if answer.kind == JSON:
            ParseDict(json.loads(answer.payload), response)
        else:
            response.ParseFromString(answer.payload)
        said = response.partial_success
        return int(getattr(said, self.counted)), said.error_message


def _logs(good: int, bad: int) -> Any:
    message = ExportLogsServiceRequest()
    scope = message.resource_logs.add().scope_logs.add()
    for number in range(good + bad):
        record = scope.log_records.add(time_unix_nano=1_700_000_000_000_000_000 + number)
        record.body.string_value = "conformance"
        record.trace_id = bytes(15) + b"\1" if number < good else b"short"
    return message


def _metrics(good: int, bad: int) -> Any:
    message = ExportMetricsServiceRequest()
    scope = message.resource_metrics.add().scope_metrics.add()
    for number in range(good + bad):
        metric = scope.metrics.add(name=f"conformance.{number}")
        metric.unit = "1" if number < good else _UNBROKEN.decode()
        metric.gauge.data_points.add(time_unix_nano=1_700_000_000_000_000_000, as_int=1)
    return message


def _hexed(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_hexed(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        key: base64.b64decode(value).hex() if key in _IDS else _hexed(value) for key, value in tree.items()
    }


OTHERS: Final = (
    Signal("logs", "LogsService", ExportLogsServiceResponse, "rejected_log_records"),
    Signal("metrics", "MetricsService", ExportMetricsServiceResponse, "rejected_data_points"),
)
