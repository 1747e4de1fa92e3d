"""What a feed hands out, and what it is told of it.

Law of this file: plain data.
"""

from typing import NamedTuple

import msgspec

from otel_ext.journal import Position
from otel_ext.telemetry import Telemetry


class Part(NamedTuple):
    """An encoded request and how many items it carries."""

    body: bytes
    items: int


class Outcome(msgspec.Struct, kw_only=True):
    """What became of a batch's items; the names are those of `Tally`."""

    sent: int = 0
    rejected: int = 0
    quarantined: int = 0
    overflow: int = 0
    expired: int = 0
    refused: int = 0


class Batch(msgspec.Struct, kw_only=True, eq=False):
    """Consecutive records' requests of one telemetry, to be sent as one: their encodings joined.

    Attributes:
        telemetry: what it is.
        parts: the requests, in order.
        items: in all of them.
        start, end: the records' place in the journal.
        outcome: set once it is done.
    """

    telemetry: Telemetry
    parts: list[Part]
    items: int
    start: Position
    end: Position
    outcome: Outcome | None = None
