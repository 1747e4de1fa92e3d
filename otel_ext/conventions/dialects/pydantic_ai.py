"""Pydantic-AI, instrumentation versions 2 to 6: pydantic_ai/models/instrumented.py.

Law of this file: an agent span's usage is a sum over its model calls and is never read. A call that was
deferred or waits for an approval did not fail.
"""

from typing import Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.conventions.messages import turns
from otel_ext.conventions.values import call_arguments, call_result, captured, first_text
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "pydantic_ai"
_SCOPE: Final = "pydantic-ai"
_MESSAGES: Final = ("pydantic_ai.all_messages", "all_messages_events")


def kind_of(span: Span) -> Kind | None:
    """By operation where the scope or an attribute is Pydantic-AI's, else by the names of version 2."""
    attributes = span.attributes
    if span.name.startswith("running tool") and "gen_ai.tool.name" in attributes:
        return Kind.TOOL
    if span.scope != _SCOPE and (_MESSAGES[0] not in attributes or "gen_ai.agent.name" not in attributes):
        return None
    if (kind := otel_genai.kind_of(span)) is not None:
        return kind
    return Kind.AGENT if "agent_name" in attributes else None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values: as in the semantic conventions, then by the names of version 2."""
    attributes = span.attributes
    found = otel_genai.read(span, kind)
    found.dialect = NAME
    if kind is Kind.TOOL:
        if found.arguments is NOT_CAPTURED:
            found.arguments = call_arguments(attributes.get("tool_arguments"))
        if found.result is NOT_CAPTURED:
            found.result = call_result(attributes.get("tool_response"))
    elif kind is Kind.AGENT:
        found.agent_name = found.agent_name or first_text(attributes, "agent_name")
        found.name = found.name or found.agent_name
        if (final := captured(attributes.get("final_result"))) is not NOT_CAPTURED:
            found.text = final
        if found.task is NOT_CAPTURED:
            messages = next((attributes[key] for key in _MESSAGES if key in attributes), None)
            found.task = turns(captured(messages))[1] or NOT_CAPTURED
    return found


DIALECT: Final = Dialect(
    NAME,
    "Pydantic-AI",
    "pydantic/pydantic-ai, pydantic_ai/models/instrumented.py",
    "scope `pydantic-ai`, then the operation; `agent_name`, or a name `running tool` (version 2)",
    kind_of,
    read,
    (b"gen_ai.",),
    frozenset({_SCOPE}),
    completes=frozenset({"tool_arguments", "tool_response", "final_result"}),
    marks=frozenset({"gen_ai.tool.name", _MESSAGES[0]}),
    within=(_SCOPE,),
)
