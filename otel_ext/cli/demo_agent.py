"""The demo's agents: small, but real. A scripted model, real tools, the stock SDK and exporter.

Run as `python -m otel_ext.cli.demo_agent ENDPOINT ROLE`. It prints `half` when half of its work is done
and goes on when it reads a line; what happens to the sidecar in between is not its business.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, Status, StatusCode

_Tool = Callable[..., object]
_PATIENCE: Final = 20
"""Seconds that the exporter goes on trying: on a busy machine a sidecar needs some of them to start again."""


class Agent:
    """One agent run: a root span, model calls and tool calls beneath it."""

    def __init__(self, tracer: trace.Tracer, session: str, tools: dict[str, _Tool]) -> None:
        self._tracer, self._session, self._tools = tracer, session, tools
        self._calls = 0
        self._context = 600

    @contextmanager
    def _span(self, name: str, **attributes: str | int | list[str]) -> Iterator[Span]:
        keys = {key.replace("__", "."): value for key, value in attributes.items()}
        with self._tracer.start_as_current_span(
            name, attributes={"gen_ai.conversation.id": self._session, **keys}
        ) as span:
            yield span

    @contextmanager
    def run(self, name: str, task: str) -> Iterator[None]:
        """The agent's own span; `task` is the user's message."""
        self._task = task
        with self._span(
            f"invoke_agent {name}", gen_ai__operation__name="invoke_agent", gen_ai__agent__name=name
        ):
            yield

    def turn(self, tool: str, **arguments: object) -> object:
        """One round: the model asks for a tool, the tool runs; its failure is told to the model."""
        self._calls += 1
        self._context += 90
        call = {"type": "tool_call", "id": f"call_{self._calls}", "name": tool, "arguments": arguments}
        message = {"role": "user", "parts": [{"type": "text", "content": self._task}]}
        with self._span(
            "chat demo-model",
            gen_ai__operation__name="chat",
            gen_ai__request__model="demo-model",
            gen_ai__usage__input_tokens=self._context,
            gen_ai__usage__output_tokens=35,
            gen_ai__input__messages=json.dumps([message]),
            gen_ai__output__messages=json.dumps([{"role": "assistant", "parts": [call]}]),
        ):
            pass
        with self._span(
            f"execute_tool {tool}",
            gen_ai__operation__name="execute_tool",
            gen_ai__tool__name=tool,
            gen_ai__tool__call__id=f"call_{self._calls}",
            gen_ai__tool__call__arguments=json.dumps(arguments),
        ) as span:
            try:
                result = self._tools[tool](**arguments)
            except OSError as error:
                span.record_exception(error)
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR, str(error)))
                return None
            span.set_attribute("gen_ai.tool.call.result", json.dumps(result))
            return result


def support(agent: Agent, half: Callable[[], None]) -> None:
    """Looks for an order in the wrong place, again and again, until its budget is gone."""
    with agent.run("support", "Where is order 1234?"):
        for attempt in range(8):
            agent.turn("search_orders", customer="ada", order="1234")
            if attempt == 3:
                half()


def billing(agent: Agent, half: Callable[[], None]) -> None:
    """Retries a flaky service, then its process dies in the middle of its run."""
    with agent.run("billing", "Send invoice 77 to Ada."):
        while agent.turn("fetch_invoice", number=77) is None:
            pass
        half()
        trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]
        os._exit(137)  # as an out-of-memory kill: the agent's own span never ends


class FlakyService:
    """Answers 503 twice, then works."""

    def __init__(self) -> None:
        self._calls = 0

    def fetch_invoice(self, number: int) -> dict[str, object]:
        """The invoice, once the service is awake."""
        self._calls += 1
        if self._calls < 3:
            raise ConnectionError("503 Service Unavailable")
        return {"number": number, "amount": "120.00 EUR"}


def main(endpoint: str, role: str) -> None:
    """Run one agent against a sidecar."""
    logging.disable()  # what the exporter says while the sidecar is away would stand between the demo's lines
    provider = TracerProvider(resource=Resource.create({"service.name": f"demo-{role}"}))
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=True, timeout=_PATIENCE)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=200))
    trace.set_tracer_provider(provider)
    tools: dict[str, _Tool] = {
        "search_orders": lambda customer, order: {"customer": customer, "order": order, "matches": []},
        "fetch_invoice": FlakyService().fetch_invoice,
    }

    def half() -> None:
        provider.force_flush()
        sys.stdout.write("half\n")
        sys.stdout.flush()
        sys.stdin.readline()

    {"support": support, "billing": billing}[role](
        Agent(trace.get_tracer("demo"), f"demo-{role}", tools), half
    )
    provider.force_flush(_PATIENCE * 1000)  # `shutdown` gives up what is being tried again
    provider.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
