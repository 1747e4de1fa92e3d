"""Strands Agents: src/strands/telemetry/tracer.py.

Law of this file: a tool's arguments and result are in span events only. The agent span's usage is that of
the agent object's whole life and is never read.
"""

from typing import Any, Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.conventions.values import call_arguments, call_result, decode
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "strands"
_SYSTEM: Final = "strands-agents"


def kind_of(span: Span) -> Kind | None:
    """By operation, where the provider is Strands."""
    attributes = span.attributes
    if attributes.get("gen_ai.system") == _SYSTEM or attributes.get("gen_ai.provider.name") == _SYSTEM:
        return otel_genai.kind_of(span)
    return None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values; a tool's also from the opt-in event with its messages."""
    found = otel_genai.read(span, kind)
    found.dialect = NAME
    if kind is not Kind.TOOL:
        return found
    for event in span.events:
        if event.name == otel_genai.DETAILS:
            for key in ("gen_ai.input.messages", "gen_ai.output.messages"):
                for part in _parts(event.attributes.get(key)):
                    if part.get("type") == "tool_call" and found.arguments is NOT_CAPTURED:
                        found.arguments = call_arguments(part.get("arguments"))
                    elif part.get("type") == "tool_call_response" and found.result is NOT_CAPTURED:
                        found.result = call_result(part.get("response", part.get("result")))
    return found


def _parts(messages: Any) -> list[dict[str, Any]]:
    messages = decode(messages)
    if not isinstance(messages, list):
        return []
    groups = [message.get("parts") for message in messages if isinstance(message, dict)]
    return [part for group in groups if isinstance(group, list) for part in group if isinstance(part, dict)]


DIALECT: Final = Dialect(
    NAME,
    "Strands Agents",
    "strands-agents/sdk-python, src/strands/telemetry/tracer.py",
    "`gen_ai.system` or `gen_ai.provider.name` = `strands-agents`, then the operation",
    kind_of,
    read,
    (b"gen_ai.",),
    marks=frozenset({"gen_ai.system", "gen_ai.provider.name"}),
)
