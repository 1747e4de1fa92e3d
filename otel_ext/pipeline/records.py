"""What the engine writes into the journal: requests, facts about sessions and processes, ticks.

Law of this file: a record holds all that its processing may depend on (law L7). The journal gives it
a wall time and an engine time; the payload of a request is the OTLP request as it was received. Only where
spans were rejected it lacks them and says before it how many they were and why; it then begins with a zero
byte, which no message of protobuf does (there is no field 0), so that in the rule nothing is copied. A
single span of this process stands there packed (`otlp.packed`, whose first byte is another one):

    request   OTLP request, or one packed span, or: zero byte | u32 length of `reasons`
              | reasons: MessagePack map reason -> count | OTLP request
    tick      nothing: engine time passes although nothing arrived
    settle    nothing: what waits for a session id or its turn waits no longer (a polite stop)
    finish    nothing: the input is over, so every session has ended as well (the end of a replay or process)
    started   OTLP request of spans that have begun and not ended, as far as they are known, or a packed one
    mark      MessagePack [session id, "crashed" or "ended", reason]: somebody states a fact about a session
    died      nothing: the process whose records these are died; what it had begun will never end
    logs, metrics   as `request`, of these
    relay     OTLP request of spans that another engine made itself: in its files, and to go out from here

A record's `items` is the number of spans, log records or data points received, the rejected included
(law L4); spans that have only begun are not received yet.
"""

import struct
from typing import Final, Literal, TypeAlias

import msgspec

from otel_ext.otlp.packed import PACKED, request, unpack
from otel_ext.telemetry import Telemetry

REQUEST: Final = 1
TICK: Final = 2
SETTLE: Final = 3
FINISH: Final = 4
STARTED: Final = 5
MARK: Final = 6
DIED: Final = 7
LOGS: Final = 8
METRICS: Final = 9
RELAY: Final = 10

ENDS: Final = frozenset((SETTLE, FINISH, DIED))
"""Kinds of record after which nothing waits any longer."""

KIND_OF: Final = {Telemetry.TRACES: REQUEST, Telemetry.LOGS: LOGS, Telemetry.METRICS: METRICS}
"""The kind of record in which a request of each telemetry lies."""
TELEMETRY_OF: Final = {kind: telemetry for telemetry, kind in KIND_OF.items()}

MarkKind: TypeAlias = Literal["crashed", "ended"]
"""What can be stated of a session: it crashed (never taken back), or it is over."""

_HEAD = struct.Struct("<BI")
_decode_mark = msgspec.msgpack.Decoder(tuple[str, MarkKind, str]).decode
_decode = msgspec.msgpack.Decoder(dict[str, int]).decode


def pack_request(body: bytes, rejected: dict[str, int]) -> bytes:
    """A request record's payload."""
    if not rejected:
        return body
    reasons = msgspec.msgpack.encode(rejected, order="deterministic")
    return _HEAD.pack(0, len(reasons)) + reasons + body


def unpack_request(payload: bytes) -> tuple[bytes, dict[str, int]]:
    """`(OTLP request, rejected by reason)` of a request's or a started record's payload."""
    body, rejected = open_request(payload)
    return request(unpack(body)) if body[:1] == PACKED else body, rejected


def open_request(payload: bytes) -> tuple[bytes, dict[str, int]]:
    """As `unpack_request`, a packed span as it is: `Groups` reads both."""
    if not payload or payload[0]:
        return payload, {}
    _, length = _HEAD.unpack_from(payload)
    start = _HEAD.size + length
    return payload[start:], _decode(payload[_HEAD.size : start])


def pack_mark(session_id: str, kind: MarkKind, reason: str) -> bytes:
    """A mark record's payload."""
    return msgspec.msgpack.encode((session_id, kind, reason))


def unpack_mark(payload: bytes) -> tuple[str, MarkKind, str]:
    """`(session id, kind, reason)` of a payload."""
    return _decode_mark(payload)
