"""Items 22 to 37: failures, limits, and clients that leave."""

import gzip
import json
import threading
import zlib
from collections.abc import Iterator

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo

from tests.builders import request, span
from tests.conformance import otlpjson
from tests.conformance.conftest import Start
from tests.conformance.signals import OTHERS
from tests.conformance.targets import Target, free_endpoint, running
from tests.conformance.wire import JSON, PROTOBUF, Answer, Grpc, Http, check, should

GARBAGE = b"\xff\xff\xff garbage"
MIB = 1 << 20
BUSY = {"extensions": {"journal": {"min_free_mib": 10**9}}}
"""otel_ext with a disk that is fuller than allowed."""


def dead_end() -> dict[str, object]:
    """A Collector whose only exporter has nowhere to send to and no queue."""
    exporter = {
        "endpoint": free_endpoint(),
        "tls": {"insecure": True},
        "sending_queue": {"enabled": False},
        "retry_on_failure": {"enabled": False},
        "timeout": "500ms",
    }
    return {
        "exporters": {"otlp/dead": exporter},
        "service": {
            "pipelines": {name: {"exporters": ["otlp/dead"]} for name in ("traces", "logs", "metrics")}
        },
    }


@pytest.fixture(scope="module")
def busy(target_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server that cannot take anything now."""
    with running(target_name, tmp_path_factory.mktemp("busy") / target_name, BUSY, dead_end()) as made:
        yield made


@pytest.fixture(scope="module")
def large(target_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server with defaults for requests of many megabytes."""
    with running(target_name, tmp_path_factory.mktemp("large") / target_name) as made:
        yield made


def sized(target: Target, size: int) -> bytes:
    """A valid request of about that many bytes: spans of 512 KiB."""
    piece = 512 << 10
    spans = target.spans(max(1, size // piece))
    for one in spans:
        one.attributes.add(key="blob").value.string_value = "x" * (min(size, piece) - 300)
    return request(*spans)


def test_item_22_undecodable_on_grpc(target: Target) -> None:
    """Garbage and a cut-off request are the caller's mistake."""
    for body in (GARBAGE, request(span(1, 1, note="x" * 99))[:-20]):
        answer = target.grpc.send(body)
        check(answer.code == "INVALID_ARGUMENT", f"answered {answer}")
        check(answer.retry_delay is None, "asks for a retry of garbage")
    for signal in OTHERS:
        for where, answer in signal.garbage(target):
            check(answer.code in {"INVALID_ARGUMENT", "400"}, f"answered {answer} to {where}")


def test_item_23_undecodable_on_http(target: Target) -> None:
    """Garbage is 400 in both encodings, with BadRequest."""
    for door in (target.http, target.json):
        for body in (GARBAGE, b"{", b"[]") if door.kind == JSON else (GARBAGE,):
            answer = door.post(body)
            check(answer.code == "400", f"answered {answer} on {door.name}")
            detail = answer.detail(BadRequest)
            should(
                detail is not None and detail.field_violations,
                f"400 without BadRequest among its details ({door.name})",
            )
    for signal in OTHERS:
        for where, answer in signal.garbage(target):
            if "HTTP" in where:
                check(answer.code == "400", f"answered {answer} to {where}")
                should(answer.detail(BadRequest), f"400 without BadRequest among its details ({where})")


def failures(target: Target, busy: Target) -> Iterator[tuple[str, str, Answer]]:
    """What is asked, its type, and the answer: one of each kind of HTTP error."""
    for door in (target.http, target.json):
        yield "400", door.kind, door.post(GARBAGE)
        yield "404", door.kind, door.post(b"", path="/v1/nope")
        yield "405", door.kind, door.post(b"", method="PUT")
        yield "415 encoding", door.kind, door.post(b"x", headers={"content-encoding": "compress"})
        yield "503", door.kind, http_of(busy, door.kind).send(request(*busy.spans()))
    for door in (target.http, target.json):
        yield "413", door.kind, door.patient(door.head(65 * MIB), [bytes(MIB)] * 65)
    yield "415 type", "", target.http.post(b"x", headers={"content-type": "text/plain"})


def http_of(target: Target, kind: str) -> Http:
    """The HTTP door of that type."""
    return target.json if kind == JSON else target.http


def test_item_24_errors_are_statuses(target: Target, busy: Target) -> None:
    """400, 404, 405, 413, 415, 503: a Status, in the request's encoding."""
    for asked, kind, answer in failures(target, busy):
        check(answer.code.startswith(("4", "5")), f"answered {answer} where {asked} was due")
        check(
            answer.status is not None, f"{answer.code} has a body of type {answer.kind or 'none'}: no Status"
        )
        check(not kind or answer.kind == kind, f"{answer.code} of {kind} has type {answer.kind}")


def test_item_25_readable_messages(target: Target, busy: Target) -> None:
    """Every error has a sentence."""
    for asked, _, answer in failures(target, busy):
        if (status := answer.status) is not None:  # whether there is one is item 24
            check(len(status.message.split()) >= 3, f"{asked}: says {answer}")
    for answer in (target.grpc.send(GARBAGE), busy.grpc.send(request(span()))):
        check(len(answer.text.split()) >= 3, f"says {answer.text!r}")


def test_item_26_passing_failures(busy: Target) -> None:
    """UNAVAILABLE and 503."""
    answers = [busy.grpc.send(request(*busy.spans())), busy.http.send(request(*busy.spans()))]
    check([a.code for a in answers] == ["UNAVAILABLE", "503"], f"answered {[a.code for a in answers]}")
    for signal in OTHERS:
        codes = [answer.code for _, answer in signal.ask(busy, 1)]
        check(codes == ["UNAVAILABLE", "503", "503"], f"answered {codes} to {signal.name}")


def test_item_27_overload_tells_the_delay(busy: Target) -> None:
    """RetryInfo on gRPC where Python and where others look, Retry-After on HTTP."""
    answer = busy.grpc.send(request(*busy.spans()))
    check(answer.detail(RetryInfo) is not None, f"{answer.code} without RetryInfo")
    if busy.ours:
        check("google.rpc.retryinfo-bin" in answer.headers, "tells Python clients nothing")
    for door in (busy.http, busy.json):
        answer = door.send(request(*busy.spans()))
        check(answer.code in {"429", "503"}, f"answered {answer}")
        check(answer.headers.get("retry-after", b"").isdigit(), f"{answer.code} without Retry-After")
    for signal in OTHERS:
        over_grpc, *over_http = signal.ask(busy, 1)
        check(
            over_grpc[1].detail(RetryInfo) is not None,
            f"{over_grpc[1].code} without RetryInfo to {over_grpc[0]}",
        )
        for where, answer in over_http:
            check(
                answer.headers.get("retry-after", b"").isdigit(),
                f"{answer.code} without Retry-After to {where}",
            )


def test_item_28_too_large_on_grpc(large: Target) -> None:
    """Over the limit: a code that nobody retries."""
    answer = large.grpc.send(sized(large, 65 * MIB))
    check(answer.code == "RESOURCE_EXHAUSTED", f"answered {answer}")
    check(answer.retry_delay is None, "asks for a retry")


def test_item_29_too_large_on_http(large: Target) -> None:
    """413 by the announced length before the body comes, and by counting when none is announced."""
    http = large.http
    announced = http.patient(http.head(65 * MIB), [bytes(MIB)] * 65)
    check(announced.code == "413", f"answered {announced} to an announced 65 MiB")
    chunk = b"%x\r\n" % MIB + bytes(MIB) + b"\r\n"
    counted = http.patient(http.head("", "Transfer-Encoding: chunked"), [*[chunk] * 66, b"0\r\n\r\n"])
    check(counted.code == "413", f"answered {counted} to 66 MiB in chunks")
    check(large.alive(), "is dead")


def bomb(size: int) -> bytes:
    """That many zero bytes behind a valid gzip header, by pieces."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(MIB)
    return b"".join([packer.compress(block) for _ in range(size // MIB)]) + packer.flush()


def test_item_30_limit_after_decompression(large: Target) -> None:
    """200 MiB in 200 kB are refused on each door, and cost less than 100 MiB of memory."""
    zipped = Grpc(large.grpc_endpoint, compression=grpc.Compression.Gzip)
    zipped.send(request(*large.spans()))
    packed = bomb(200 * MIB)
    assert len(packed) < 256 << 10
    before = large.forget_peak()
    answer = zipped.send(bytes(200 * MIB))
    zipped.close()
    grown = [large.peak() - before]
    check(answer.code == "RESOURCE_EXHAUSTED", f"answered {answer} on gRPC")
    for door in (large.http, large.json):
        before = large.forget_peak()
        answer = door.post(packed, headers={"content-encoding": "gzip"})
        grown.append(large.peak() - before)
        check(answer.code.startswith("4"), f"answered {answer} on {door.name}")
    check(max(grown) < 100, f"grew by {grown} MiB (gRPC, HTTP protobuf, HTTP JSON)")
    check(large.alive(), "is dead")


def test_item_31_size_limit(large: Target, start: Start) -> None:
    """63 MiB pass by default; with a limit of 1 MiB, 2 MiB do not."""
    body = sized(large, 63 * MIB)
    for door in (large.grpc, large.http):
        answer = door.send(body)
        check(answer.ok, f"answered {answer} to 63 MiB on {door.name}")
    protocols = {"grpc": {"max_recv_msg_size_mib": 1}, "http": {"max_request_body_size": MIB}}
    config = {"receivers": {"otlp": {"protocols": protocols}}}
    small = start(config, config)
    for door in (small.grpc, small.http):
        check(door.send(sized(small, MIB // 2)).ok, f"refused 0.5 MiB under a limit of 1 MiB on {door.name}")
        check(not door.send(sized(small, 2 * MIB)).ok, f"took 2 MiB over a limit of 1 MiB on {door.name}")


def long_winded(target: Target) -> Iterator[tuple[str, Answer]]:
    """Answers whose message could quote megabytes of their request."""
    many = target.spans(5_000)
    for one in many:
        one.span_id, one.name = b"bad", "n" * 100
    for door in target.doors:
        yield door.name, door.send(request(*many))
    key = "k" * (5 * MIB)
    group = {"resource": {"attributes": [{"key": key, "value": {"intValue": key}}]}}
    for body in (
        f'{{"resourceSpans": "{key}"}}',
        f'{{"{key}": 1, "{key}": 2}}',
        json.dumps({"resourceSpans": [group]}),
    ):
        yield "HTTP JSON", target.json.post(body.encode())
    yield "HTTP JSON", target.json.post(b"{}", path="/" + "p" * 5000)
    yield "gRPC", target.grpc.call(b"", "/" + "s" * 4000 + "/" + "m" * 4000)


def test_item_32_answers_are_short(target: Target) -> None:
    """5,000 rejected spans do not make an answer of megabytes."""
    for name, answer in long_winded(target):
        size = len(answer.body) + sum(map(len, answer.headers.values())) + len(answer.text)
        check(size < 4 * MIB, f"answered {size} bytes on {name}")


def test_item_33_answers_always_fit(target: Target) -> None:
    """Every answer could be delivered: none is a failure of its own size, none is over the limit."""
    for name, answer in long_winded(target):
        check(answer.code not in {"closed", "UNKNOWN"}, f"answered {answer} on {name}")
        check(len(answer.body) < 4 * MIB, f"answered {len(answer.body)} bytes on {name}")
    check(target.alive(), "is dead")


def test_item_34_bad_gzip_and_lengths(target: Target) -> None:
    """What is not what it says is 400 at once."""
    for door in (target.http, target.json):
        (sent,) = target.spans()
        body = request(sent) if door.kind == PROTOBUF else json.dumps(otlpjson.encode(request(sent))).encode()
        packed = gzip.compress(body)
        crc = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
        for what, bad in (
            ("no gzip", body),
            ("cut-off gzip", packed[:-9]),
            ("gzip without its end", packed[:-4]),
            ("gzip of another CRC", crc),
        ):
            answer = door.post(bad, headers={"content-encoding": "gzip"})
            check(answer.code == "400", f"answered {answer} to {what} on {door.name}")
        answer = door.raw(door.head(len(body) - 5) + body)[0]
        check(answer.code == "400", f"answered {answer} to a Content-Length that is too short on {door.name}")
        for length in ("-5", "x"):
            answer = door.raw(door.head(length) + body)[0]
            check(answer.code == "400", f"answered {answer} to Content-Length {length} on {door.name}")
        answer = door.raw(door.head(len(body) + 5) + body)[0]
        check(answer.code in {"400", "closed"}, f"answered {answer} to a Content-Length that is too long")
        check(target.settled(sent.trace_id) == [], "stored a span of a refused request")


def test_item_35_wrong_type_encoding_method(target: Target) -> None:
    """415 and 405 with Allow."""
    for kind in ("text/plain", "application/xml", "application/grpc"):
        answer = target.http.post(b"x", headers={"content-type": kind})
        check(answer.code == "415", f"answered {answer} to Content-Type {kind}")
    answer = target.http.post(b"x", headers={"content-encoding": "compress"})
    check(answer.code == "415", f"answered {answer} to Content-Encoding compress")
    for method in ("GET", "PUT", "DELETE"):
        answer = target.http.post(b"", method=method)
        check(answer.code == "405", f"answered {answer} to {method}")
        check(
            answer.headers.get("allow", b"").upper() == b"POST",
            f"405 with Allow {answer.headers.get('allow')!r}",
        )


def test_item_36_retry_after_an_error(target: Target) -> None:
    """Calls given up at every moment, then retried: each span is stored once."""
    sent = target.spans(400)
    trace = sent[0].trace_id
    body = request(*sent)
    given_up = 0
    for number in range(40):
        call = target.grpc.future(body)
        threading.Event().wait(0.0003 * number)
        given_up += call.cancel()
    assert given_up
    check(target.grpc.send(body).ok, "refused the retry")
    stored = target.settled(trace)
    check(len(stored) == 400, f"stored {len(stored)} spans where 400 were sent, given up and sent again")


def test_item_37_clients_that_leave(target: Target) -> None:
    """Half a body and gone: nothing stored. A whole one and gone: stored once with its retry."""
    for door in (target.http, target.json):
        (half,) = target.spans()
        body = request(half) if door.kind == PROTOBUF else json.dumps(otlpjson.encode(request(half))).encode()
        door.raw(door.head(len(body)) + body[: len(body) // 2], answers=0)
        (whole,) = target.spans()
        body = (
            request(whole) if door.kind == PROTOBUF else json.dumps(otlpjson.encode(request(whole))).encode()
        )
        door.raw(door.head(len(body)) + body, answers=0)
        check(door.post(body).ok, "refused the retry")
        check(target.settled(half.trace_id) == [], "stored a part of half a request")
        stored = target.settled(whole.trace_id)
        check(len(stored) == 1, f"stored {len(stored)} copies of a span whose client left and came back")
