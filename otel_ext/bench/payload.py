"""Requests encoded beforehand, with fresh ids put in.

Law of this file: every request carries new trace and span ids (a server that drops repeats must not look
fast), and making one is a single join of pieces, so that the client costs little.
"""

import json
import re
import time
from collections.abc import Callable
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TRACE: Final = b"TRACEID-%08d"
"""A marker that stands for a trace id in a template, 16 bytes."""

SPAN: Final = b"S-%06d"
"""A span id, 8 bytes; the same in every request, unique in its trace, unless told otherwise."""

SESSION: Final = "session-%08d"
"""A marker and the form of a session id, 16 bytes."""

TRACES: Final = 8
"""Traces of a request, unless told otherwise."""


def attribute(key: str, value: str | int) -> KeyValue:
    """One attribute."""
    item = KeyValue(key=key)
    if isinstance(value, int):
        item.value.int_value = value
    else:
        item.value.string_value = value
    return item


def template(spans: int, size: int, mix: str = "agent", traces: int = TRACES) -> bytes:
    """A request of `spans` spans of about `size` bytes, in `traces` traces of one session each.

    Mix "agent" is a model call and a tool call by turns, under an agent; "service" is HTTP calls.
    """
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.append(attribute("service.name", "bench"))
    scope = resource.scope_spans.add()
    scope.scope.name = "bench"
    now = time.time_ns()
    traces = min(traces, spans)
    each = spans // traces
    for index in range(each * traces):
        trace, place = divmod(index, each)
        span = scope.spans.add(
            trace_id=TRACE % trace,
            span_id=SPAN % index,
            start_time_unix_nano=now + index,
            end_time_unix_nano=now + index + 900,
        )
        session = attribute("gen_ai.conversation.id", SESSION % trace)
        if mix == "service":
            session.key = "session.id"
            _service(span, session, place)
            _pad(span, size)
            continue
        if place == each - 1:
            span.name = "invoke_agent bench"
            span.attributes.extend([attribute("gen_ai.operation.name", "invoke_agent"), session])
            _pad(span, size)
            continue
        span.parent_span_id = SPAN % (trace * each + each - 1)
        span.kind = Span.SPAN_KIND_CLIENT
        _pad(span, size, (_tool if place % 2 else _chat)(span, session, place))
    return request.SerializeToString()


def _service(span: Span, session: KeyValue, place: int) -> None:
    span.name = "GET /orders"
    told: dict[str, str | int] = {"http.request.method": "GET", "http.response.status_code": 200}
    told["url.path"] = f"/orders/{place}"
    span.attributes.extend([session, *(attribute(key, value) for key, value in told.items())])


def _tool(span: Span, session: KeyValue, place: int) -> str:
    span.name = "execute_tool search"
    told = {
        "gen_ai.tool.name": "search",
        "gen_ai.tool.call.id": f"call_{place}",
        "gen_ai.tool.call.arguments": json.dumps({"query": f"topic {place}", "limit": 10}),
    }
    span.attributes.extend([attribute("gen_ai.operation.name", "execute_tool"), session])
    span.attributes.extend(attribute(key, value) for key, value in told.items())
    return "gen_ai.tool.call.result"


def _chat(span: Span, session: KeyValue, place: int) -> str:
    span.name = "chat model"
    told: dict[str, str | int] = {"gen_ai.request.model": "model", "gen_ai.usage.input_tokens": 1000 + place}
    told["gen_ai.usage.output_tokens"] = 40
    span.attributes.extend([attribute("gen_ai.operation.name", "chat"), session])
    span.attributes.extend(attribute(key, value) for key, value in told.items())
    return "gen_ai.input.messages"


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


_MARKER: Final = re.compile(rb"TRACEID-\d{8}|session-\d{8}")
_WITH_SPANS: Final = re.compile(rb"TRACEID-\d{8}|session-\d{8}|S-\d{6}")


class Requests:
    """Fresh requests out of one template; used by one thread.

    Args:
        spans: of a request.
        size: of a span, bytes.
        first: number of the first request; ranges of numbers of two instances must not meet.
        mix: as in `template`.
        traces: of a request.
        session: from a trace's number to its session's; each trace its own when left out.
        unique: no two requests share a span id either; OTLP asks for that in a trace only.
    """

    def __init__(
        self,
        spans: int,
        size: int,
        first: int,
        *,
        mix: str = "agent",
        traces: int = TRACES,
        session: Callable[[int], int] | None = None,
        unique: bool = False,
    ) -> None:
        encoded = template(spans, size, mix, traces)
        self.traces = min(traces, spans)
        self.spans = spans // self.traces * self.traces
        self._number = first
        self._session = session or (lambda trace: trace)
        self._unique = unique
        self._pieces, self._which, at = list[bytes](), list[int](), 0
        before = {b"TRACEID": 0, b"session": self.traces, b"S": 2 * self.traces}
        for found in (_WITH_SPANS if unique else _MARKER).finditer(encoded):
            self._pieces += [encoded[at : found.start()], b""]
            kind, _, number = found[0].partition(b"-")
            self._which.append(before[kind] + int(number))
            at = found.end()
        self._pieces.append(encoded[at:])

    def next(self) -> bytes:
        """A request whose trace ids were never used before."""
        first, span = self._number * self.traces, self._number * self.spans
        self._number += 1
        numbers = range(first, first + self.traces)
        ids = [b"bench-id" + number.to_bytes(8, "big") for number in numbers]
        ids += [b"session-%08d" % (self._session(number) % 100_000_000) for number in numbers]
        if self._unique:
            ids += [b"%08x" % number for number in range(span, span + self.spans)]
        self._pieces[1::2] = [ids[which] for which in self._which]
        return b"".join(self._pieces)
