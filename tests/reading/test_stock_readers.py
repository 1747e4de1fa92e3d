"""jq and DuckDB read session files with the queries of docs/reading.md: while they grow, and after crashes.

Law of this file: the queries are those that the page shows, run as they stand.
"""

import json
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.builders import looping_run, request, span
from tests.collector.spans import send
from tests.crash.checks import span_ids
from tests.crash.load import Id, Load, ids
from tests.support import ROOT, objects, run, server

PAGE = (ROOT / "docs/reading.md").read_text()
CONFIG = "processors: {sessions: {idle_timeout: 2s}}"
Reader = Callable[[Path], Counter[Id]]


def sql(data: Path) -> list[str]:
    """The page's SQL statements, for this data folder."""
    blocks = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    return [block.replace("DATA", str(data)).replace("spans.parquet", f"{data}.parquet") for block in blocks]


def connect(data: Path) -> Any:
    """DuckDB with the page's view of all spans."""
    connection = pytest.importorskip("duckdb").connect()
    connection.execute(sql(data)[0])
    return connection


def jq(data: Path, block: int) -> Iterable[str]:
    """Lines that one of the page's commands prints: by the jq on PATH, else by the package of that name."""
    call = shlex.split(re.findall(r"```sh\n(jq .*?)\n```", PAGE)[block])
    _, options, program, pattern = call
    paths = sorted(data.parent.glob(pattern.replace("DATA", data.name)))
    if shutil.which("jq"):
        done = subprocess.run(
            ["jq", options, program, *paths], capture_output=True, check=True, text=True, timeout=60
        )
        return [line for line in done.stdout.split("\n") if line]
    package = pytest.importorskip("jq", reason="neither the program jq nor the package")
    compiled = package.compile(program)
    text = "".join(path.read_text() for path in paths)  # one stream, as the program reads them
    every = [each for line in text.split("\n") for each in compiled.input_value(line).all()]
    return every if "r" in options else [json.dumps(each) for each in every]


def by_jq(data: Path) -> Counter[Id]:
    """How often jq sees each span."""
    return Counter((trace, one) for trace, one, _ in objects("\n".join(jq(data, 0))))


def by_duckdb(data: Path) -> Counter[Id]:
    """How often DuckDB sees each span."""
    return Counter(connect(data).execute("SELECT trace_id, span_id FROM spans").fetchall())


@pytest.mark.parametrize("read", [by_jq, by_duckdb])
def test_growing_killed_and_whole(tmp_path: Path, read: Reader) -> None:
    """At any time each span once and none that was seen before missing; in the end exactly what is stored."""
    data = tmp_path / "data"
    seen: set[Id] = set()
    with server(data, CONFIG) as process:
        with Load(process) as load:
            for _ in range(3):
                for _ in range(2):
                    load.wait_for(10)
                    now = read(data)
                    assert set(now.values()) <= {1}
                    assert now.keys() >= seen
                    seen = set(now)
                process.kill()
                dead = read(data)
                assert set(dead.values()) <= {1}
                assert dead.keys() >= seen
                seen = set(dead)
                process.start()
        process.wait_for_ends(len(ids(load.acknowledged)))
        process.stop()
    received, derived = span_ids(data)
    assert read(data) == received + derived
    assert seen <= (received + derived).keys()
    assert ids(load.acknowledged) <= received.keys()
    assert len(seen) > 100


@pytest.mark.parametrize("read", [by_jq, by_duckdb])
def test_a_line_cut_anywhere(tmp_path: Path, read: Reader) -> None:
    """Whatever is left of a file's last line, every whole line of every file is read."""
    data = tmp_path / "data"
    with server(data, CONFIG) as process:
        with Load(process, senders=1) as load:
            load.wait_for(14)
        process.wait_for_ends(len(ids(load.acknowledged)))
        process.stop()
    files = sorted((data / "engines/main/sessions").glob("*.jsonl"))
    assert len(files) == 7
    whole = read(data)
    for number, path in enumerate(files):
        content = path.read_bytes()
        last = content.rstrip(b"\n").rfind(b"\n") + 1
        lost = len(re.findall(rb'"spanId":"[0-9a-f]{16}","parentSpanId"', content[last:])) or 1
        for left in (1, 2, (len(content) - last) // 2 + number, len(content) - last - 2):
            path.write_bytes(content[: last + left])
            assert sum(read(data).values()) == sum(whole.values()) - lost, (path, left)
        path.write_bytes(content)
    assert read(data) == whole


def test_every_query_of_the_page(tmp_path: Path) -> None:
    """Each runs and says what `otel-ext` says."""
    data = tmp_path / "data"
    with server(data, CONFIG) as process:
        with Load(process, senders=1) as load:
            load.wait_for(7)
        process.wait_for_ends(len(ids(load.acknowledged)))
        process.stop()
    sessions = {row["session_id"]: row for row in objects(run("sessions", data, "--json"))}
    findings = objects(run("signals", data, "--json", "--revisions"))
    received, derived = span_ids(data)
    assert len(list(jq(data, 1))) == len(derived) == len(findings)

    connection = connect(data)
    _, by_session, tools, parquet = sql(data)
    rows = connection.execute(by_session).fetchall()
    assert {name: spans - own for name, spans, own, _ in rows} == {
        name: row["spans"] for name, row in sessions.items()
    }
    assert sum(own for _, _, own, _ in rows) == len(findings)
    assert connection.execute(tools).fetchall() == [("search", len(received) * 4 // 5, 0.5, 0.5)]
    connection.execute(parquet)
    (count,) = connection.execute(f"SELECT count(*) FROM '{data}.parquet'").fetchone()
    assert count == len(received) + len(derived)


@pytest.mark.parametrize("read", [by_jq, by_duckdb])
def test_long_lines_and_odd_characters(tmp_path: Path, read: Reader) -> None:
    """A span of 20 MB, and text with every character that some reader takes for a line's end."""
    data = tmp_path / "data"
    odd = "".join(chr(n) for n in (0, 10, 11, 12, 13, 28, 29, 30, 0x85, 0x2028, 0x2029, 0xFEFF, 0x1F600))
    with server(data, CONFIG) as process:
        send(
            process.endpoint,
            request(span(1, 1, session__id="long", text="x" * 20_000_000)),
            request(span(1, 2, session__id="long", text=odd)),
            request(*looping_run(2)),
        )
        process.wait_for_ends(9)
        process.stop()
    received, derived = span_ids(data)
    assert len(received) == 9
    assert read(data) == received + derived
