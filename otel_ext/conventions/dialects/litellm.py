"""LiteLLM: litellm/integrations/opentelemetry.py, versions 1 and 2.

Law of this file: `raw_gen_ai_request` tells the same call as the `litellm_request` above it, so it is a view.
"""

from typing import Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.span import Span
from otel_ext.step import Kind, Observation

NAME: Final = "litellm"
_SCOPE: Final = "litellm"
_RAW: Final = "raw_gen_ai_request"


def kind_of(span: Span) -> Kind | None:
    """In its scope: by its two names, else by operation."""
    if span.scope != _SCOPE:
        return None
    return Kind.LLM if span.name in {"litellm_request", _RAW} else otel_genai.kind_of(span)


def read(span: Span, kind: Kind) -> Observation:
    """The span's values, as in the semantic conventions and their older names."""
    found = otel_genai.read(span, kind)
    found.dialect = NAME
    found.view = span.name == _RAW
    return found


DIALECT: Final = Dialect(
    NAME,
    "LiteLLM",
    "BerriAI/litellm, litellm/integrations/opentelemetry.py",
    "scope `litellm`, then the names `litellm_request`, `raw_gen_ai_request` or the operation",
    kind_of,
    read,
    scopes=frozenset({_SCOPE}),
    within=(_SCOPE,),
)
