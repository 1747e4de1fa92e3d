"""Items 10 to 21: success and partial success."""

import gzip
import json
import re

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.builders import request
from tests.conformance.signals import OTHERS
from tests.conformance.targets import Target
from tests.conformance.wire import JSON, Answer, Unseen, check


def invalid(target: Target, count: int) -> list[Span]:
    """Spans without a usable id, in all the ways."""
    made = target.spans(count)
    for number, one in enumerate(made):
        match number % 4:
            case 0:
                one.trace_id = b""
            case 1:
                one.span_id = bytes(8)
            case 2:
                one.trace_id = b"short"
            case _:
                one.span_id = b"long" * 5
    return made


def test_item_10_empty_request(target: Target) -> None:
    """Zero bytes on gRPC and HTTP, `{}` in JSON."""
    for answer in (target.grpc.send(b""), target.http.post(b""), target.json.post(b"{}")):
        check(answer.ok, f"answered {answer}")
        check(not answer.rejected and not answer.response.partial_success.error_message, f"answered {answer}")
    for signal in OTHERS:
        for where, answer in signal.ask(target, 0):
            check(answer.ok and signal.partial(answer) == (0, ""), f"answered {answer} to {where}")


def test_item_11_full_success_is_unset(target: Target) -> None:
    """Nothing to say is said with nothing."""
    for door in target.doors:
        answer = door.send(request(*target.spans(3)))
        check(answer.ok, f"answered {answer} on {door.name}")
        empty = json.loads(answer.payload) == {} if answer.kind == JSON else answer.payload == b""
        check(
            empty,
            f"sent an empty `partial_success` on {door.name}" if not answer.rejected else "rejected spans",
        )
    for signal in OTHERS:
        for where, answer in signal.ask(target, 3):
            check(answer.ok, f"answered {answer} to {where}")
            check(answer.payload in {b"", b"{}"}, f"sent an empty `partial_success` to {where}")


def test_item_12_http_success_is_200(target: Target) -> None:
    """200 and a body that decodes."""
    for door in (target.http, target.json):
        answer = door.send(request(*target.spans()))
        check(answer.code == "200", f"answered {answer} on {door.name}")
        check(answer.response is not None, "answered a body that is none")
    for signal in OTHERS:
        for where, answer in signal.ask(target, 1):
            check(answer.code in {"OK", "200"}, f"answered {answer} to {where}")
            check(signal.partial(answer)[0] == 0, f"rejected {where}")


def test_item_13_content_type_of_answers(target: Target) -> None:
    """Answers, successful or not, have their request's type."""
    for door in (target.http, target.json):
        for body in (b"" if door is target.http else b"{}", b"\xff garbage"):
            answer = door.post(body)
            check(
                answer.kind == door.kind,
                f"answered {door.kind} with {answer.kind or 'no type'} ({answer.code})",
            )


def test_item_14_gzipped_answers(target: Target) -> None:
    """A Content-Encoding is only ever one that was asked for, and true."""
    for asked in ("gzip", "identity", ""):
        headers = {"accept-encoding": asked} if asked else {}
        for door in (target.http, target.json):
            answer = door.post(b"garbage", headers=headers)
            encoding = answer.headers.get("content-encoding", b"identity")
            check(encoding in {b"identity", b"gzip"}, f"answered in {encoding!r}")
            check(encoding != b"gzip" or asked == "gzip", "gzipped an answer unasked")
            check(encoding != b"gzip" or gzip.decompress(answer.body), "said gzip and was not")


def test_item_15_empty_envelopes(target: Target) -> None:
    """Groups without spans are nothing, successfully."""
    message = ExportTraceServiceRequest()
    message.resource_spans.add()
    message.resource_spans.add().scope_spans.add()
    for door in target.doors:
        answer = door.send(message.SerializeToString())
        check(answer.ok and answer.rejected == 0, f"answered {answer} on {door.name}")


def mixed(target: Target) -> list[tuple[str, Answer, list[Span]]]:
    """One request with three valid and four invalid spans through each door."""
    found = []
    for door in target.doors:
        good, bad = target.spans(3), invalid(target, 4)
        spans = [good[0], bad[0], bad[1], good[1], bad[2], bad[3], good[2]]
        found.append((door.name, door.send(request(*spans)), good))
    return found


def test_item_16_partial_success(target: Target) -> None:
    """Four of seven are rejected, counted exactly; the other three are stored."""
    for name, answer, good in mixed(target):
        check(answer.ok, f"answered {answer} on {name}: nothing is stored")
        check(answer.rejected == 4, f"stored invalid spans without a word ({name})")
        stored = target.stored(good[0].trace_id, 3)
        check(
            {s.span.span_id for s in stored} == {s.span_id for s in good},
            f"stored {len(stored)} of 3 on {name}",
        )
    for signal in OTHERS:
        for where, answer in signal.ask(target, 3, 4):
            check(answer.ok and signal.partial(answer)[0] == 4, f"answered {answer} to {where}")


def test_item_17_error_message(target: Target) -> None:
    """Whoever loses spans is told why in words."""
    for name, answer, _ in mixed(target):
        if not (answer.ok and answer.rejected):
            raise Unseen(f"never sends a partial success ({answer.code} on {name})")
        message = answer.response.partial_success.error_message
        check(len(re.findall(r"[a-z]{3,}", message)) >= 3, f"says {message!r}")
    for signal in OTHERS:
        for where, answer in signal.ask(target, 3, 4):
            if not (answer.ok and signal.partial(answer)[0]):
                raise Unseen(f"never sends a partial success ({answer.code} to {where})")
            message = signal.partial(answer)[1]
            check(len(re.findall(r"[a-z]{3,}", message)) >= 3, f"says {message!r} to {where}")


def test_item_18_warnings(target: Target) -> None:
    """No answer has a partial success that says nothing."""
    for door in target.doors:
        odd = target.spans(5)
        odd[0].start_time_unix_nano = 0
        odd[1].end_time_unix_nano = 1
        odd[2].start_time_unix_nano = 2**64 - 1
        odd[3].name = "x" * 100_000
        odd[4].kind = 77  # type: ignore[assignment]
        for spans in ((), odd[:1], odd, odd):
            answer = door.send(request(*spans))
            check(answer.ok, f"answered {answer} on {door.name}")
            response = answer.response
            said = response.HasField("partial_success")
            partial = response.partial_success
            check(
                not said or partial.rejected_spans or partial.error_message,
                f"sent an empty `partial_success` on {door.name}",
            )


def test_item_19_rejected_spans_is_a_string(target: Target) -> None:
    """`"rejectedSpans":"4"`."""
    _, answer, _ = mixed(target)[2]
    if not (answer.ok and answer.rejected):
        raise Unseen(f"never sends a partial success ({answer.code})")
    partial = json.loads(answer.payload)["partialSuccess"]
    check(partial.get("rejectedSpans") == "4", f"wrote {partial.get('rejectedSpans')!r}")
    (answer,) = [answer for where, answer in OTHERS[0].ask(target, 3, 4) if "JSON" in where]
    rejected = json.loads(answer.payload).get("partialSuccess", {}).get("rejectedLogRecords")
    check(rejected == "4", f"wrote {rejected!r}")


def test_item_20_all_invalid(target: Target) -> None:
    """Decodable data of which nothing can be kept is still a counted success."""
    for door in target.doors:
        answer = door.send(request(*invalid(target, 4)))
        check(answer.ok, f"answered {answer} on {door.name}")
        check(answer.rejected == 4, f"answered {answer.rejected} rejected of 4 on {door.name}")
    for signal in OTHERS:
        for where, answer in signal.ask(target, 0, 4):
            check(answer.ok and signal.partial(answer)[0] == 4, f"answered {answer} to {where}")


def test_item_21_redelivery(target: Target) -> None:
    """The same request three times: accepted each time, stored once."""
    for door in target.doors:
        sent = target.spans(2)
        for _ in range(3):
            answer = door.send(request(*sent))
            check(answer.ok and answer.rejected == 0, f"answered {answer} on {door.name}")
        stored = target.settled(sent[0].trace_id)
        check(len(stored) == 2, f"stored {len(stored)} spans of 2 sent three times")
