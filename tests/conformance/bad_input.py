"""Bad and odd input, row by row: our answer on each door, and the rivals'.

Law of this file: our cells are not written by hand into the document; the suite observes each and fails where
it is not what stands here. The rivals' figures were measured in November 2026, one run each.
"""

import functools
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.builders import START, request
from tests.conformance.targets import Target
from tests.conformance.wire import JSON, Answer, Door, Grpc, Http, check

DOCUMENT: Final = Path(__file__).parents[2] / "docs/bad-input.md"
MIB: Final = 1 << 20
REFUSED_BOUND: Final = 100
"""MiB that a refused request may cost: a body may grow to 64 MiB before it is known to be too large."""
ACCEPTED_FACTOR: Final = 8
"""Times its size, plus 20 MiB, is the memory that an accepted request may cost while it is processed."""


class Row(NamedTuple):
    """One row: what is sent, our answer over gRPC, HTTP protobuf and HTTP JSON, the rivals' answers."""

    what: str
    grpc: str
    http: str
    json: str
    rivals: tuple[str, str, str, str, str]
    observe: Callable[[Target, Door], str]


def said(answer: Answer) -> str:
    """The answer in a word."""
    if not answer.ok:
        return answer.code
    return f"OK, {answer.rejected} rejected" if answer.rejected else "OK"


def posted(door: Door, body: bytes) -> Answer:
    """Send bytes as they are, encoded for the door or not."""
    return door.post(body) if isinstance(door, Http) else door.send(body)


def spans_of(target: Target, trace: bytes) -> str:
    """How many spans of a trace are stored."""
    return f"{len(target.settled(trace))} stored"


def same_batch(target: Target, door: Door) -> str:
    """512 spans, the same three times."""
    sent = target.spans(512)
    words = {said(door.send(request(*sent))) for _ in range(3)}
    return f"{'/'.join(words)}; each span once" if len(target.settled(sent[0].trace_id)) == 512 else "doubled"


def same_id(target: Target, door: Door) -> str:
    """One id, two names."""
    (sent,) = target.spans()
    first = said(door.send(request(sent)))
    sent.name = "another"
    second = said(door.send(request(sent)))
    stored = target.settled(sent.trace_id)
    marked = any(a.key.startswith("otel_ext.") for s in stored for a in s.span.attributes)
    return f"{first}, {second}; {len(stored)} stored{', marked' if marked else ''}"


def timed(start: int, end: int) -> Callable[[Target, Door], str]:
    """A span with these times."""

    def observe(target: Target, door: Door) -> str:
        (sent,) = target.spans()
        sent.start_time_unix_nano, sent.end_time_unix_nano = start, end
        answer = said(door.send(request(sent)))
        (stored,) = target.settled(sent.trace_id)
        marked = any(a.key.startswith("otel_ext.timestamp.") for a in stored.span.attributes)
        if stored.span.start_time_unix_nano == start and stored.span.end_time_unix_nano == end:
            kept = "stored as it is"
        else:
            check(any(str(start) in str(a.value) for a in stored.span.attributes), "lost the original")
            year = 1970 + stored.span.start_time_unix_nano // 31_556_952_000_000_000
            kept = f"repaired to {year}, original beside it"
        return f"{answer}; {kept}{', marked' if marked else ''}"

    return observe


def among(count: int, change: Callable[[Span], None]) -> Callable[[Target, Door], str]:
    """One changed span among so many."""

    def observe(target: Target, door: Door) -> str:
        sent = target.spans(count)
        trace = sent[0].trace_id
        change(sent[count // 2])
        answer = said(door.send(request(*sent)))
        return f"{answer}; {spans_of(target, trace)}"

    return observe


def named(**fields: object) -> Callable[[Span], None]:
    """Sets fields of a span."""

    def change(one: Span) -> None:
        for name, value in fields.items():
            setattr(one, name, value)

    return change


def invalid_utf8(target: Target, door: Door) -> str:
    """One name among 16 that is not UTF-8."""
    sent = target.spans(16)
    sent[7].name = "MARKMARK"
    body = request(*sent)
    if isinstance(door, Http) and door.kind == JSON:
        body = door.encoded(body)
    answer = said(posted(door, body.replace(b"MARKMARK", b"\xff\xfe\xfd\xfc" * 2)))
    return f"{answer}; {spans_of(target, sent[0].trace_id)}"


def text_tokens(target: Target, door: Door) -> str:
    """A number as a string."""
    (sent,) = target.spans()
    sent.attributes.add(key="gen_ai.usage.input_tokens").value.string_value = "many"
    return f"{said(door.send(request(sent)))}; {spans_of(target, sent.trace_id)}"


def garbage(target: Target, door: Door) -> str:
    """No protobuf, and half of one."""
    cut = request(*target.spans(4))[:-20]
    answers = {said(posted(door, body)) for body in (b"\xff\xff\xff garbage", cut)}
    return "/".join(sorted(answers))


def empty(_: Target, door: Door) -> str:
    """Nothing."""
    return said(posted(door, b"{}" if isinstance(door, Http) and door.kind == JSON else b""))


def sized(size: int) -> Callable[[Target, Door], str]:
    """A request of about that many bytes; what it costs in memory."""

    def observe(target: Target, door: Door) -> str:
        count = max(1, size // (512 << 10))
        sent = target.spans(count)
        for one in sent:
            one.attributes.add(key="blob").value.string_value = "x" * (size // count - 300)
        body = request(*sent)
        body = door.encoded(body) if isinstance(door, Http) and door.kind == JSON else body
        before = target.forget_peak()
        answer = posted(door, body)
        if answer.ok:
            check(len(target.settled(sent[0].trace_id)) == count, "lost spans")
        grown = target.peak() - before
        bound = 20 + ACCEPTED_FACTOR * size // MIB if answer.ok else REFUSED_BOUND
        return (
            f"{said(answer)}, RSS + less than {bound} MB"
            if grown < bound
            else f"{said(answer)}, RSS +{grown} MB"
        )

    return observe


def _rivals(*cells: str) -> tuple[str, str, str, str, str]:
    phoenix, mlflow, trace_view, observatory, tracelense = cells
    return phoenix, mlflow, trace_view, observatory, tracelense


MS: Final = START // 10**6
LATE: Final = 2**64 - 1


def zipped(target: Target, door: Door) -> str:
    """A span in gzip."""
    (sent,) = target.spans()
    if isinstance(door, Http):
        answer = door.post(gzip.compress(door.encoded(request(sent))), headers={"content-encoding": "gzip"})
    else:
        packing = Grpc(target.grpc_endpoint, compression=grpc.Compression.Gzip)
        answer = packing.send(request(sent))
        packing.close()
    return f"{said(answer)}; {spans_of(target, sent.trace_id)}"


def bomb(target: Target, door: Door) -> str:
    """256 MiB of zeros in 254 KiB."""
    before = target.forget_peak()
    if isinstance(door, Http):
        answer = door.post(packed_zeros(256 * MIB), headers={"content-encoding": "gzip"})
    else:
        packing = Grpc(target.grpc_endpoint, compression=grpc.Compression.Gzip)
        answer = packing.send(bytes(256 * MIB))
        packing.close()
    grown = target.peak() - before
    bounded = f"less than {REFUSED_BOUND}" if grown < REFUSED_BOUND else f"{grown}"
    return f"{said(answer)}, RSS + {bounded} MB"


@functools.cache
def packed_zeros(size: int) -> bytes:
    """That many zero bytes, gzipped a megabyte at a time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(MIB)
    return b"".join([packer.compress(block) for _ in range(size // MIB)]) + packer.flush()


def document() -> str:
    """The text of `docs/bad-input.md`."""
    rows = [(row.what, row.grpc, row.http, row.json, *row.rivals) for row in ROWS]
    return _HEAD + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


_HEAD: Final = f"""# Bad and odd input

What `otel-ext serve` answers and stores, on each of its three ways in, and what five other trace receivers
that can be installed from PyPI do with the same input. Our cells are observed by
`tests/conformance/test_bad_input_table.py`, which fails when one of them changes; the others were measured
once, in November 2026 (arize-phoenix 20.26.1, mlflow 3.17.2, trace-view 0.1.0, agent-observatory-cli 0.1.2,
tracelense 0.0.1). `marked` means that an `otel_ext.*` attribute on the stored span says so. RSS is what the
request adds to the server's peak: a refused one may cost up to the size limit (64 MiB by default), because
a body that grows in decompression is known to be too large only when it has; the tests allow
{REFUSED_BOUND} MB.

A request with some bad spans is a partial success on every door; what cannot be decoded at all is refused
once and for good (INVALID_ARGUMENT, 400). One invalid string in JSON makes the whole body undecodable, since
JSON is UTF-8 or is not JSON; in protobuf it costs its span.

This page is generated, do not edit it: `python -m tests.conformance --write`.

| case | gRPC, ours | protobuf, ours | JSON, ours | phoenix | mlflow | trace-view | observatory | tracelense |
|---|---|---|---|---|---|---|---|---|
"""


ROWS: Final = (
    Row(
        "the same batch of 512, 3 times",
        "OK; each span once",
        "OK; each span once",
        "OK; each span once",
        _rivals("once", "once", "once", "once", "once"),
        same_batch,
    ),
    Row(
        "the same id with another name",
        "OK, OK; 2 stored, marked",
        "OK, OK; 2 stored, marked",
        "OK, OK; 2 stored, marked",
        _rivals("first wins", "last wins", "once (name not stored)", "last wins", "last wins"),
        same_id,
    ),
    Row(
        "milliseconds in `*_unix_nano`",
        "OK; repaired to 2026, original beside it, marked",
        "OK; repaired to 2026, original beside it, marked",
        "OK; repaired to 2026, original beside it, marked",
        _rivals("OK, stored as 1970-01-01 00:29:40", "200, as is", "200, as is", "200, as is", "200, as is"),
        timed(MS, MS + 1000),
    ),
    Row(
        "end before start",
        "OK; stored as it is, marked",
        "OK; stored as it is, marked",
        "OK; stored as it is, marked",
        _rivals("OK, stored", "200, stored", "200, duration -1000 ms", "400", "200, stored"),
        timed(START + 10**9, START),
    ),
    Row(
        "end = 0",
        "OK; stored as it is, marked",
        "OK; stored as it is, marked",
        "OK; stored as it is, marked",
        _rivals("OK, end 1970", "200, end 0", "200, NULL", "400", "200, NULL"),
        timed(START, 0),
    ),
    Row(
        "start 2^64-1",
        "OK; stored as it is, marked",
        "OK; stored as it is, marked",
        "OK; stored as it is, marked",
        _rivals("OK, year 2554", "500", "400", "connection dropped", "500"),
        timed(LATE, LATE),
    ),
    Row(
        "empty trace id",
        "OK, 1 rejected; 0 stored",
        "OK, 1 rejected; 0 stored",
        "OK, 1 rejected; 0 stored",
        _rivals("OK, silently dropped", "422", "200, stored", "400", "200, stored"),
        among(1, named(trace_id=b"")),
    ),
    Row(
        "all-zero trace id",
        "OK, 1 rejected; 0 stored",
        "OK, 1 rejected; 0 stored",
        "OK, 1 rejected; 0 stored",
        _rivals("OK, stored", "200, stored", "200, stored", "400", "200, stored"),
        among(1, named(trace_id=bytes(16))),
    ),
    Row(
        "5-byte trace id",
        "OK, 1 rejected; 0 stored",
        "OK, 1 rejected; 0 stored",
        "OK, 1 rejected; 0 stored",
        _rivals("OK, stored", "200, stored", "200, stored", "400", "200, stored"),
        among(1, named(trace_id=b"short")),
    ),
    Row(
        "empty span id",
        "OK, 1 rejected; 0 stored",
        "OK, 1 rejected; 0 stored",
        "OK, 1 rejected; 0 stored",
        _rivals("OK, silently dropped", "422", "200, stored", "400", "200, stored"),
        among(1, named(span_id=b"")),
    ),
    Row(
        "1 empty trace id among 16",
        "OK, 1 rejected; 15 stored",
        "OK, 1 rejected; 15 stored",
        "OK, 1 rejected; 15 stored",
        _rivals(
            "OK, 15 stored, no partial_success", "422, 0 stored", "16 stored", "400, 0 stored", "16 stored"
        ),
        among(16, named(trace_id=b"")),
    ),
    Row(
        "1 start 2^64-1 among 16",
        "OK; 16 stored",
        "OK; 16 stored",
        "OK; 16 stored",
        _rivals("16 stored", "500, 0", "400, 0", "dropped connection, 0", "500; 7 committed later"),
        among(16, named(start_time_unix_nano=LATE)),
    ),
    Row(
        "1 invalid UTF-8 among 16",
        "OK, 1 rejected; 15 stored",
        "OK, 1 rejected; 15 stored",
        "400; 0 stored",
        _rivals("gRPC UNKNOWN / HTTP 422, 0", "400, 0", "400, 0", "400, 0", "400, 0"),
        invalid_utf8,
    ),
    Row(
        "a token count as text",
        "OK; 1 stored",
        "OK; 1 stored",
        "OK; 1 stored",
        _rivals("stored", "stored", "stored", "stored", "500"),
        text_tokens,
    ),
    Row(
        "garbage; a truncated body",
        "INVALID_ARGUMENT",
        "400",
        "400",
        _rivals("gRPC UNKNOWN, not INVALID_ARGUMENT / HTTP 422", "400", "400", "400", "400"),
        garbage,
    ),
    Row(
        "an empty request",
        "OK",
        "OK",
        "OK",
        _rivals("OK", "400 (spec: OK)", "200", "413", "200"),
        empty,
    ),
    Row(
        "gzip",
        "OK; 1 stored",
        "OK; 1 stored",
        "OK; 1 stored",
        _rivals("OK", "OK", "400, unsupported", "OK", "400, unsupported"),
        zipped,
    ),
    Row(
        "a gzip bomb of 256 MiB in 254 KiB",
        "RESOURCE_EXHAUSTED, RSS + less than 100 MB",
        "413, RSS + less than 100 MB",
        "413, RSS + less than 100 MB",
        _rivals("422 after RSS +464 MB", "400 after RSS +447 MB", "400", "413, bounded", "400"),
        bomb,
    ),
    Row(
        "a JSON body",
        "-",
        "-",
        "OK; 1 stored",
        _rivals("415", "OK", "OK", "OK", "OK"),
        text_tokens,
    ),
    Row(
        "3.9 MiB",
        "OK, RSS + less than 51 MB",
        "OK, RSS + less than 51 MB",
        "OK, RSS + less than 51 MB",
        _rivals("OK", "OK", "413 (limit 2 MiB)", "OK", "OK"),
        sized(39 * MIB // 10),
    ),
    Row(
        "5 MiB",
        "OK, RSS + less than 60 MB",
        "OK, RSS + less than 60 MB",
        "OK, RSS + less than 60 MB",
        _rivals("gRPC RESOURCE_EXHAUSTED / HTTP OK", "OK", "413", "OK (limit 8 MiB)", "OK"),
        sized(5 * MIB),
    ),
    Row(
        "20 MiB",
        "OK, RSS + less than 180 MB",
        "OK, RSS + less than 180 MB",
        "OK, RSS + less than 180 MB",
        _rivals(
            "gRPC RESOURCE_EXHAUSTED / HTTP OK, RSS +171 MB",
            "OK, RSS +120 MB",
            "closed",
            "closed",
            "OK, RSS +75 MB",
        ),
        sized(20 * MIB),
    ),
    Row(
        "100 MiB",
        "RESOURCE_EXHAUSTED, RSS + less than 100 MB",
        "413, RSS + less than 100 MB",
        "413, RSS + less than 100 MB",
        _rivals(
            "gRPC RESOURCE_EXHAUSTED / HTTP OK, RSS +760 MB",
            "OK, RSS +579 MB",
            "closed",
            "closed",
            "OK, RSS +620 MB",
        ),
        sized(100 * MIB),
    ),
)
"""The table: `-` is a door that the row is not about."""
