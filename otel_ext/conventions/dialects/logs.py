"""What the log records of coding agents have in common.

Law of this file: numbers and truth values come as text as often as not, and a record's time is the end of
what it tells.
"""

from collections.abc import Mapping
from typing import Any

from otel_ext.conventions.dialect import Told
from otel_ext.conventions.times import MILLI, duration_of
from otel_ext.conventions.values import first_text, text_of
from otel_ext.span import Log, Value
from otel_ext.step import Kind, Observation


def event_name(log: Log) -> str:
    """A record's event: its own field, the attribute of that name, or its body where that is a name."""
    name = log.name or text_of(log.attributes.get("event.name"))
    body = log.body
    return name or (body if isinstance(body, str) and len(body) < 64 else "")


def failed(success: Any) -> bool:
    """Whether a `success` value says no; absent says nothing."""
    return success is False or (isinstance(success, str) and success.lower() == "false")


def milliseconds(attributes: Mapping[str, Value], key: str = "duration_ms") -> int:
    """A duration in milliseconds, number or text, as ns; 0 when there is none."""
    return duration_of(attributes.get(key), MILLI) or 0


def call_log(log: Log, found: Observation, *, agent: str = "") -> Told:
    """What a record of one finished call tells."""
    attributes = log.attributes
    identity = found.call_id or first_text(attributes, "event.sequence", "request_id", "response_id")
    return Told(seen=found, duration=milliseconds(attributes), identity=identity, agent=agent)


def prompt_log(log: Log, dialect: str, *, agent: str = "") -> Told:
    """A user's message. Its text is seldom there; what tells it from others is when it was said."""
    attributes = log.attributes
    identity = first_text(attributes, "prompt.id", "prompt_id", "event.sequence")
    turn = f"{identity} {log.time} {first_text(attributes, 'prompt')[:1_000]}"
    found = Observation(kind=Kind.OTHER, dialect=dialect, user_turns=1, user_turn=turn)
    return Told(seen=found, identity=identity, agent=agent)
