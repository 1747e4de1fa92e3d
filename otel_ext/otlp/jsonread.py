"""OTLP/JSON, as it arrives in practice, to an encoded request.

Law of this file: what is strict OTLP/JSON is read exactly, what producers get wrong in known ways is read
as meant, unknown keys are ignored at every level, and everything else raises `InvalidRequest` with the
place and the reason. Ids and times are not judged here: an invalid id is passed on, so that admission
rejects its span alone, and a time that cannot be read becomes 0 beside its text.

Read: TracesData and ExportTraceServiceRequest (the same in JSON), lowerCamelCase and snake_case, null as
absent, a byte order mark. Lines that `jsonlines` wrote give back equal protobuf, unknown fields included.
"""

import json
from collections.abc import Callable
from typing import Final

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.jsonattributes import attribute_pairs, encoded_pair
from otel_ext.otlp.jsonscalars import (
    SPAN_ID,
    TRACE_ID,
    Fault,
    Json,
    each,
    field,
    identifier,
    inside,
    kind_of,
    span_kind,
    status_code,
    text,
    unsigned32,
)
from otel_ext.otlp.schema import (
    RawEvent,
    RawLink,
    RawSpan,
    Request,
    Resource,
    ResourceSpans,
    Scope,
    ScopeSpans,
    Status,
)
from otel_ext.strictjson import STRICT

UNREADABLE: Final = "otel_ext.timestamp.unreadable."
"""Attribute name, less `start`, `end` or (on an event) `time`: the text of a time that was not one."""


def read_traces(line: bytes | str, *, instant: Callable[[object], int], base64_ids: bool = True) -> bytes:
    """One JSON object of traces as an encoded ExportTraceServiceRequest.

    Args:
        line: the object, in UTF-8 when bytes.
        instant: reads a time; gets the decoded JSON value of a `...UnixNano` field, returns ns since
            the epoch or raises ValueError (`timestamps.parse_instant`, less the form's name).
        base64_ids: read ids of 24 or 12 characters as base64, as protobuf's own JSON mapping writes
            them; OTLP/JSON forbids it, so a door that wants to be strict turns it off.

    Raises:
        InvalidRequest: the line is not JSON, not an object, nested too deeply, or a field in it cannot
            be read; the text says where.
    """
    return read_object(line, _Reader(instant, base64_ids).request)


def read_object(line: bytes | str, build: Callable[[Json], bytes]) -> bytes:
    """`build` of the one JSON object in `line`.

    Raises:
        InvalidRequest: there is none, or `build` cannot read it.
    """
    data = _decoded(line)
    if not isinstance(data, dict):
        raise InvalidRequest(f"expected a JSON object, found {kind_of(data)}")
    try:
        return build(data)
    except Fault as fault:
        raise InvalidRequest(str(fault).removeprefix(".")) from None
    except UnicodeEncodeError:
        raise InvalidRequest("a string holds half of a surrogate pair, which UTF-8 cannot encode") from None
    except RecursionError:
        raise InvalidRequest("the JSON is nested too deeply") from None


def _decoded(line: bytes | str) -> object:
    try:
        content = line.decode() if isinstance(line, bytes) else line
        return STRICT.decode(content.removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the JSON is not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise InvalidRequest("the JSON is nested too deeply") from None
    except ValueError as error:
        # JSONDecodeError, what `STRICT` refuses, or an integer of more digits than Python reads.
        raise InvalidRequest(f"not JSON: {error}") from None


class _Reader:
    """The fields of each message; one instance a line."""

    def __init__(self, instant: Callable[[object], int], base64_ids: bool) -> None:
        self._instant = instant
        self._base64_ids = base64_ids

    def request(self, obj: Json) -> bytes:
        groups = each(obj, "resourceSpans", "resource_spans", self._resource_spans)
        return Request(resource_spans=groups).SerializeToString()

    def _resource_spans(self, obj: Json) -> ResourceSpans:
        return ResourceSpans(
            resource=self._optional(obj, "resource", self._resource),
            scope_spans=each(obj, "scopeSpans", "scope_spans", self._scope_spans),
            schema_url=self._url(obj),
        )

    def _scope_spans(self, obj: Json) -> ScopeSpans:
        return ScopeSpans(
            scope=self._optional(obj, "scope", self._scope),
            spans=each(obj, "spans", "", self._span),
            schema_url=self._url(obj),
        )

    def _optional(self, obj: Json, name: str, build: Callable[[Json], bytes]) -> list[bytes]:
        value = obj.get(name)
        return [] if value is None else [inside(f".{name}", build, value)]

    def _url(self, obj: Json) -> bytes:
        return text(field(obj, "schemaUrl", "schema_url"), "schemaUrl").encode()

    def _resource(self, obj: Json) -> bytes:
        return self._attributed(Resource(dropped_attributes_count=_dropped(obj, "Attributes")), obj)

    def _scope(self, obj: Json) -> bytes:
        scope = Scope(
            name=text(obj.get("name"), "name"),
            version=text(obj.get("version"), "version"),
            dropped_attributes_count=_dropped(obj, "Attributes"),
        )
        return self._attributed(scope, obj)

    def _span(self, obj: Json) -> bytes:
        start, start_text = self._time(field(obj, "startTimeUnixNano", "start_time_unix_nano"))
        end, end_text = self._time(field(obj, "endTimeUnixNano", "end_time_unix_nano"))
        span = RawSpan(
            trace_id=self._id(obj, "traceId", "trace_id", TRACE_ID),
            span_id=self._id(obj, "spanId", "span_id", SPAN_ID),
            trace_state=text(field(obj, "traceState", "trace_state"), "traceState"),
            parent_span_id=self._id(obj, "parentSpanId", "parent_span_id", SPAN_ID),
            flags=unsigned32(obj.get("flags"), "flags"),
            name=text(obj.get("name"), "name"),
            kind=span_kind(obj.get("kind")),
            start_time_unix_nano=start,
            end_time_unix_nano=end,
            dropped_attributes_count=_dropped(obj, "Attributes"),
            events=each(obj, "events", "", self._event),
            dropped_events_count=_dropped(obj, "Events"),
            links=each(obj, "links", "", self._link),
            dropped_links_count=_dropped(obj, "Links"),
        )
        status = obj.get("status")
        if status is not None:
            span.status.CopyFrom(inside(".status", _status, status))
        return self._attributed(span, obj, ("start", start_text), ("end", end_text))

    def _event(self, obj: Json) -> bytes:
        time, time_text = self._time(field(obj, "timeUnixNano", "time_unix_nano"))
        event = RawEvent(
            time_unix_nano=time,
            name=text(obj.get("name"), "name"),
            dropped_attributes_count=_dropped(obj, "Attributes"),
        )
        return self._attributed(event, obj, ("time", time_text))

    def _link(self, obj: Json) -> bytes:
        link = RawLink(
            trace_id=self._id(obj, "traceId", "trace_id", TRACE_ID),
            span_id=self._id(obj, "spanId", "span_id", SPAN_ID),
            trace_state=text(field(obj, "traceState", "trace_state"), "traceState"),
            flags=unsigned32(obj.get("flags"), "flags"),
            dropped_attributes_count=_dropped(obj, "Attributes"),
        )
        return self._attributed(link, obj)

    def _attributed(
        self, message: RawSpan | RawEvent | RawLink | Resource | Scope, obj: Json, *unread: tuple[str, str]
    ) -> bytes:
        """`message` encoded with its attributes, the texts of unread times and its unknown fields."""
        pairs, unknown = attribute_pairs(obj.get("attributes"), type(message))
        pairs += [encoded_pair(UNREADABLE + which, shown) for which, shown in unread if shown]
        message.attributes.extend(pairs)
        return message.SerializeToString() + unknown

    def _id(self, obj: Json, name: str, old: str, size: int) -> bytes:
        return identifier(field(obj, name, old), name, size, allow_base64=self._base64_ids)

    def _time(self, value: object) -> tuple[int, str]:
        """ns, and the text of a value that is no time ("" when it is one)."""
        if value is None:
            return 0, ""
        try:
            time = self._instant(value)
            if 0 <= time < 2**64:
                return time, ""
        except ValueError:
            pass
        return 0, value if isinstance(value, str) and value else json.dumps(value)


def _status(obj: Json) -> Status:
    return Status(message=text(obj.get("message"), "message"), code=status_code(obj.get("code")))


def _dropped(obj: Json, what: str) -> int:
    name = f"dropped{what}Count"
    return unsigned32(field(obj, name, f"dropped_{what.lower()}_count"), name)
