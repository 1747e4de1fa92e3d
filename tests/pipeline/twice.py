"""Agents of which several tell the same calls, or log records alone: scripts of requests with their times."""

import random
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.builders import START, agent, log, logs, request, span, tool

SECOND = 10**9
ROUNDS = 6

Script = list[tuple[int, bytes]]
"""Each request with when it arrives, ns, in that order."""


def codex(number: int, second: int, session: str = "codex") -> list[LogRecord]:
    """A turn of Codex CLI: what the model used, and a call that gives the same again."""
    said = {"event__kind": "response.completed", "input_token_count": "100", "output_token_count": "7"}
    called = {
        "tool_name": "shell",
        "call_id": f"call-{number}",
        "success": "true",
        "arguments": '{"q": "x"}',
        "output": "same",
    }
    named: dict[str, dict[str, Any]] = {"codex.sse_event": said, "codex.tool_result": called}
    return [
        log(name, seconds=second + n, event__name=name, conversation__id=session, **values)
        for n, (name, values) in enumerate(named.items())
    ]


def codex_alone(trace: int = 0, session: str = "codex") -> Script:
    """A session of log records, in no trace or written in the span of a trace that never came."""
    found: Script = []
    for number in range(ROUNDS):
        records = codex(number, 4 * number, session)
        if trace:
            for record in records:
                record.trace_id, record.span_id = bytes([trace]) * 16, bytes([trace]) * 8
        found.append((START + (4 * number + 2) * SECOND, logs(*records)))
    return found


def mcp(trace: int = 1, session: str = "mcp") -> Script:
    """Calls told by agent, MCP client and server; model calls told by a wrapper and the provider."""
    root = trace * 1000
    found: Script = []
    for number in range(ROUNDS):
        base, at = root + 10 * number + 1, START + (4 * number + 1) * SECOND
        wrapper = chat(trace, base, root, session)
        provider = chat(trace, base + 1, base, session, gen_ai__usage__input_tokens=100)
        provider.attributes.extend(chat(trace, 1, 0, session, gen_ai__usage__output_tokens=7).attributes[-1:])
        calls = [tool(trace, base + 3 + n, base + 2 + n, "search", "{}", "same", session) for n in range(3)]
        calls[0].parent_span_id = wrapper.parent_span_id
        times = [(0, 900), (100, 800), (1000, 1900), (1100, 1800), (1200, 1700)]
        told = [wrapper, provider, *calls]
        for one, (start, end) in zip(told, times, strict=True):
            one.start_time_unix_nano, one.end_time_unix_nano = at + start * 10**6, at + end * 10**6
        found.append((at + 2 * SECOND, request(*told[::-1])))
    ended = agent(trace, root, session=session, last=4 * ROUNDS + 2)
    return [*found, (START + (4 * ROUNDS + 2) * SECOND, request(ended))]


def chat(trace: int, number: int, parent: int, session: str, **usage: int) -> Span:
    """A model call."""
    return span(
        trace,
        number,
        parent,
        gen_ai__operation__name="chat",
        gen_ai__conversation__id=session,
        gen_ai__response__id=f"response-{number // 10}",
        **usage,
    )


def span_and_record(trace: int, chance: random.Random, session: str = "both") -> Script:
    """Calls told by a span without a result and by a log record in no trace, either first."""
    found: Script = []
    for number in range(ROUNDS):
        second = 4 * number + 1
        call = span(
            trace,
            trace * 1000 + second,
            trace * 1000,
            gen_ai__operation__name="execute_tool",
            gen_ai__conversation__id=session,
            gen_ai__tool__name="shell",
            gen_ai__tool__call__id=f"call-{number}",
        )
        call.start_time_unix_nano = START + second * SECOND
        call.end_time_unix_nano = call.start_time_unix_nano + SECOND
        _, record = codex(number, second, session)
        at = START + (second + 1) * SECOND
        found += [(at + chance.randrange(19 * 10**8), body) for body in (request(call), logs(record))]
    ended = agent(trace, trace * 1000, session=session, last=4 * ROUNDS + 2)
    return sorted([*found, (START + (4 * ROUNDS + 2) * SECOND, request(ended))], key=lambda one: one[0])


def all_of_them(seed: int) -> Script:
    """The lot, interleaved."""
    chance = random.Random(seed)
    found = [*codex_alone(), *codex_alone(7, "traced"), *mcp(1), *span_and_record(2, chance)]
    return sorted(found, key=lambda one: one[0])
