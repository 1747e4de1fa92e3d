"""A backend that keeps every span it is sent, as a destination of otel_ext or of the Collector.

Law of this file: it answers OK only to what it kept.
"""

import threading
from collections import Counter
from concurrent import futures
from types import TracebackType
from typing import Self

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from tests.collector.spans import Id, Told, told
from tests.support import METHOD


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
