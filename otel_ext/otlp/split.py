"""A request taken apart down to its spans, log records or metrics, which stay the producer's bytes.

Law of this file: nothing is parsed below the groups under a resource and a scope, which have one wire shape
in all three requests, and nothing is copied but the items themselves.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.schema import Request, ResourceSpans, ScopeSpans


class Group(NamedTuple):
    """Resource, its schema URL, scope, its schema URL, and the items beneath them."""

    resource: bytes
    resource_url: str
    scope: bytes
    scope_url: str
    items: Sequence[bytes]


def request_of(
    resource: bytes, scope: bytes, span: bytes, *, resource_url: str = "", scope_url: str = ""
) -> bytes:
    """An encoded request of one span, from encoded parts; an empty resource or scope is left out."""
    scope_spans = ScopeSpans(
        scope=[scope] if scope else [], spans=[span], schema_url=scope_url.encode("utf-8", "replace")
    )
    return Request(
        resource_spans=[
            ResourceSpans(
                resource=[resource] if resource else [],
                scope_spans=[scope_spans],
                schema_url=resource_url.encode("utf-8", "replace"),
            )
        ]
    ).SerializeToString()


def split(body: bytes) -> Iterator[Group]:
    """The groups of an encoded request (or TracesData and its like), in order.

    Yields:
        (resource, resource schema URL, scope, scope schema URL, items); an absent resource or scope is
        `b""`. A schema URL that is not UTF-8 (admission lets none pass) has its bad bytes replaced.

    Raises:
        InvalidRequest: the bytes are no such message.
    """
    for resource_spans in _request(body).resource_spans:
        resource = b"".join(resource_spans.resource)
        resource_url = resource_spans.schema_url.decode("utf-8", "replace")
        for scope_spans in resource_spans.scope_spans:
            scope = b"".join(scope_spans.scope)
            scope_url = scope_spans.schema_url.decode("utf-8", "replace")
            yield Group(resource, resource_url, scope, scope_url, scope_spans.spans)


def count(body: bytes) -> int:
    """How many spans, log records or metrics the request holds.

    Raises:
        InvalidRequest: the bytes are no such message.
    """
    return sum(len(s.spans) for r in _request(body).resource_spans for s in r.scope_spans)


def _request(body: bytes) -> Request:
    try:
        return Request.FromString(body)
    except DecodeError:
        raise InvalidRequest(f"{len(body)} bytes that are not an OTLP request") from None
