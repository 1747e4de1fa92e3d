"""Stored spans as they were received: what we added taken off, what we replaced put back.

Law of this file: `original` undoes what `spans` and `timestamps` do and nothing else, so that old data can
be derived again by replaying session files. What nobody can derive again, that a session crashed, is read
off our own spans by `crashes`.
"""

from collections.abc import Iterator
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_ext.signals import SCOPE_NAME

_ORIGINAL: Final = "otel_ext.timestamp.original."
_MARKS: Final = ("otel_ext.timestamp.", "otel_ext.dedup.", "otel_ext.session.")
_ON_FINDINGS: Final = ("otel_ext.timestamp.", "otel_ext.dedup.", "otel_ext.session.late")
"""A session's end tells of the session in attributes of its own."""


def crashes(body: bytes) -> Iterator[tuple[str, str]]:
    """`(session id, reason)` of each crash that our own spans in a request tell, in order."""
    for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans if scope_spans.scope.name == SCOPE_NAME else ():
                told = {a.key: a.value for a in span.attributes}
                if "otel_ext.session.crash" not in told:
                    continue
                named = told.get("gen_ai.conversation.id")
                session_id = named.string_value if named is not None else span.trace_id.hex()
                notes = told["otel_ext.session.crash_notes"].array_value.values
                for value in (told["otel_ext.session.crash"], *notes):
                    if value.string_value:
                        yield session_id, value.string_value


def original(body: bytes, *, findings: bool = False) -> bytes:
    """A request without our derived spans and our marks, repaired times as they were.

    Args:
        body: the stored request.
        findings: spans of our scope stay; they were received, from another engine.
    """
    request = ExportTraceServiceRequest.FromString(body)
    for resource_spans in request.resource_spans:
        kept = [s for s in resource_spans.scope_spans if findings or s.scope.name != SCOPE_NAME]
        for scope_spans in kept:
            ours = _ON_FINDINGS if scope_spans.scope.name == SCOPE_NAME else _MARKS
            for span in scope_spans.spans:
                marks = [a for a in span.attributes if a.key.startswith(ours)]
                for mark in marks:
                    text = mark.value.string_value
                    if mark.key == f"{_ORIGINAL}start" and text.isdecimal():
                        span.start_time_unix_nano = int(text)
                    elif mark.key == f"{_ORIGINAL}end" and text.isdecimal():
                        span.end_time_unix_nano = int(text)
                    span.attributes.remove(mark)
        if len(kept) < len(resource_spans.scope_spans):
            copies = [s.SerializeToString() for s in kept]
            del resource_spans.scope_spans[:]
            for copy in copies:
                resource_spans.scope_spans.add().ParseFromString(copy)
    return request.SerializeToString()
