"""LiteLLM: litellm/integrations/opentelemetry.py, versions 1 and 2.

Law of this file: `raw_gen_ai_request` tells the same call as the `litellm_request` above it, so it is a view.
"""

from typing import Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.span import Span
from otel_ext.step import Kind, Observation

NAME: Final = "litellm"
_RAW: Final = "raw_gen_ai_request"


def kind_of(span: Span) -> Kind | None:
    """By its two names, else by operation in its scope."""
    if span.name in {"litellm_request", _RAW}:
        return Kind.LLM
    return otel_genai.kind_of(span) if span.scope == "litellm" else None


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
    "names `litellm_request`, `raw_gen_ai_request`; scope `litellm`",
    kind_of,
    read,
    (b"gen_ai.operation.name", b"litellm_request", _RAW.encode()),
)
