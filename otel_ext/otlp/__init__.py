"""OTLP bytes to spans and back: the only room that knows the wire.

Law of this room: no sockets, no files, no clock; bytes in, bytes or values out. A span stays the
producer's bytes from door to disk, and is parsed only as deep as somebody asks.

| question | function |
|---|---|
| which spans of a request are acceptable | `admit` |
| what are its items | `split`, `count`; the other way `request_of` |
| who sent it | `service_name` |
| what does a span say | `parse`, `attributes`, `events`, `to_span`, `resource_attributes`, `scope_name` |
| do two encodings say the same | `content_digest` |
| both at once | `read`, which is `rendered`, or the compiled helper where it can |
| the span on disk | `span_json`, `line`, `header_line`, `read_header` |
| and back | `read_traces` |
| a JSON body at a door, of any telemetry | `read_json` |
| logs and metrics on disk | `json_line`, `marked_line`; back: `read_json`, `read_mark` |
| the same, changed on its way out | `addition`, `edit`, `only_scope`, `halve`, `items_of` |
| what a log record says, how much a line counts | `parse_log`, `to_log`, `items_in`; together: `pack` |
| what to answer | `success`, `success_json`, `grpc_status`, `http_status` |
"""

from otel_ext.otlp.admit import Admitted, admit
from otel_ext.otlp.attributes import Reader, attributes
from otel_ext.otlp.edit import addition, edit, halve, items_of, only_scope
from otel_ext.otlp.exports import EXPORTS
from otel_ext.otlp.jsonlines import (
    DERIVED,
    header_line,
    items_in,
    line,
    marked_line,
    read_header,
    read_mark,
)
from otel_ext.otlp.jsonread import UNREADABLE, read_traces
from otel_ext.otlp.logs import pack, parse_log, to_log
from otel_ext.otlp.native import COMPILED, Seen, read
from otel_ext.otlp.rendering import Rendered, content_digest, rendered, span_json
from otel_ext.otlp.requestread import read_json
from otel_ext.otlp.requestwrite import json_line
from otel_ext.otlp.schema import RawLog, RawSpan
from otel_ext.otlp.service import service_name
from otel_ext.otlp.spans import events, parse, resource_attributes, scope_name, to_span
from otel_ext.otlp.split import Group, count, request_of, split
from otel_ext.otlp.status import GrpcAnswer, HttpAnswer, grpc_status, http_status, success, success_json
from otel_ext.otlp.unknown import RAW_ATTRIBUTE, UNKNOWN_FIELDS
from otel_ext.span import Value

__all__ = [
    "COMPILED",
    "DERIVED",
    "EXPORTS",
    "RAW_ATTRIBUTE",
    "UNKNOWN_FIELDS",
    "UNREADABLE",
    "Admitted",
    "Group",
    "GrpcAnswer",
    "HttpAnswer",
    "RawLog",
    "RawSpan",
    "Reader",
    "Rendered",
    "Seen",
    "Value",
    "addition",
    "admit",
    "attributes",
    "content_digest",
    "count",
    "edit",
    "events",
    "grpc_status",
    "halve",
    "header_line",
    "http_status",
    "items_in",
    "items_of",
    "json_line",
    "line",
    "marked_line",
    "only_scope",
    "pack",
    "parse",
    "parse_log",
    "read",
    "read_header",
    "read_json",
    "read_mark",
    "read_traces",
    "rendered",
    "request_of",
    "resource_attributes",
    "scope_name",
    "service_name",
    "span_json",
    "split",
    "success",
    "success_json",
    "to_log",
    "to_span",
]
