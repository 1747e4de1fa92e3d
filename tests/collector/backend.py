"""A backend that keeps every span it is sent, with the words of OTLP's own protobuf classes.

Law of this file: it decodes with the official classes and shares no code with otel_ext, so that what it says
it was sent is a second opinion.
"""

import base64
import threading
from collections import Counter
from concurrent import futures
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from tests.support import METHOD

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


class Backend:
    """An OTLP/gRPC server, from `with` to its end, on a port that is given.

    Attributes:
        got: what was sent for each id, in order; more than one where something came again.
        refuse: while set, every request is answered UNAVAILABLE.
    """

    def __init__(self, endpoint: str) -> None:
        self.got: dict[Id, list[Told]] = {}
        self.refuse = threading.Event()
        self.refused = 0
        self._lock = threading.Lock()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(4),
            options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
        )
        service, _, name = METHOD.strip("/").rpartition("/")
        handler = grpc.unary_unary_rpc_method_handler(self._export)
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {name: handler})]
        )
        assert self._server.add_insecure_port(endpoint)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(0).wait()

    def _export(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        if self.refuse.is_set():
            self.refused += 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "refused by the test")
        spans = told(TracesData.FromString(body))  # the same fields as a request
        with self._lock:
            for key, what in spans:
                self.got.setdefault(key, []).append(what)
        answer: bytes = ExportTraceServiceResponse().SerializeToString()
        return answer

    def ids(self) -> set[Id]:
        """Everything that came."""
        with self._lock:
            return set(self.got)

    def counts(self) -> Counter[Id]:
        """How often each id came."""
        with self._lock:
            return Counter({key: len(each) for key, each in self.got.items()})
