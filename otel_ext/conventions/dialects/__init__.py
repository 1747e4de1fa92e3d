"""One file a dialect, and the order in which they are asked.

Law of this room: a dialect is chosen by its discriminator alone. Marks that only one producer sets come
before keys that several share; what can be anything comes last.
"""

from typing import Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import (
    agentops,
    anthropic_spans,
    autogen,
    claude_code,
    codex,
    crewai,
    dify,
    gemini_cli,
    google_adk,
    laminar,
    langfuse,
    langsmith,
    litellm,
    logfire_agents,
    mlflow,
    ms_agent_framework,
    openinference,
    openllmetry,
    otel_genai,
    presence,
    pydantic_ai,
    semantic_kernel,
    strands,
    vercel,
    vercel_otel,
)

ORDER: Final[tuple[Dialect, ...]] = (
    crewai.DIALECT,
    openinference.DIALECT,
    claude_code.DIALECT,
    codex.DIALECT,
    gemini_cli.DIALECT,
    google_adk.DIALECT,
    strands.DIALECT,
    pydantic_ai.DIALECT,
    logfire_agents.DIALECT,
    langsmith.DIALECT,
    litellm.DIALECT,
    dify.DIALECT,
    ms_agent_framework.DIALECT,
    semantic_kernel.DIALECT,
    autogen.DIALECT,
    vercel_otel.DIALECT,
    otel_genai.DIALECT,
    openllmetry.DIALECT,
    vercel.DIALECT,
    mlflow.DIALECT,
    laminar.DIALECT,
    agentops.DIALECT,
    anthropic_spans.DIALECT,
    langfuse.DIALECT,
    presence.DIALECT,
)

__all__ = ["ORDER"]
