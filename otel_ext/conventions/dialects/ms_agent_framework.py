"""Microsoft Agent Framework: python/packages/core/agent_framework/observability.py.

Law of this file: a workflow's run bounds its agents; executors, edges and messages are structure.
"""

from typing import Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.conventions.values import decode, first_text, text_of
from otel_ext.span import Span
from otel_ext.step import Kind, Observation

NAME: Final = "ms_agent_framework"
_SCOPE: Final = "agent_framework"
_PROVIDER: Final = "microsoft.agent_framework"


def kind_of(span: Span) -> Kind | None:
    """By operation where scope or provider is the framework's; a workflow's run by its name."""
    attributes = span.attributes
    if span.name == "workflow.run" and span.scope == _SCOPE:
        return Kind.AGENT
    if span.scope == _SCOPE or attributes.get("gen_ai.provider.name") == _PROVIDER:
        return otel_genai.kind_of(span)
    return None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values, as in the semantic conventions."""
    found = otel_genai.read(span, kind)
    found.dialect = NAME
    if found.call_id.startswith('["'):  # [run id, call id] as JSON text
        ids = decode(found.call_id)
        found.call_id = text_of(ids[-1]) if isinstance(ids, list) and ids else ""
    if kind is Kind.AGENT and not found.name:
        found.name = first_text(span.attributes, "workflow.name", "workflow.id")
    return found


DIALECT: Final = Dialect(
    NAME,
    "Microsoft Agent Framework",
    "microsoft/agent-framework, observability",
    "scope `agent_framework` or `gen_ai.provider.name` = `microsoft.agent_framework`, then the operation",
    kind_of,
    read,
    (b"gen_ai.",),
    frozenset({_SCOPE}),
    marks=frozenset({"gen_ai.provider.name"}),
    within=(_SCOPE,),
)
