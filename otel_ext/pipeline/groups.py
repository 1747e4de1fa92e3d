"""What the spans under one scope share, read once for each resource and scope.

Law of this file: a memo depends on bytes alone, so it may be forgotten at any time and no result changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from otel_ext import conventions, otlp
from otel_ext.otlp.packed import PACKED, PackedSpan, Shared, encode, shared, unpack
from otel_ext.span import Value

_CACHE: Final = 4096
"""Resources and scopes whose reading is remembered."""


class Group(NamedTuple):
    """What the spans under one scope share."""

    resource: bytes
    resource_url: str
    scope: bytes
    scope_url: str
    session_id: str
    resource_attributes: Mapping[str, Value]
    scope_name: str


class Groups:
    """Takes requests apart; remembers resources and scopes by their bytes."""

    def __init__(self) -> None:
        self._resources: dict[bytes, tuple[str, Mapping[str, Value]]] = {}
        self._scopes: dict[bytes, str] = {}
        self._alone: dict[Shared, Group] = {}

    def of(self, body: bytes) -> Iterator[tuple[Group, Sequence[bytes]]]:
        """The spans of a request, or a packed one, encoded, under what they share."""
        if body[:1] == PACKED:
            group, span = self.packed(body)
            yield group, (encode(span),)
            return
        for resource, resource_url, scope, scope_url, spans in otlp.split(body):
            session_id, attributes = self.resource(resource)
            name = self.scope_name(scope)
            yield Group(resource, resource_url, scope, scope_url, session_id, attributes, name), spans

    def packed(self, body: bytes) -> tuple[Group, PackedSpan]:
        """A packed span under what it shares with others of this process."""
        span = unpack(body)
        common = shared(span)
        group = self._alone.get(common)
        if group is None:
            if len(self._alone) >= _CACHE:
                self._alone.clear()
            resource, url, scope, scope_url = common
            session_id, attributes = self.resource(resource)
            group = self._alone[common] = Group(
                *(resource, url.decode("utf-8", "replace"), scope, scope_url.decode("utf-8", "replace")),
                *(session_id, attributes, self.scope_name(scope)),
            )
        return group, span

    def resource(self, resource: bytes) -> tuple[str, Mapping[str, Value]]:
        """`(session id or "", attributes)` of a resource."""
        known = self._resources.get(resource)
        if known is None:
            if len(self._resources) >= _CACHE:
                self._resources.clear()
            attributes = otlp.resource_attributes(resource)
            known = self._resources[resource] = (conventions.session_of(attributes) or "", attributes)
        return known

    def scope_name(self, scope: bytes) -> str:
        """A scope's name."""
        known = self._scopes.get(scope)
        if known is None:
            if len(self._scopes) >= _CACHE:
                self._scopes.clear()
            known = self._scopes[scope] = otlp.scope_name(scope)
        return known
