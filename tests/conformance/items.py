"""The 75 items: level, the rule in our own words, where it is written. The tests carry their numbers.

Levels: M = MUST, S = SHOULD, m = MAY or plain prudence, P = what this project promises on top. Sections are
those of the OTLP specification 1.11 unless another document is named ("ours" is a promise of this project).
"""

from typing import Final, NamedTuple


class Item(NamedTuple):
    """One rule: `number`, `level`, `rule`, `source`."""

    number: int
    level: str
    rule: str
    source: str


def _items(group: str, *rows: tuple[int, str, str, str]) -> dict[int, Item]:
    GROUPS[rows[0][0]] = group
    return {row[0]: Item(*row) for row in rows}


GROUPS: Final[dict[int, str]] = {}
"""Number of a group's first item -> the group's name."""

ITEMS: Final[dict[int, Item]] = {
    **_items(
        "Transport and ports",
        (1, "M", "gRPC unary `TraceService/Export` answers an `ExportTraceServiceResponse`", "OTLP/gRPC"),
        (2, "S", "without configuration both default ports listen: 4317 gRPC, 4318 HTTP", "Default Port"),
        (3, "M", "gRPC takes requests plain and gzipped", "Protocol Details"),
        (4, "M", "HTTP takes requests plain and gzipped", "Protocol Details"),
        (
            5,
            "S",
            "one HTTP port takes protobuf and JSON, told apart by Content-Type, parameters tolerated",
            "OTLP/HTTP",
        ),
        (6, "M", "an unknown gRPC method is UNIMPLEMENTED, an unknown HTTP path 404", "gRPC; RFC 9110"),
        (
            7,
            "S",
            "many calls in flight on one connection are all served, each with its own answer",
            "Concurrent Requests",
        ),
        (
            8,
            "S",
            "HTTP/1.1 keep-alive; two pipelined requests, the second closing, are both answered",
            "OTLP/HTTP Connection",
        ),
        (9, "m", "the HTTP path of traces can be configured", "OTLP/HTTP Request"),
    ),
    **_items(
        "Success",
        (10, "S", "an empty request succeeds with an empty answer", "Full Success"),
        (11, "M", "full success leaves `partial_success` unset (0 bytes; `{}`)", "Full Success"),
        (12, "M", "HTTP success is 200 with an encoded `ExportTraceServiceResponse`", "OTLP/HTTP Response"),
        (13, "M", "an answer has the Content-Type of its request, errors included", "OTLP/HTTP Response"),
        (
            14,
            "m",
            "a gzipped answer is only sent to who asked, and says so in Content-Encoding",
            "OTLP/HTTP Response",
        ),
        (15, "m", "ResourceSpans and ScopeSpans without spans succeed and store nothing", "Full Success"),
    ),
    **_items(
        "Partial success",
        (
            16,
            "M",
            "valid and invalid spans mixed: success, `rejected_spans` exact, the valid ones stored",
            "Partial Success",
        ),
        (17, "S", "`error_message` is an English text when spans are rejected", "Partial Success"),
        (18, "M", "a partial success with `rejected_spans` 0 has a message (a warning)", "Partial Success"),
        (19, "M", "`rejectedSpans` in JSON is a decimal string", "JSON Protobuf Encoding"),
        (20, "P", "all spans invalid: a partial success; 400 is for what cannot be decoded", "ours"),
        (21, "P", "a re-delivered span is not counted as rejected, and is stored once", "ours"),
    ),
    **_items(
        "Failures",
        (22, "S", "undecodable protobuf on gRPC is INVALID_ARGUMENT", "Failures"),
        (23, "M", "an undecodable body on HTTP is 400, with BadRequest among the details", "Bad Data"),
        (
            24,
            "M",
            "every 4xx and 5xx has a `google.rpc.Status` as body, in the request's encoding",
            "Failures",
        ),
        (25, "S", "`Status.message` can be read by a developer", "Failures"),
        (26, "S", "a passing failure is UNAVAILABLE or 503", "Failures"),
        (27, "S", "overload tells the delay: RetryInfo on gRPC, Retry-After on HTTP", "Throttling"),
        (28, "M", "too large on gRPC is RESOURCE_EXHAUSTED without RetryInfo", "Message Size Limits"),
        (29, "M", "too large on HTTP is 413, with and without a Content-Length", "Message Size Limits"),
        (
            30,
            "M",
            "the limit counts after decompression: a gzip bomb of 200 MiB is refused, memory bounded",
            "Message Size Limits",
        ),
        (31, "S", "the limit is 64 MiB by default (63 MiB pass) and configurable", "Message Size Limits"),
        (32, "M", "an answer is kept under 4 MiB by shortening its message", "Message Size Limits"),
        (
            33,
            "M",
            "an answer never exceeds the limit, errors that quote their request included",
            "Message Size Limits",
        ),
        (
            34,
            "M",
            "bad gzip, cut-off gzip and a wrong Content-Length are 400; nothing hangs, nothing is stored",
            "Bad Data",
        ),
        (
            35,
            "m",
            "unknown Content-Type or Content-Encoding 415; another method 405 with `Allow: POST`",
            "RFC 9110",
        ),
        (36, "P", "what a failed call had stored is not stored again by its retry", "ours"),
        (37, "P", "a client that leaves stores nothing in part; its retry stores everything once", "ours"),
    ),
    **_items(
        "JSON, as input",
        (38, "M", "trace, span, parent and link ids are hex, upper or lower case", "JSON Protobuf Encoding"),
        (39, "M", "an id in base64 is none: its span is rejected", "JSON Protobuf Encoding"),
        (40, "M", "unknown keys are ignored at every level", "JSON Protobuf Encoding"),
        (
            41,
            "M",
            "lowerCamelCase keys are read; snake_case is read like the Collector does, or unknown",
            "JSON Protobuf Encoding",
        ),
        (42, "M", "64-bit integers as string or number", "JSON Protobuf Encoding"),
        (43, "M", "enums as integers, unknown numbers kept", "JSON Protobuf Encoding"),
        (
            44,
            "S",
            '`bytesValue` is base64; `doubleValue` may be "NaN", "Infinity", "-Infinity"',
            "proto3 JSON",
        ),
        (45, "S", "null is the same as absent, absent the same as default", "proto3 JSON"),
        (
            46,
            "m",
            "lone surrogates, repeated keys, 2,000 levels are 400 (a byte order mark may pass); NUL is kept",
            "RFC 8259",
        ),
    ),
    **_items(
        "JSON, as written",
        (
            47,
            "M",
            "ids lower-case hex, 64-bit integers strings, enums integers, lowerCamelCase",
            "JSON Protobuf Encoding",
        ),
        (
            48,
            "P",
            "one TracesData object a line, UTF-8, `\\n`, no blank line, `.jsonl`",
            "OTLP File Exporter",
        ),
        (49, "P", "one kind of telemetry a file", "OTLP File Exporter"),
        (50, "P", "the order in a file is the order of arrival", "ours"),
        (51, "P", "lines up to 1 MiB; the first 1,000 bytes of each file are its own", "ours"),
        (52, "P", "an independent decoder reads the files back to equal protobuf", "ours"),
    ),
    **_items(
        "Data model",
        (
            53,
            "P",
            "trace ids of 16 and span ids of 8 bytes, not zero; else the span is rejected",
            "trace.proto",
        ),
        (54, "P", "no parent: a root; a parent id of zeros or odd length is kept", "trace.proto"),
        (55, "P", "end before start is kept as it is", "ours"),
        (56, "S", "`flags` are kept bit for bit", "trace.proto"),
        (57, "P", "trace state, schema URLs, dropped counts, status, links and events are kept", "ours"),
        (58, "M", "unknown fields never fail a request, and are in what is forwarded", "Future Versions"),
        (59, "P", "an AnyValue without a value is kept, repeated attribute keys and their order too", "ours"),
        (60, "P", "a span keeps its own resource and scope", "ours"),
    ),
    **_items(
        "The client side",
        (
            61,
            "M",
            "gRPC retries CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS, and "
            "RESOURCE_EXHAUSTED with RetryInfo; nothing else",
            "Failures",
        ),
        (
            62,
            "M",
            "HTTP retries 429, 502, 503, 504 and lost connections, nothing else",
            "Retryable Response Codes",
        ),
        (63, "S", "it waits as told: RetryInfo; Retry-After in seconds and as a date", "Throttling"),
        (64, "M", "backoff grows and is jittered; giving up is counted", "Failures"),
        (65, "M", "a partial success is not retried; its rejected spans are counted", "Partial Success"),
        (
            66,
            "M",
            "INVALID_ARGUMENT and 400 are not retried; the request is counted and put aside",
            "Bad Data",
        ),
        (67, "S", "what is over the far side's limit is split", "Message Size Limits"),
        (68, "M", "an answer of more than 4 MiB is not read, gzipped or not", "Message Size Limits"),
        (
            69,
            "M",
            "an exporter without an endpoint of its own heeds `OTEL_EXPORTER_OTLP_*`, `_TRACES_*` first",
            "OTLP Exporter",
        ),
        (70, "S", "a User-Agent with a product token", "OTLP Exporter"),
        (71, "S", "a dead destination does not hold up the others", "Multi-Destination Exporting"),
        (
            72,
            "S",
            "connections are kept and used again; how many requests are on their way at once is a setting",
            "Concurrent Requests",
        ),
    ),
    **_items(
        "The SDK side",
        (
            73,
            "S",
            "`on_start` and `on_end` neither raise nor block on a sick disk; the loss is counted",
            "Trace SDK",
        ),
        (
            74,
            "M",
            "`shutdown` flushes, once, in bounded time; `force_flush` honours its timeout",
            "Trace SDK",
        ),
        (75, "S", "after a fork the child has a journal of its own", "ours"),
    ),
}

EXCUSED: Final[dict[int, str]] = {}
"""Items that otel_ext does not pass, and why. An [M] item never stands here."""

NOT_RUN: Final[dict[int, str]] = {
    69: "not applicable: it is configured by its file, never by these variables",
    73: "not applicable: it is no SDK",
    74: "not applicable: it is no SDK",
    75: "not applicable: it is no SDK",
}
"""Items that are not run against the Collector, and why."""

REMARKS: Final[dict[int, str]] = {
    20: "otel_ext: the data could be read, so the answer counts it; a 400 would make clients drop the counts",
    11: "the proto file calls an empty `partial_success` equivalent to an unset one",
    16: "a server may also refuse such a request as a whole, as the Collector does",
    18: "the same as item 11",
    41: "otel_ext: snake_case is read, as the Collector does",
    46: "otel_ext skips a byte order mark",
    53: "a server is free in what it does with such a span",
    58: "field 999; 1000 is reserved in ResourceSpans, where it had a meaning once",
    64: "counting is only looked at in otel_ext, in its own metrics",
    65: "counting is only looked at in otel_ext, in its own metrics",
    69: "https:// is refused with an error until there is TLS; the protocol is the exporter's type",
    66: "counting and putting aside are only looked at in otel_ext",
}
"""What a reader of the table should know: our choices, and how strict a rule is."""
