"""The Collector's OTLP JSON file receiver reads our session files while they grow, and after crashes.

Law of this file: what the backend was sent is held against what `otel-ext cat` says is stored, span by span,
resource and scope included, as protobuf bytes.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.builders import looping_run, request, span, span_id, trace_id
from tests.collector.backend import Backend
from tests.collector.process import Site, collector, sidecar
from tests.collector.spans import Id, Told, send, stored
from tests.crash.load import Load, ids
from tests.support import objects, run, until

pytestmark = pytest.mark.peers
CONFIG = "pickup/collector.yaml"
OURS = "pickup/otel-ext.yaml"
SHORT = "\nprocessors: {sessions: {idle_timeout: 2s}}\n"
"""Sessions that end while the test looks, so that files are sealed."""


def same(backend: Backend, data: Path) -> dict[Id, Told]:
    """Wait until the backend has everything; assert that it is what is stored, nothing twice or changed."""
    expected = stored(data)
    until(lambda: backend.ids() >= set(expected), "the Collector to read every file")
    assert {key: n for key, n in backend.counts().items() if n > 1} == {}
    assert {key: each[0] for key, each in backend.got.items()} == expected
    return expected


def file_line(number: int) -> str:
    """A line of an OTLP JSON file as anybody writes it, with one span."""
    one = {
        "traceId": trace_id(number).hex(),
        "spanId": span_id(number).hex(),
        "name": f"span {number}",
        "kind": 1,
        "startTimeUnixNano": "1790000000000000000",
        "endTimeUnixNano": "1790000001000000000",
    }
    return json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": [one]}]}]})


def key(number: int) -> Id:
    """The id of `file_line(number)`'s span."""
    return trace_id(number).hex(), span_id(number).hex()


def folder(site: Site, owner: str = "main") -> Path:
    """A folder where the Collector looks for session files, made by the test."""
    made = site.data / "engines" / owner / "sessions"
    made.mkdir(parents=True)
    return made


def test_growing_files_and_our_crashes(otelcol: Path, site: Site, backend: Backend) -> None:
    """Read while they grow, over four `kill -9` of ours: each span and finding once, header lines unseen."""
    with collector(otelcol, site, CONFIG) as reader, sidecar(site, OURS, SHORT) as server:
        with Load(server) as load:
            for _ in range(4):
                load.wait_for(60)
                until(lambda: len(backend.got) > 100, "spans that are read while the files grow")
                server.kill()
                server.start()
            load.wait_for(60)
        numbers = load.acknowledged
        server.wait_for_ends(len(ids(numbers)))
        server.stop()
        expected = same(backend, site.data)
        reader.stop()
    assert ids(numbers) <= set(expected)
    derived = len(objects(run("signals", site.data, "--json", "--revisions")))
    assert derived
    assert len(expected) == len(ids(load.attempted) & set(expected)) + derived
    assert reader.complaints == []


def test_the_collector_stops_and_comes_back(otelcol: Path, site: Site, backend: Backend) -> None:
    """What was stored while it was away is read from where it had stopped: nothing missing, nothing twice."""
    with collector(otelcol, site, CONFIG) as reader, sidecar(site, OURS, SHORT) as server:
        with Load(server) as load:
            load.wait_for(40)
            until(lambda: bool(backend.got), "the first spans")
            reader.stop()
            load.wait_for(40)
            reader.start()
            load.wait_for(40)
        server.wait_for_ends(len(ids(load.acknowledged)))
        server.stop()
        assert ids(load.acknowledged) <= set(same(backend, site.data))


def test_the_collector_is_killed(otelcol: Path, site: Site, backend: Backend) -> None:
    """Its crash may make it read again what it had not noted; nothing is missing, repeats are identical."""
    with collector(otelcol, site, CONFIG) as reader, sidecar(site, OURS, SHORT) as server:
        with Load(server) as load:
            for _ in range(3):
                load.wait_for(40)
                known = len(backend.got)
                until(lambda known=known: len(backend.got) > known, "more spans")  # type: ignore[misc]
                reader.kill()
                reader.start()
        server.wait_for_ends(len(ids(load.acknowledged)))
        server.stop()
        expected = stored(site.data)
        until(lambda: backend.ids() >= set(expected), "the Collector to read every file")
    assert {each: set(told) for each, told in backend.got.items()} == {k: {v} for k, v in expected.items()}


def test_a_backend_that_is_away_loses_nothing(otelcol: Path, site: Site, backend: Backend) -> None:
    """What the backend refuses waits on the Collector's disk, also over its restart."""
    backend.refuse.set()
    with collector(otelcol, site, CONFIG) as reader, sidecar(site, OURS, SHORT) as server:
        with Load(server) as load:
            load.wait_for(100)
        until(lambda: backend.refused > 2, "refusals")
        server.wait_for_ends(len(ids(load.acknowledged)))
        server.stop()
        reader.stop()
        reader.start()
        backend.refuse.clear()
        assert ids(load.acknowledged) <= set(same(backend, site.data))


def test_a_full_queue_is_waited_for(otelcol: Path, site: Site, backend: Backend) -> None:
    """When no more fits into the Collector's queue, its place in the files does not run ahead."""
    backend.refuse.set()
    queue = {"sizer": "requests", "queue_size": 5}
    little: dict[str, object] = {"exporters": {"otlp/backend": {"sending_queue": queue}}}
    with collector(otelcol, site, CONFIG, little), sidecar(site, OURS, SHORT) as server:
        with Load(server) as load:
            load.wait_for(100)
        until(lambda: backend.refused > 2, "refusals")
        server.wait_for_ends(len(ids(load.acknowledged)))
        server.stop()
        backend.refuse.clear()
        assert ids(load.acknowledged) <= set(same(backend, site.data))


def test_rotation_many_files_large_spans(otelcol: Path, site: Site, backend: Backend) -> None:
    """300 sessions, files sealed at 1 MiB, spans of 300 kB and one of 3 MiB: all are read."""
    rotate = SHORT.replace("processors", "extensions: {journal: {segment_mib: 8}}\nprocessors")
    text = "exporters:\n  file:\n    rotation: {max_megabytes: 1}"
    with collector(otelcol, site, CONFIG) as reader:
        server = site.sidecar(OURS, rotate)
        server.config = server.config.replace("exporters:\n  file:", text)
        assert "max_megabytes" in server.config
        server.start()
        try:
            send(
                server.endpoint,
                *(request(*looping_run(n, f"many-{n}", rounds=2)) for n in range(1, 301)),
                *(
                    request(span(900 + n % 5, session__id=f"large-{n % 5}", text="ä" * 150_000))
                    for n in range(40)
                ),
                request(span(990, session__id="huge", text="x" * (3 << 20))),
                *(request(span(990, session__id="huge", text="small")) for _ in range(3)),
            )
            server.wait_for_ends(300 * 3 + 40 + 4)
            server.stop()
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()
        expected = same(backend, site.data)
        reader.stop()
    files = [path.name for path in (site.data / "engines/main/sessions").iterdir()]
    assert len({name for name in files if name.startswith("large-")}) >= 10  # 12 MB of 5 sessions
    assert len(files) > 310
    assert len(expected) >= 944
    assert reader.complaints == []


def test_compressed_files_are_left_alone(otelcol: Path, site: Site, backend: Backend) -> None:
    """A file that was read and is compressed later is not read again, nor does it disturb the others."""
    with collector(otelcol, site, CONFIG) as reader:
        with sidecar(site, OURS, SHORT) as server:
            send(server.endpoint, *(request(*looping_run(n, f"first-{n}", rounds=2)) for n in range(1, 11)))
            server.wait_for_ends(30)
            server.stop()
        same(backend, site.data)
        server.config = server.config.replace("compress_after: 0s", "compress_after: 1s")
        server.start()
        sessions = site.data / "engines/main/sessions"
        until(lambda: len(list(sessions.glob("*.jsonl.zst"))) == 10, "compressed files")
        send(server.endpoint, request(*looping_run(20, "second", rounds=2)))
        until(lambda: key(20_000) in backend.got or len(backend.got) > 33, "what came later")
        server.stop()
        assert {k: n for k, n in backend.counts().items() if n > 1} == {}
        assert backend.ids() == set(stored(site.data))
        reader.stop()
    assert reader.complaints == []


def test_a_line_that_is_not_finished_is_waited_for(otelcol: Path, site: Site, backend: Backend) -> None:
    """Half a line, as a kill in the middle of a write leaves it, is not read until its end is there."""
    sessions = folder(site)
    half, other = sessions / "half.jsonl", sessions / "other.jsonl"
    line = file_line(1)
    with collector(otelcol, site, CONFIG) as reader:
        half.write_text(file_line(2) + "\n" + line[: len(line) // 2])
        until(lambda: key(2) in backend.got, "the whole line")
        for n in range(10, 18):  # eight polls, 200 ms each; by default it waits for 500 ms
            with other.open("a") as stream:
                stream.write(file_line(n) + "\n")
            until(lambda n=n: key(n) in backend.got, "a later line of another file")  # type: ignore[misc]
        with half.open("a") as stream:
            stream.write(line[len(line) // 2 :] + "\n")
        until(lambda: key(1) in backend.got, "the line whose end has come")
        reader.stop()
    assert set(backend.counts().values()) == {1}


@pytest.mark.parametrize("head", [True, False], ids=["with our first line", "without it"])
def test_files_that_begin_alike(otelcol: Path, site: Site, backend: Backend, head: bool) -> None:
    """Two files alike in their first 1000 bytes are one to the Collector: so line one names the file."""
    first, second = folder(site, "main"), folder(site, "process-1")
    long = file_line(1).replace("span 1", "x" * 1000)
    for n, place in enumerate((first, second), 2):
        header = json.dumps({"otel_ext": {"file": f"{n}/s"}, "resourceSpans": []}) + "\n" if head else ""
        (place / "s.jsonl").write_text(header + long + "\n" + file_line(n) + "\n")
    (first / "z.jsonl").write_text(file_line(9) + "\n")
    with collector(otelcol, site, CONFIG) as reader:
        if head:
            until(lambda: {key(2), key(3), key(9)} <= backend.ids(), "both files")
        else:
            until(lambda: key(9) in backend.got, "the third file")
        reader.stop()  # it has read what it is going to read, and sent it
    assert len(backend.ids() & {key(2), key(3)}) == (2 if head else 1)


def test_keys_of_ours_are_passed_over(otelcol: Path, site: Site, backend: Backend) -> None:
    """The header's and the derived line's own keys: the spans arrive, nothing is complained of."""
    lines: list[dict[str, Any]] = [
        {"otel_ext": {"file": "1/s", "session": "s"}, "resourceSpans": []},
        {"otel_ext": {"derived": 1}, **json.loads(file_line(1))},
        {**json.loads(file_line(2)), "otel_ext": {"nested": {"deep": [1, "x", None]}}},
    ]
    (folder(site) / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with collector(otelcol, site, CONFIG) as reader:
        until(lambda: backend.ids() == {key(1), key(2)}, "both spans")
        reader.stop()
    assert reader.complaints == []
    assert set(backend.counts().values()) == {1}
