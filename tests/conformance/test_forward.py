"""Items 61 to 72: the client side, against scripted far sides."""

import base64
import email.utils
import gzip
import itertools
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.builders import request
from tests.conformance.conftest import Start
from tests.conformance.farside import FarSide, GrpcFarSide, HttpFarSide, Reply
from tests.conformance.forwarders import RETRY, forwarding, grpc_exporter, http_exporter, to_grpc, to_http
from tests.conformance.signals import OTHERS
from tests.conformance.targets import OtelExt, Target, free_endpoint, running
from tests.conformance.wire import check
from tests.support import until

MIB = 1 << 20
RETRYABLE = ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS")
FINAL = (
    *("UNKNOWN", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "INTERNAL"),
    *("FAILED_PRECONDITION", "UNIMPLEMENTED", "UNAUTHENTICATED", "RESOURCE_EXHAUSTED"),
)


@pytest.fixture(scope="module")
def far(target_name: str) -> Iterator[tuple[GrpcFarSide, HttpFarSide]]:
    """A far side of each kind for the tests of this file."""
    with GrpcFarSide() as over_grpc, HttpFarSide() as over_http:
        yield over_grpc, over_http


@pytest.fixture(scope="module")
def sender(
    target_name: str, far: tuple[GrpcFarSide, HttpFarSide], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """A server that forwards to both."""
    ours, theirs = forwarding(
        otlp_far=grpc_exporter(far[0].endpoint), otlphttp_far=http_exporter(far[1].endpoint)
    )
    folder = tmp_path_factory.mktemp("forward") / target_name
    with running(target_name, folder, ours, theirs) as made:
        yield made


def send(target: Target, *spans: Span) -> Span:
    """Hand spans, or a new one, to the target; the first of them."""
    sent = spans or tuple(target.spans())
    answer = target.grpc.send(request(*sent))
    assert answer.ok, answer
    return sent[0]


def first_try(target: Target, far: FarSide, reply: Reply) -> Span:
    """A span whose first try is answered so; returns when it was."""
    (one,) = target.spans()
    far.rule = lambda body: reply if one.span_id in body and not far.of(one.span_id) else Reply()
    send(target, one)
    until(lambda: bool(far.of(one.span_id)), f"{one.span_id.hex()} at the far side")
    return one


def compare(target: Target, far: FarSide, again: list[Reply], final: list[Reply]) -> None:
    """Check that the first are retried until they are accepted, and that the second are not sent again."""
    for reply in again:
        word = reply.code + (" with RetryInfo" if reply.retry else "")
        one = first_try(target, far, reply)
        soon = time.monotonic() + 10  # 200 times the first backoff
        until(lambda one=one, soon=soon: len(far.of(one.span_id)) > 1 or time.monotonic() > soon, "a retry")  # type: ignore[misc]
        check(
            [call.code for call in far.of(one.span_id)] == [reply.code, far.accepts], f"does not retry {word}"
        )
    refused = {first_try(target, far, reply).span_id: reply.code for reply in final}
    far.wait_for(send(target).span_id)
    # Ten times the first backoff without a call: what was to be sent again was.
    until(lambda: time.monotonic() - far.calls[-1].at > 0.5, "the end of the tries")
    # A joined request that is refused may be taken apart to find the culprit; the same bytes are a retry.
    tried = {code: [call.body for call in far.of(name)] for name, code in refused.items()}
    wrong = [code for code, bodies in tried.items() if len(set(bodies)) < len(bodies)]
    check(not wrong, f"retries {', '.join(wrong)}")


def counted(target: Target, before: float | None, more: int) -> None:
    """Check that the target's metrics count so many spans more as failed, where it has metrics."""
    if before is not None:
        soon = time.monotonic() + 10
        until(lambda: target.failed() == before + more or time.monotonic() > soon, "the count")
        check(target.failed() == before + more, f"counts {target.failed()} failed spans, not {before + more}")


def test_item_61_grpc_retries(sender: Target, far: tuple[GrpcFarSide, HttpFarSide]) -> None:
    """Each status code once, then OK: who is sent again, and who is not."""
    again = [Reply(code) for code in RETRYABLE] + [Reply("RESOURCE_EXHAUSTED", retry=0.05)]
    compare(sender, far[0], again, [Reply(code) for code in FINAL])


def test_item_62_http_retries(sender: Target, far: tuple[GrpcFarSide, HttpFarSide]) -> None:
    """Each HTTP status once, and a dropped connection."""
    again = [Reply(code) for code in ("429", "502", "503", "504", "drop")]
    final = [Reply(code) for code in ("400", "401", "403", "404", "405", "408", "500", "501", "505")]
    compare(sender, far[1], again, final)


def gap(target: Target, far: FarSide, reply: Reply) -> float:
    """Seconds between a try that is answered so and the next one."""
    first = first_try(target, far, reply)
    until(lambda: len(far.of(first.span_id)) > 1, "a retry")
    one, two = far.of(first.span_id)[:2]
    return two.at - one.at


def test_item_63_waits_as_told(sender: Target, far: tuple[GrpcFarSide, HttpFarSide]) -> None:
    """1.2 s of RetryInfo, 2 s of Retry-After, a date 3 s away: no retry before."""
    over_grpc, over_http = far
    check(
        (waited := gap(sender, over_grpc, Reply("UNAVAILABLE", retry=1.2))) >= 1.15,
        f"waited {waited:.1f} s of RetryInfo 1.2 s",
    )
    check(
        (waited := gap(sender, over_http, Reply("503", headers={"Retry-After": "2"}))) >= 1.9,
        f"waited {waited:.1f} s of Retry-After: 2",
    )
    date = email.utils.formatdate(time.time() + 3, usegmt=True)
    waited = gap(sender, over_http, Reply("429", headers={"Retry-After": date}))
    check(waited >= 1.5, f"waited {waited:.1f} s of a Retry-After that is a date 2 to 3 s away")


def test_item_64_backoff(start: Start) -> None:
    """First waits differ by a fifth at least (jitter), later ones are longer; after 2 s it gives up, once."""
    with GrpcFarSide() as far:
        retry = {"initial_interval": "200ms", "max_interval": "10s", "max_elapsed_time": "0s"}
        made = start(*to_grpc(far.endpoint, retry_on_failure=retry))
        firsts = [gap(made, far, Reply("UNAVAILABLE")) for _ in range(8)]
        check(
            max(firsts) - min(firsts) > 0.2 * max(firsts), f"first waits are {[f'{g:.3f}' for g in firsts]}"
        )
        far.rule = None
        far.script[:] = [Reply("UNAVAILABLE")] * 6
        (hard,) = [send(made)]
        far.wait_for(hard.span_id)
        times = [call.at for call in far.of(hard.span_id)]
        waits = [b - a for a, b in itertools.pairwise(times)]
        check(sum(waits[3:]) > 1.3 * sum(waits[:3]), f"waits are {[f'{g:.2f}' for g in waits]}")
    with GrpcFarSide() as far:
        retry = {"initial_interval": "50ms", "max_interval": "200ms", "max_elapsed_time": "1s"}
        made = start(*to_grpc(far.endpoint, retry_on_failure=retry))
        (lost,) = made.spans()
        far.rule = lambda body: Reply("UNAVAILABLE" if lost.span_id in body else "OK")
        send(made, lost)
        until(lambda: bool(far.of(lost.span_id)), "the first try")
        later = send(made)
        far.wait_for(later.span_id)
        until(lambda: time.monotonic() - far.of(lost.span_id)[-1].at > 1, "the end of the tries")
        counted(made, 0.0 if made.metrics_endpoint else None, 1)
        check(1 < len(far.of(lost.span_id)) < 60, f"tried {len(far.of(lost.span_id))} times")


def test_item_65_partial_success_is_final(sender: Target, far: tuple[GrpcFarSide, HttpFarSide]) -> None:
    """A rejected span is not sent again, what follows is; it is counted."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 1
    answer.partial_success.error_message = "no room"
    for there in far:
        before = sender.failed()
        one = first_try(sender, there, Reply(body=answer.SerializeToString()))
        there.wait_for(send(sender).span_id)
        until(lambda there=there: time.monotonic() - there.calls[-1].at > 0.5, "the end of the tries")  # type: ignore[misc]
        check(len(there.of(one.span_id)) == 1, f"sends a partial success {len(there.of(one.span_id))} times")
        counted(sender, before, 1)


def test_item_66_bad_data_is_final(sender: Target, far: tuple[GrpcFarSide, HttpFarSide]) -> None:
    """Refused for good: not sent again, what follows is; and the span is kept aside."""
    for there, code in zip(far, ("INVALID_ARGUMENT", "400"), strict=True):
        compare(sender, there, [], [Reply(code)])
    if sender.ours:
        before = sender.failed()
        bad = first_try(sender, far[0], Reply("INVALID_ARGUMENT"))
        assert isinstance(sender, OtelExt)
        until(lambda: quarantined(sender.data, bad.span_id), "the refused request in quarantine")
        counted(sender, before, 1)


def quarantined(data: Path, needle: bytes) -> bool:
    """Whether a destination's file of refused requests holds one with these bytes."""
    lines = [line for path in data.rglob("*.refused.jsonl") for line in path.read_bytes().splitlines()]
    return any(needle in base64.b64decode(json.loads(line)["request"]) for line in lines)


def test_item_67_splitting(start: Start) -> None:
    """A far side that takes at most 1 MiB gets 3 MiB in pieces, on both protocols, each span once."""
    for kind, configure, refusal in (
        (GrpcFarSide, to_grpc, "RESOURCE_EXHAUSTED"),
        (HttpFarSide, to_http, "413"),
    ):
        with kind() as far:
            far.rule = lambda body, refusal=refusal: Reply(refusal if len(body) > MIB else "")
            made = start(*configure(far.endpoint))
            spans = made.spans(48)
            for one in spans:
                one.attributes.add(key="blob").value.string_value = "x" * (64 << 10)
            send(made, *spans)
            last = send(made)
            far.wait_for(last.span_id)
            counts = [sum(one.span_id in body for body in far.bodies) for one in spans]
            check(counts == [1] * 48, f"delivered {sum(c > 0 for c in counts)} of 48 spans after {refusal}")


def test_item_68_large_answers(sender: Target, far: tuple[GrpcFarSide, HttpFarSide]) -> None:
    """Answers of 64 MiB, and of 200 MiB in gzip, are not taken into memory; the next span comes through."""
    over_grpc, over_http = far
    answer = ExportTraceServiceResponse()
    answer.partial_success.error_message = "x" * (64 * MIB)
    body = answer.SerializeToString()
    packed = gzip.compress(bytes(200 * MIB))
    before = sender.forget_peak()
    for there, reply in (
        (over_grpc, Reply(body=body)),
        (over_http, Reply(body=body)),
        (over_http, Reply(body=packed, headers={"Content-Encoding": "gzip"})),
        (over_http, Reply("400", body=body)),
    ):
        first_try(sender, there, reply)
        there.wait_for(send(sender).span_id)
    grown = sender.peak() - before
    check(grown < 40, f"grew by {grown} MiB")


def test_item_69_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an endpoint of its own an exporter goes where the variables say, as they say; TRACES_ wins."""
    with HttpFarSide() as far:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{far.endpoint}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=general,x-team=a%20b")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        with running("otel_ext", tmp_path / "base", {"exporters": {"otlphttp/far": {}}}) as made:
            far.wait_for(send(made).span_id)
            call = far.calls[-1]
            check(call.headers[":path"] == "/v1/traces", f"posts to {call.headers[':path']}")
            check(
                call.headers.get("x-team") == "a b" and call.headers.get("x-tenant") == "general",
                "sends no headers",
            )
            check(call.headers.get("content-encoding") == "gzip", "does not compress")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://{far.endpoint}/my/own")
        with running("otel_ext", tmp_path / "traces", {"exporters": {"otlphttp/far": {}}}) as made:
            far.wait_for(send(made).span_id)
            check(far.calls[-1].headers[":path"] == "/my/own", f"posts to {far.calls[-1].headers[':path']}")
    with GrpcFarSide() as far:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://{far.endpoint}")
        with running("otel_ext", tmp_path / "grpc", {"exporters": {"otlp/far": {}}}) as made:
            far.wait_for(send(made).span_id)
            check(far.calls[-1].headers.get("x-team") == "a b", "sends no metadata")
    with HttpFarSide() as far, socket.create_server(("127.0.0.1", 0)) as silent:
        for name in ("PROTOCOL", "ENDPOINT"):
            monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_TRACES_{name}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{far.endpoint}/base/")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-tenant=own")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none")
        with running("otel_ext", tmp_path / "own", {"exporters": {"otlphttp/far": {}}}) as made:
            far.wait_for(send(made).span_id)
            headers = far.calls[-1].headers
            check(headers[":path"] == "/base/v1/traces", f"posts to {headers[':path']}")
            check(headers.get("x-tenant") == "own", f"sends x-tenant {headers.get('x-tenant')}")
            check("content-encoding" not in headers, "compresses traces")
            for signal in OTHERS:
                check(all(answer.ok for _, answer in signal.ask(made, 1)), f"refused {signal.name}")
                far.wait_for(b"conformance")
                path = f"/base/v1/{signal.name}"
                until(lambda path=path: path in {c.headers[":path"] for c in far.calls}, path)  # type: ignore[misc]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0.2")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with running(
            "otel_ext", tmp_path / "late", {"exporters": {"otlphttp/far": {"retry_on_failure": RETRY}}}
        ) as made:
            send(made)
            silent.settimeout(60)
            with silent.accept()[0], silent.accept()[0]:  # there is a second one: the first try was given up
                pass
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:4318")
    validate = [
        sys.executable,
        "-m",
        "otel_ext",
        "validate",
        "--config",
        "yaml:exporters: {otlphttp/far: {}}",
    ]
    said = subprocess.run(validate, capture_output=True, text=True, check=False, timeout=60)
    check(said.returncode and "TLS" in said.stderr, f"says {said.stderr!r} to https://")


def test_item_70_user_agent(sender: Target, far: tuple[GrpcFarSide, HttpFarSide]) -> None:
    """A product token that names an OpenTelemetry exporter."""
    for there in far:
        there.wait_for(send(sender).span_id)
        agent = there.calls[-1].headers.get("user-agent", "")
        check(re.match(r"(?i)(otel|opentelemetry)[^/]*/\S", agent), f"is {agent!r}")


def test_item_71_a_dead_destination(start: Start) -> None:
    """One destination refuses connections, one never has time; the third gets everything."""
    with GrpcFarSide() as busy, HttpFarSide() as alive:
        busy.rule = lambda body: Reply("UNAVAILABLE")
        made = start(
            *forwarding(
                otlp_dead=grpc_exporter(free_endpoint()),
                otlp_busy=grpc_exporter(busy.endpoint),
                otlphttp_alive=http_exporter(alive.endpoint),
            )
        )
        sent = [send(made) for _ in range(50)]
        for one in sent:
            alive.wait_for(one.span_id)
        check(busy.calls, "did not try the busy one")


def test_item_72_connections_are_kept(
    sender: Target, far: tuple[GrpcFarSide, HttpFarSide], start: Start
) -> None:
    """20 requests one after the other over a connection that was there; with 3 consumers 3 at one time."""
    for there in far:
        there.wait_for(send(sender).span_id)
        before = len(there.calls)
        for _ in range(20):
            there.wait_for(send(sender).span_id)
        peers = {call.peer for call in there.calls[before:]}
        check(len(peers) <= 4, f"used {len(peers)} connections for 20 requests")
    for kind, configure in ((GrpcFarSide, to_grpc), (HttpFarSide, to_http)):
        with kind() as there:
            go_on, inside = threading.Event(), list[bytes]()

            def hold(body: bytes, go_on: threading.Event = go_on, inside: list[bytes] = inside) -> Reply:
                inside.append(body)
                go_on.wait(60)
                return Reply()

            there.rule = hold
            made = start(*configure(there.endpoint, sending_queue={"num_consumers": 3}))
            for number in range(3):
                send(made)
                until(lambda most=number, inside=inside: len(inside) > most, "another request on its way")  # type: ignore[misc]
            last = send(made)
            check(len(inside) == 3, f"has {len(inside)} requests on their way with 3 consumers")
            go_on.set()
            there.wait_for(last.span_id)
