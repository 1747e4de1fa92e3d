"""A dialect's attributes to what the agent did: `Span` in, `Observation` out. One file a dialect.

Law of this room: reading never raises and never guesses. An attribute that is absent, or that only says that
something was withheld, is `NOT_CAPTURED`; a span that no dialect names is `Kind.OTHER`.
"""

from otel_ext.conventions.dialect import Told
from otel_ext.conventions.identity import (
    may_name_session,
    session_attributes,
    session_hints,
    session_keys,
    session_of,
)
from otel_ext.conventions.reading import (
    hints,
    observe,
    observe_events,
    observe_log,
    record_hints,
    scopes,
    span_records,
)
from otel_ext.conventions.values import storable

__all__ = [
    "Told",
    "hints",
    "may_name_session",
    "observe",
    "observe_events",
    "observe_log",
    "record_hints",
    "scopes",
    "session_attributes",
    "session_hints",
    "session_keys",
    "session_of",
    "span_records",
    "storable",
]
