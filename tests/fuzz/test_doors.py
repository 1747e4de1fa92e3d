"""Mutated requests at both doors: an answer of the table for each, and a sound server afterwards."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.builders import looping_run, request, span
from tests.conformance.targets import OtelExt, running
from tests.conformance.wire import JSON, Answer, Grpc
from tests.fuzz import mutate
from tests.support import objects, run

GRPC_CODES = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE"}
HTTP_CODES = {
    "200",
    "400",
    "404",
    "405",
    "408",
    "411",
    "413",
    "415",
    "417",
    "429",
    "431",
    "501",
    "503",
    "505",
    "closed",
}
BOUND = 250
"""MiB that the whole run may add to the server's memory: bodies of up to 64 MiB are inflated meanwhile."""


def seeds() -> list[bytes]:
    """Valid requests with something in every field."""
    rich = span(7, 7, 8, session__id="fuzz", n=2**62, f=0.5, b=b"\0\xff", flag=True)
    rich.trace_state, rich.flags = "a=b", 0x301
    rich.status.code, rich.status.message = Status.STATUS_CODE_ERROR, "failed"
    rich.events.add(name="e", time_unix_nano=rich.start_time_unix_nano).attributes.add(
        key="k"
    ).value.int_value = -1
    rich.links.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, trace_state="c=d")
    nested = rich.attributes.add(key="nested").value.kvlist_value.values.add(key="in")
    nested.value.array_value.values.add().double_value = 1.0
    return [
        request(rich),
        request(*looping_run(3, "fuzz loop")),
        request(span(session__id="fuzz", a="x" * 300)),
    ]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OtelExt]:
    """A server of its own for each run."""
    with running("otel_ext", tmp_path / "fuzz") as made:
        assert isinstance(made, OtelExt)
        yield made


def one_case(server: OtelExt, zipped: Grpc, seed: int, number: int) -> tuple[str, Answer]:
    """Case `number` of a seed: what it was, and the answer."""
    rng = random.Random(f"{seed}/{number}")
    body = rng.choice(seeds())
    match rng.randrange(7):
        case 0 | 1:
            return "gRPC", server.grpc.send(mutate.protobuf(rng, body))
        case 2:
            return "gRPC gzip", zipped.send(mutate.protobuf(rng, body))
        case 3:
            return "HTTP protobuf", server.http.post(mutate.protobuf(rng, body))
        case 4:
            return "HTTP JSON", server.json.post(mutate.json_text(rng, server.json.encoded(body)))
        case 5:
            door = rng.choice((server.http, server.json))
            return "HTTP gzip", door.post(
                mutate.gzipped(rng, door.encoded(body)), headers={"content-encoding": "gzip"}
            )
        case _:
            door = rng.choice((server.http, server.json))
            plain = door.encoded(body)
            if rng.random() < 0.3:
                plain = mutate.protobuf(rng, body) if door.kind != JSON else mutate.json_text(rng, plain)
            return "HTTP head", door.raw(mutate.http_request(rng, door.kind, plain))[0]


def fuzz(server: OtelExt, seed: int, cases: int) -> None:
    """Run that many cases, then look at the server, its memory and its ledger."""
    zipped = Grpc(server.grpc_endpoint, compression=grpc.Compression.Gzip)
    assert server.alive()
    before, seen = server.forget_peak(), Counter[str]()
    for number in range(cases):
        what, answer = one_case(server, zipped, seed, number)
        allowed = GRPC_CODES if what.startswith("gRPC") else HTTP_CODES
        assert answer.code in allowed, f"seed {seed}, case {number}: {what} was answered {answer}"
        seen[f"{what} {answer.code}"] += 1
        if answer.code[:1] in "45":
            assert (
                answer.kind not in {"application/x-protobuf", "application/json"} or answer.status is not None
            ), f"seed {seed}, case {number}: {what} has a body that is no Status: {answer.body[:100]!r}"
        if number % 500 == 0:
            assert server.alive(), f"seed {seed}: not answering after case {number}"
    zipped.close()
    assert server.alive()
    grown = server.peak() - before
    assert grown < BOUND, f"seed {seed}: grew by {grown} MiB"
    assert server.process is not None
    server.process.terminate()
    assert server.process.wait(60) == 0, server.log.read_text()[-3000:]
    text = server.log.read_text()
    assert "Traceback" not in text, text[-3000:]
    (report,) = objects(run("verify", server.data, "--json"))
    assert report["ok"], json.dumps(report)
    assert report["received"] == report["stored"] + report["duplicate"] + sum(report["rejected"].values())
    kinds = {key.rpartition(" ")[0] for key in seen}
    assert kinds == {"gRPC", "gRPC gzip", "HTTP protobuf", "HTTP JSON", "HTTP gzip", "HTTP head"}
    assert len(seen) > len(kinds) * 2, f"most cases end the same way: {seen}"


def test_mutated_requests(server: OtelExt) -> None:
    """400 cases of a fixed seed."""
    fuzz(server, 1, 400)


@pytest.mark.long
def test_a_slice_of_mutated_requests(server: OtelExt) -> None:
    """3,000 cases of another seed."""
    fuzz(server, 12, 3_000)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_mutated_requests(server: OtelExt, seed: int) -> None:
    """Ten seeds of 20,000 cases."""
    fuzz(server, seed, 20_000)
