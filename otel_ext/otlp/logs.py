"""Log records read as far as somebody asks, and requests put together again.

Law of this file: an item stays the producer's bytes; what is read of a log record is who it belongs to.
"""

from collections.abc import Iterable
from typing import Any

from otel_ext.otlp.schema import RawLog, Request, ResourceSpans, ScopeSpans
from otel_ext.otlp.split import Group


def parse_log(raw: bytes) -> RawLog:
    """An admitted log record's ids, times and attributes, which stay encoded."""
    return RawLog.FromString(raw)


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
