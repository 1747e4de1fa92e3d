"""OpenAI Agents SDK through Logfire: logfire/_internal/integrations/openai_agents.py.

Law of this file: the message template names the kind; the attributes are the SDK's own export of the span.
"""

from collections.abc import Mapping
from typing import Any, Final

from otel_ext.conventions.answers import answer_of
from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.conventions.values import call_arguments, call_result, decode, first_text, text_of
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "logfire_agents"
_SCOPE: Final = "logfire.openai_agents"
_TEMPLATE: Final = "logfire.msg_template"
_KINDS: Final = (
    ("Function: {name", Kind.TOOL),
    ("Handoff: {from_agent", Kind.TOOL),
    ("Agent run: {name", Kind.AGENT),
    ("Responses API with {", Kind.LLM),
    ("Chat completion with {", Kind.LLM),
)


def kind_of(span: Span) -> Kind | None:
    """What the span is by its message template."""
    template = span.attributes.get(_TEMPLATE)
    if not isinstance(template, str) or span.scope != _SCOPE:
        return None
    return next((kind for start, kind in _KINDS if template.startswith(start)), Kind.OTHER)


def read(span: Span, kind: Kind) -> Observation:
    """The span's values."""
    attributes = span.attributes
    found = otel_genai.read(span, kind)
    found.dialect = NAME
    if kind is Kind.TOOL:
        found.name = first_text(attributes, "name")
        found.handoff = first_text(attributes, "to_agent")
        found.arguments = call_arguments(attributes.get("input"))
        if found.handoff and found.arguments is NOT_CAPTURED:
            found.arguments = {"from": text_of(attributes.get("from_agent")), "to": found.handoff}
        found.result = call_result(attributes.get("output"))
    elif kind is Kind.AGENT:
        found.name = found.agent_name = first_text(attributes, "name")
    elif found.text is NOT_CAPTURED and isinstance(response := decode(attributes.get("response")), Mapping):
        answer = answer_of(response.get("output"))
        otel_genai.put_answer(found, answer)
        found.response_id = found.response_id or text_of(response.get("id"))
    error: Any = decode(attributes.get("error"))
    if error:
        found.error = True
        found.error_text = text_of(error.get("message")) if isinstance(error, Mapping) else text_of(error)
    return found


DIALECT: Final = Dialect(
    NAME,
    "OpenAI Agents SDK through Logfire",
    "pydantic/logfire, integrations/openai_agents.py",
    "scope `logfire.openai_agents` and `logfire.msg_template`",
    kind_of,
    read,
    scopes=frozenset({_SCOPE}),
    marks=frozenset({_TEMPLATE}),
)
