"""Stored spans as they were received: what we added taken off, what we replaced put back.

Law of this file: `original` undoes what `spans` and `timestamps` do and nothing else, so that old data can
be derived again by replaying session files.
"""

from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_ext.signals import SCOPE_NAME

_ORIGINAL: Final = "otel_ext.timestamp.original."
_MARKS: Final = ("otel_ext.timestamp.", "otel_ext.dedup.", "otel_ext.session.")


def original(body: bytes) -> bytes:
    """A request without our derived spans and our marks, repaired times as they were."""
    request = ExportTraceServiceRequest.FromString(body)
    for resource_spans in request.resource_spans:
        kept = [s for s in resource_spans.scope_spans if s.scope.name != SCOPE_NAME]
        for scope_spans in kept:
            for span in scope_spans.spans:
                marks = [a for a in span.attributes if a.key.startswith(_MARKS)]
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
