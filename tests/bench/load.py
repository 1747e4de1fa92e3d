"""Load: encoded requests with fresh ids, sent by several connections.

Law of this file: every request carries new trace, span and session ids (a server that drops repeats must
not look fast), written into a template that was encoded beforehand, so that the client costs little.
"""

import json
import multiprocessing
import struct
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext.exporters.grpc import METHOD

TRACE, SPAN = b"TRACEID-%08d", b"S-%06d"
"""Markers of 16 and 8 bytes that stand for ids in a template."""
SESSION = "session-%08d"
BATCH = {590: 512, 20_000: 64}
"""Spans of a request, by span size."""
CLIENTS = 8


def attribute(key: str, value: str | int) -> KeyValue:
    """One attribute."""
    item = KeyValue(key=key)
    if isinstance(value, int):
        item.value.int_value = value
    else:
        item.value.string_value = value
    return item


def template(spans: int, size: int, mix: str = "agent", traces: int = 8) -> bytes:
    """A request of `spans` spans of about `size` bytes, in `traces` traces of one session each.

    Mix "agent" is a model call and a tool call by turns, under an agent; "service" is HTTP calls.
    """
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.append(attribute("service.name", "bench"))
    scope = resource.scope_spans.add()
    scope.scope.name = "bench"
    now = time.time_ns()
    each = spans // traces
    for index in range(spans):
        trace, place = divmod(index, each)
        span = scope.spans.add(
            trace_id=TRACE % trace,
            span_id=SPAN % index,
            start_time_unix_nano=now + index,
            end_time_unix_nano=now + index + 900,
        )
        session = attribute("gen_ai.conversation.id", SESSION % trace)
        if mix == "service":
            span.name = "GET /orders"
            span.attributes.extend(
                [
                    attribute("session.id", SESSION % trace),
                    attribute("http.request.method", "GET"),
                    attribute("http.response.status_code", 200),
                    attribute("url.path", f"/orders/{place}"),
                ]
            )
            _pad(span, size)
            continue
        if place == each - 1:
            span.name = "invoke_agent bench"
            span.attributes.extend([attribute("gen_ai.operation.name", "invoke_agent"), session])
            _pad(span, size)
            continue
        span.parent_span_id = SPAN % (trace * each + each - 1)
        span.kind = Span.SPAN_KIND_CLIENT
        if place % 2:
            span.name = "execute_tool search"
            span.attributes.extend(
                [
                    attribute("gen_ai.operation.name", "execute_tool"),
                    session,
                    attribute("gen_ai.tool.name", "search"),
                    attribute("gen_ai.tool.call.id", f"call_{place}"),
                    attribute(
                        "gen_ai.tool.call.arguments", json.dumps({"query": f"topic {place}", "limit": 10})
                    ),
                ]
            )
            _pad(span, size, "gen_ai.tool.call.result")
        else:
            span.name = "chat model"
            span.attributes.extend(
                [
                    attribute("gen_ai.operation.name", "chat"),
                    session,
                    attribute("gen_ai.request.model", "model"),
                    attribute("gen_ai.usage.input_tokens", 1000 + place),
                    attribute("gen_ai.usage.output_tokens", 40),
                ]
            )
            _pad(span, size, "gen_ai.input.messages")
    return request.SerializeToString()


def _pad(span: Span, size: int, payload: str = "app.payload") -> None:
    """Bring a span to 12 attributes and about `size` bytes."""
    if payload == "gen_ai.input.messages":
        start = '[{"role":"user","parts":[{"type":"text","content":"'
        end = '"}]}]'
    else:
        start, end = f"result of {span.span_id.decode()} ", ""
    for index in range(11 - len(span.attributes)):
        span.attributes.append(attribute(f"app.attribute.{index}", "value"))
    room = max(8, size - span.ByteSize() - len(payload) - 14)
    text = ("lorem ipsum dolor sit amet " * (room // 27 + 1))[: max(0, room - len(start) - len(end))]
    span.attributes.append(attribute(payload, start + text + end))


class Requests:
    """Fresh requests out of one template; used by one thread."""

    def __init__(self, spans: int, size: int, first: int, mix: str = "agent") -> None:
        self._bytes = bytearray(template(spans, size, mix))
        self.spans = spans
        self._number = first
        self._traces = [(i, at) for i in range(8) for at in self._places(TRACE % i)]
        self._sessions = [(i, at) for i in range(8) for at in self._places((SESSION % i).encode())]

    def _places(self, marker: bytes) -> list[int]:
        found, at = [], self._bytes.find(marker)
        while at >= 0:
            found.append(at)
            at = self._bytes.find(marker, at + 1)
        return found

    def next(self) -> bytes:
        """A request whose trace and session ids were never used before."""
        first = self._number * 8
        self._number += 1
        for index, at in self._traces:
            struct.pack_into(">8sQ", self._bytes, at, b"bench-id", first + index)
        for index, at in self._sessions:
            self._bytes[at + 8 : at + 16] = b"%08d" % ((first + index) % 100_000_000)
        return bytes(self._bytes)


def send(
    endpoint: str, clients: int, spans: int, size: int, total: int, mix: str = "agent"
) -> tuple[float, list[float]]:
    """Send `total` spans over `clients` connections; seconds to the last answer, all latencies."""
    share = max(1, total // spans // clients)
    latencies: list[list[float]] = [[] for _ in range(clients)]
    barrier = threading.Barrier(clients + 1)

    def client(number: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        channel = grpc.insecure_channel(endpoint, options=options)
        call: Callable[..., bytes] = channel.unary_unary(METHOD)
        grpc.channel_ready_future(channel).result(timeout=10)
        requests = Requests(spans, size, number * 1_000_000, mix)
        barrier.wait()
        for _ in range(share):
            body = requests.next()
            started = time.perf_counter()
            call(body, timeout=60, wait_for_ready=True)
            latencies[number].append(time.perf_counter() - started)
        channel.close()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    barrier.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started, [x for part in latencies for x in part]


def send_elsewhere(endpoint: str, size: int, total: int, mix: str) -> tuple[float, list[float]]:
    """`send` in a process of its own, so that the client's work is not the measuring one's."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sending, endpoint, size, total, mix))
    process.start()
    sending.close()
    answer: tuple[float, list[float]] = receiving.recv()
    process.join()
    return answer


def _send(answer: Connection, endpoint: str, size: int, total: int, mix: str) -> None:
    answer.send(send(endpoint, CLIENTS, BATCH[size], size, total, mix))
