"""Which conversation a span belongs to, as far as its own attributes say.

Law of this file: only keys that mean a *conversation* count. `mcp.session.id` is a transport connection,
`langsmith.trace.session_id` a project, `service.instance.id` a process: none of them is ever a session.
"""

from collections.abc import Mapping
from typing import Final

from otel_ext.conventions.values import decode, storable, text_of
from otel_ext.span import Value

MLFLOW: Final = "mlflow.trace.session"

session_keys: Final[tuple[str, ...]] = (
    "langfuse.session.id",
    "session.id",  # OpenInference, Claude Code, general semantic conventions
    "gen_ai.conversation.id",  # semantic conventions 1.34
    "gcp.vertex.agent.session_id",
    "conversation.id",  # Codex CLI
    "langsmith.metadata.thread_id",
    "langsmith.metadata.session_id",
    "langsmith.metadata.conversation_id",
    "ai.telemetry.metadata.sessionId",  # Vercel AI SDK
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.thread_id",
    "traceloop.association.properties.conversation_id",
    "traceloop.association.properties.chat_id",
    MLFLOW,
    "lmnr.association.properties.session_id",
)
"""Attribute keys in order of precedence; the first with a usable value wins."""

session_hints: Final[tuple[bytes, ...]] = (
    *(b"session", b"conversation", b"thread_id"),
    b"traceloop.association.properties.chat_id",
)
"""A span whose wire bytes hold none of these has no session of its own (complete; false hits are cheap)."""

_METADATA: Final = "metadata"

session_attributes: Final = frozenset((*session_keys, _METADATA))
"""The attributes that `session_of` looks at: of others it knows nothing."""

_METADATA_KEYS = ("session_id", "conversation_id", "thread_id")
_MAX_METADATA = 16_384


def may_name_session(data: bytes) -> bool:
    """Whether an encoded span or log record, or a request of one, may name its session."""
    return any(hint in data for hint in session_hints)


def session_of(attributes: Mapping[str, Value]) -> str | None:
    """The span's conversation id by precedence, or None: the caller then inherits or takes the trace id.

    A value must be a string that is not blank and not a redaction sentinel; an int becomes decimal text, and
    what no encoder takes (lone surrogates, which JSON can spell) is escaped, so that it can be stored. The
    last resort is OpenInference LangChain's `metadata`, a JSON object in which the framework's thread is.
    """
    for key in session_keys:
        if key in attributes and (text := text_of(attributes[key])).strip():
            # MLflow writes every value as JSON, texts too.
            whole = text_of(decode(text)) if key == MLFLOW and text.startswith('"') else text
            return storable(whole or text)
    metadata = attributes.get(_METADATA)
    if isinstance(metadata, str):
        if len(metadata) > _MAX_METADATA or not any(k in metadata for k in _METADATA_KEYS):
            return None
        metadata = decode(metadata)
    if isinstance(metadata, Mapping):
        for key in _METADATA_KEYS:
            if (text := text_of(metadata.get(key))).strip():
                return storable(text)
    return None
