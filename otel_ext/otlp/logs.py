"""Log records read as far as somebody asks, and requests put together again.

Law of this file: an item stays the producer's bytes; what is read of a log record is who it belongs to.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.schema import AnyValue, RawLog, Request, ResourceSpans, ScopeSpans
from otel_ext.otlp.split import Group
from otel_ext.otlp.values import value_of
from otel_ext.span import Log, Value


def parse_log(raw: bytes) -> RawLog:
    """An admitted log record's ids, times and attributes, which stay encoded."""
    return RawLog.FromString(raw)


def to_log(
    log: RawLog, attributes: Mapping[str, Value], resource: Mapping[str, Value], scope: str, *, time: int
) -> Log:
    """The log record in the words of the rooms above the wire.

    Args:
        log: the parsed record.
        attributes: its `attributes`.
        resource: `resource_attributes` of its resource.
        scope: `scope_name` of its scope.
        time: its time, ns, after any repair.

    Raises:
        InvalidRequest: the body is no AnyValue.
    """
    try:
        body = value_of(AnyValue.FromString(b"".join(log.body))) if log.body else None
    except DecodeError:
        raise InvalidRequest("a log record's body that cannot be decoded") from None
    name = log.event_name.decode("utf-8", "replace")
    return Log(name, time, attributes, log.trace_id, log.span_id, body, resource, scope)


def pack(groups: Iterable[Group]) -> bytes:
    """An encoded request of what `split` gives; neighbours under one resource stay together."""
    request: Any = Request()
    above: tuple[bytes, str] | None = None
    for resource, resource_url, scope, scope_url, items in groups:
        if above != (resource, resource_url):
            above = resource, resource_url
            url = resource_url.encode()
            request.resource_spans.append(
                ResourceSpans(resource=[resource] if resource else [], schema_url=url)
            )
        request.resource_spans[-1].scope_spans.append(
            ScopeSpans(scope=[scope] if scope else [], spans=items, schema_url=scope_url.encode())
        )
    packed: bytes = request.SerializeToString()
    return packed
