"""Spans as OTLP/JSON lines (OTLP File Exporter specification).

Law of this file: a line ends with the only newline in it; fields at their default are left out. Read back by
`jsonread`, a line gives a protobuf equal to the one it was made of (a NaN's payload bits excepted).
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.jsonvalues import quote
from otel_ext.otlp.rendering import counted_attributes
from otel_ext.otlp.schema import Resource, Scope
from otel_ext.telemetry import Telemetry

ScopeGroup: TypeAlias = tuple[bytes, str, Sequence[bytes]]
"""Encoded InstrumentationScope, its schema URL, and its spans' JSON (`span_json`)."""
ResourceGroup: TypeAlias = tuple[bytes, str, Sequence[ScopeGroup]]
"""Encoded Resource, its schema URL, and its scopes."""

DERIVED: Final = b',"otel_ext":{"derived":1}}\n'
"""What a line of derived spans ends in."""
_END: Final = b"}\n"
_AFTER: Final = re.compile(rb',"otel_ext":\{"after":([0-9]+)\}\}\n\Z')

MEMBERS: Final = {
    Telemetry.TRACES: "resourceSpans",
    Telemetry.LOGS: "resourceLogs",
    Telemetry.METRICS: "resourceMetrics",
}
"""The one member of a line."""

_ENVELOPES: Final = 1024
"""Resources and scopes whose JSON is kept; a process has one resource and some tens of scopes."""


def line(groups: Sequence[ResourceGroup], *, derived: bool = False) -> bytes:
    """One TracesData object and its newline.

    Args:
        groups: its spans.
        derived: they are our own; the line ends in `DERIVED`, because a span of ours may also be received.

    Raises:
        InvalidRequest: a resource or scope cannot be decoded.
    """
    # What stands around spans hangs on the first and the last of them, so that they are copied only once.
    texts: list[bytes] = []
    for resource, url, scopes in groups:
        head = _resource_head(resource, url)
        if not scopes:
            texts.append(head)
        for scope, scope_url, spans in scopes:
            first = len(texts)
            texts += spans or (b"",)
            texts[first] = b"%b%b%b" % (head, _scope_head(scope, scope_url), texts[first])
            texts[-1] += b"]}"
            head = b""
        texts[-1] += b"]}"
    texts = texts or [b""]
    texts[0] = b'{"resourceSpans":[' + texts[0]
    texts[-1] += b"]" + (DERIVED if derived else _END)
    return b",".join(texts)


def header_line(unique: str, session_id: str, telemetry: Telemetry = Telemetry.TRACES) -> bytes:
    """The first line of a file: an empty TracesData (or its like) that makes the file's first bytes its own.

    File receivers tell files apart by their first 1,000 bytes, and readers of OTLP/JSON ignore unknown
    keys; so no foreign span appears. The unique id comes first, because session ids may be long.
    """
    data = b'"file":%b,"session":%b' % (quote(unique), quote(session_id))
    return b'{"otel_ext":{%b},"%b":[]}\n' % (data, MEMBERS[telemetry].encode())


def read_header(line: bytes) -> tuple[str, str | None] | None:
    """`(unique id, session id)` of a header line, None when it is none; older ones name no session."""
    try:
        head = json.loads(line)["otel_ext"]
        unique, session_id = head["file"], head.get("session")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(unique, str):
        return None
    return unique, session_id if isinstance(session_id, str) else None


def marked_line(line: bytes, after: int) -> bytes:
    """A line of logs or metrics that says which record of the journal it is from.

    They have no identity of their own; so that each is there once even where everything else is lost, a line
    tells how many items the journal had counted before the record that brought it.
    """
    return line[:-2] + b',"otel_ext":{"after":%d}}\n' % after


def read_mark(line: bytes) -> int | None:
    """What `marked_line` wrote, None when the line has no such mark."""
    found = _AFTER.search(line)
    return int(found[1]) if found else None


def items_in(line: bytes, telemetry: Telemetry) -> int:
    """How many spans, log records or data points a line holds, by its JSON alone.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is no such line.
    """
    groups = json.loads(line)[MEMBERS[telemetry]]
    if telemetry is Telemetry.TRACES:
        return sum(len(scope["spans"]) for group in groups for scope in group["scopeSpans"])
    if telemetry is Telemetry.LOGS:
        return sum(len(scope.get("logRecords", ())) for group in groups for scope in group["scopeLogs"])
    metrics = (m for group in groups for scope in group["scopeMetrics"] for m in scope.get("metrics", ()))
    return sum(
        len(data.get("dataPoints", ())) for m in metrics for data in m.values() if isinstance(data, dict)
    )


@lru_cache(maxsize=_ENVELOPES)
def _resource_head(raw: bytes, url: str) -> bytes:
    """A ResourceSpans object up to the first of its scopes."""
    try:
        resource = Resource.FromString(raw)
    except DecodeError:
        raise InvalidRequest("a resource that cannot be decoded") from None
    members = counted_attributes(resource, raw)[1:]
    return b'{"resource":{%b}%b,"scopeSpans":[' % (members, _schema_url(url))


@lru_cache(maxsize=_ENVELOPES)
def _scope_head(raw: bytes, url: str) -> bytes:
    """A ScopeSpans object up to the first of its spans."""
    try:
        scope = Scope.FromString(raw)
    except DecodeError:
        raise InvalidRequest("an instrumentation scope that cannot be decoded") from None
    members = b',"name":%b' % quote(scope.name) if scope.name else b""
    if scope.version:
        members += b',"version":%b' % quote(scope.version)
    members += counted_attributes(scope, raw)
    return b'{"scope":{%b}%b,"spans":[' % (members[1:], _schema_url(url))


def _schema_url(url: str) -> bytes:
    return b',"schemaUrl":%b' % quote(url) if url else b""
