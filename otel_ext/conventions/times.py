"""Durations and instants that producers put into attributes, each in its own unit.

Law of this file: a unit belongs to a key, never to the size of a number. What is negative, not a number or
longer than `LONGEST` is not a duration.
"""

import math
from datetime import UTC, datetime
from typing import Any, Final

from otel_ext.span import Span

SECOND: Final = 1_000_000_000
MILLI: Final = 1_000_000
LONGEST: Final = 30 * 86_400 * SECOND

_FIRST_TOKEN: Final = {
    # Semantic conventions 1.41; Vercel's AI SDK 7 and Pydantic-AI use the metric's name for an attribute.
    "gen_ai.response.time_to_first_chunk": SECOND,
    "gen_ai.client.operation.time_to_first_chunk": SECOND,
    "gen_ai.streaming.time_to_first_token": SECOND,  # AgentOps
    "gen_ai.server.time_to_first_token": MILLI,  # Strands; the metric of that name is in seconds
    "ai.response.msToFirstChunk": MILLI,
    "ai.stream.msToFirstChunk": MILLI,
    "ttft_ms": MILLI,  # Claude Code
    "time_to_first_token_ms": MILLI,  # OpenInference realtime
    "gen_ai.user.time_to_first_token": 1,  # Dify
}
_STARTED: Final = "langfuse.observation.completion_start_time"
_EVENTS: Final = frozenset(("First Token Stream Event", "ai.stream.firstChunk"))


def duration_of(value: Any, unit: int) -> int | None:
    """A duration in ns; `value` is a number or its text, `unit` ns for one of it."""
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= 32 else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return round(value * unit) if 0 <= value * unit <= LONGEST else None


def instant_of(value: Any) -> int | None:
    """Ns since the epoch of an ISO 8601 text (quoted once too often by some); without a zone it is UTC."""
    if not isinstance(value, str) or len(value) > 48:
        return None
    try:
        found = datetime.fromisoformat(value.strip().strip('"'))
        moment = found if found.tzinfo else found.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def first_token(span: Span) -> int | None:
    """Ns from a model call's start to its first token or chunk, by whichever key or event tells it."""
    attributes = span.attributes
    for key in _FIRST_TOKEN if not _FIRST_TOKEN.keys().isdisjoint(attributes) else ():
        if key in attributes and (found := duration_of(attributes[key], _FIRST_TOKEN[key])) is not None:
            return found
    instant = instant_of(attributes[_STARTED]) if _STARTED in attributes else None
    if instant is None:
        instant = next((event.time for event in span.events if event.name in _EVENTS and event.time), None)
    if instant is None or not span.start or not 0 <= instant - span.start <= LONGEST:
        return None
    return instant - span.start
