"""Google ADK: src/google/adk/telemetry.

Law of this file: `gcp.vertex.agent.llm_request` says nothing about a span's kind (it is `{}` on tool spans).
Output tokens leave out thoughts, and the cache is told only inside the response.
"""

from collections.abc import Mapping
from typing import Any, Final

from otel_ext.conventions.answers import answer_of
from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.conventions.values import call_arguments, call_result, decode, first_count, text_of
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "google_adk"
SCOPE: Final = "gcp.vertex.agent"
_ARGUMENTS: Final = "gcp.vertex.agent.tool_call_args"
_RESPONSE: Final = "gcp.vertex.agent.tool_response"
_ANSWER: Final = "gcp.vertex.agent.llm_response"
_MERGED: Final = "execute_tool (merged"


def kind_of(span: Span) -> Kind | None:
    """What a span of ADK's scope, or with its attributes, is: by operation, else by name."""
    attributes = span.attributes
    if span.scope != SCOPE and attributes.get("gen_ai.system") != SCOPE and _ARGUMENTS not in attributes:
        return None
    name = span.name
    if name.startswith(_MERGED):
        return Kind.OTHER
    if (kind := otel_genai.kind_of(span)) is not None and kind is not Kind.OTHER:
        return kind
    if name == "call_llm":
        return Kind.LLM
    if name.startswith("execute_tool "):
        return Kind.TOOL
    return Kind.AGENT if name.startswith(("agent_run [", "invoke_agent ")) else Kind.OTHER


def read(span: Span, kind: Kind) -> Observation:
    """The span's values: as in the semantic conventions, then from ADK's own attributes."""
    attributes = span.attributes
    found = otel_genai.read(span, kind)
    found.dialect = NAME
    if kind is Kind.TOOL:
        if found.arguments is NOT_CAPTURED:
            found.arguments = call_arguments(attributes.get(_ARGUMENTS))
        if found.result is NOT_CAPTURED:
            found.result = _result(attributes.get(_RESPONSE))
    elif kind is Kind.LLM and found.text is NOT_CAPTURED and isinstance(attributes.get(_ANSWER), str):
        response = decode(attributes[_ANSWER])
        if isinstance(response, Mapping):
            _answer(found, response)
    elif kind is Kind.AGENT and not found.name and "[" in span.name:
        found.name = found.agent_name = span.name.partition("[")[2].rstrip("]")
    return found


def _answer(found: Observation, response: Mapping[str, Any]) -> None:
    if response:  # `{}` when capture is off
        otel_genai.put_answer(found, answer_of(response))
        found.finish = found.finish or text_of(response.get("finish_reason"))
    if isinstance(usage := response.get("usage_metadata"), Mapping):
        found.cached_tokens = first_count(usage, "cached_content_token_count")
        thoughts = found.reasoning_tokens = first_count(usage, "thoughts_token_count")
        if found.output_tokens is not None and thoughts:
            found.output_tokens += thoughts


def _result(value: Any) -> Any:
    """A tool's response; what is no dict is wrapped in `{"result": ..}`."""
    result = call_result(value)
    if isinstance(result, str) and result.startswith('{"result"'):
        decoded = decode(result)
        if isinstance(decoded, Mapping) and set(decoded) == {"result"}:
            return call_result(decoded["result"])
    return result


DIALECT: Final = Dialect(
    NAME,
    "Google ADK",
    "google/adk-python, src/google/adk/telemetry",
    "scope or `gen_ai.system` `gcp.vertex.agent`, then the operation or the span's name",
    kind_of,
    read,
    (b"gcp.vertex.agent",),
    frozenset({SCOPE}),
    completes=frozenset({_ARGUMENTS, _RESPONSE, _ANSWER}),
    marks=frozenset({"gen_ai.system", _ARGUMENTS}),
    within=(SCOPE,),
)
