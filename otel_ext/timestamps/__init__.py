"""Which unit is this, and what was repaired.

Two questions, two functions. `parse_instant` reads an instant in any of the JSON shapes that producers
write. `repair` judges the start and end of a span, both meant to be ns since the epoch, against the time
at which they were received, and mends the unit where it is certain.

Instants are integers of nanoseconds since 1970-01-01 UTC; 0 means unknown; no float ever holds one.

Attributes that a repaired or doubtful span carries (nothing is added to an ordinary one):

`otel_ext.timestamp.original.start`, `otel_ext.timestamp.original.end`
    What the producer sent, as a decimal string; present only if the time was changed.
`otel_ext.timestamp.unit.start`, `otel_ext.timestamp.unit.end`
    The unit it was sent in: `s`, `ms` or `us`; `unknown` when no unit fits and the time was set to 0.
`otel_ext.timestamp.flags`
    Array of strings: `start_missing`, `end_missing`, `unknown_unit`, `future`, `past`,
    `end_before_start`.
`otel_ext.timestamp.unreadable.start`, `.end`; `.time` on an event
    The text of a time that could not be read; written by `otlp.read_traces`, not here.

A span with any flag has no known duration. Values that are merely doubtful (future, past, end before
start) stay as they are; nothing is swapped or guessed.
"""

from otel_ext.timestamps.instant import parse_instant
from otel_ext.timestamps.repair import (
    END_BEFORE_START,
    END_MISSING,
    FLAGS,
    FUTURE,
    ORIGINAL_END,
    ORIGINAL_START,
    PAST,
    START_MISSING,
    UNIT_END,
    UNIT_START,
    UNKNOWN_UNIT,
    Repair,
    ordinary,
    repair,
)

__all__ = [
    "END_BEFORE_START",
    "END_MISSING",
    "FLAGS",
    "FUTURE",
    "ORIGINAL_END",
    "ORIGINAL_START",
    "PAST",
    "START_MISSING",
    "UNIT_END",
    "UNIT_START",
    "UNKNOWN_UNIT",
    "Repair",
    "ordinary",
    "parse_instant",
    "repair",
]
