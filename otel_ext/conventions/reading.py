"""The order in which dialects are asked, and what one adds to another.

Law of this file: unknown stays unknown. A span that no discriminator names is `OTHER`, whatever else it
looks like; a dialect is chosen by its discriminator alone, never by a stray attribute.
"""

from typing import Final

from otel_ext.conventions import openinference, otel_genai
from otel_ext.conventions.failures import failure
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

_OTHER, _LLM = Kind.OTHER, Kind.LLM  # looked up once: a member of an enum costs more than a branch

OWN_SCOPE: Final = "otel_ext"

hints: Final[tuple[bytes, ...]] = (
    openinference.SPAN_KIND.encode(),
    otel_genai.OPERATION.encode(),
    otel_genai.METHOD.encode(),
)
"""A span whose wire bytes hold none of these is `OTHER`; complete, because each discriminator is one key."""


def observe(span: Span) -> Observation:
    """The span read in its dialect: `openinference.span.kind`, then `gen_ai.operation.name`, then MCP.

    Real spans carry two dialects at once. The first discriminator decides what the span is; values that its
    dialect left empty are completed from the other one. Usage is reported for model calls only, because
    producers repeat it up the tree.
    """
    attributes = span.attributes
    if span.scope == OWN_SCOPE:
        return Observation(kind=_OTHER, dialect=OWN_SCOPE, name=span.name)
    # Logfire announces a span by a zero-length twin; Google ADK sums up calls that it has already told.
    if (
        attributes.get("logfire.span_type") == "pending_span"
        or attributes.get("gen_ai.tool.name") == otel_genai.MERGED_TOOLS
    ):
        return Observation(kind=_OTHER, name=span.name)
    if (kind := openinference.kind_of(span)) is not None:
        found = openinference.read(span, kind)
        if otel_genai.present(span) and kind is not _OTHER:
            _complete(found, otel_genai.read(span, kind))
    elif (kind := otel_genai.kind_of(span)) is not None:
        found = otel_genai.read(span, kind)
        if openinference.present(span) and kind is not _OTHER:
            _complete(found, openinference.read(span, kind))
    else:
        return Observation(kind=_OTHER, name=span.name)
    if not found.name and kind is not _LLM:
        found.name = span.name
    failed, text = failure(span, found.result)
    if failed:
        found.error, found.error_text = True, text
    return found


def _complete(found: Observation, other: Observation) -> None:
    if found.arguments is NOT_CAPTURED:
        found.arguments = other.arguments
    if found.result is NOT_CAPTURED:
        found.result = other.result
    found.name = found.name or other.name
    found.call_id = found.call_id or other.call_id
    found.response_id = found.response_id or other.response_id
    found.issued = found.issued or other.issued
    found.agent_name = found.agent_name or other.agent_name
    found.agent_id = found.agent_id or other.agent_id
    if found.input_tokens is None:
        found.input_tokens = other.input_tokens
    if found.output_tokens is None:
        found.output_tokens = other.output_tokens
    if found.cached_tokens is None:
        found.cached_tokens = other.cached_tokens
    if found.user_turns is None:
        found.user_turns, found.user_turn = other.user_turns, other.user_turn
