"""The engine against itself: killed anywhere, it writes what an undisturbed one does (laws L2-L4, L7)."""

import json
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ext.pipeline import Engine, EngineSettings
from otel_ext.testing import ManualClock
from tests.builders import START, looping_run, request, span, tool

SECOND = 10**9
SETTINGS = EngineSettings(
    idle_timeout=20.0, hold=2.0, file_bytes=6000, line_bytes=1500, min_free=0, checkpoint_interval=1e9
)


def requests(seed: int) -> list[bytes]:
    """A run of requests with loops, re-deliveries, conflicts, unknown sessions and late spans."""
    rng = random.Random(seed)
    spans = [
        s
        for number in range(1, 5)
        for s in looping_run(number, f"session-{number % 3}", rounds=rng.randint(2, 7))
    ]
    spans += [span(50 + n % 4, 60_000 + n, parent=60_000 if n % 4 else 0) for n in range(12)]
    spans += [span(50, 60_100, session__id="learnt-later")]
    spans += [tool(9, 9000 + n, 0, "read", f'{{"n": {n}}}', "x" * 400, "session-0") for n in range(12)]
    rng.shuffle(spans)
    out, at = [], 0
    while at < len(spans):
        size = rng.randint(1, 9)
        out.append(request(*spans[at : at + size], service=f"service-{rng.randint(1, 2)}"))
        at += size
    again = rng.choice(out)
    changed = span(1, 1001, note="other content")
    changed.name = "changed"
    return [*out, again, request(changed), request(span(1, 1099, parent=1000, session__id="session-1"))]


class Run:
    """An engine driven by hand over a script of requests and pauses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(START)
        self.engine = self.open()

    def open(self) -> Engine:
        """An engine on the folder."""
        return Engine(self.folder, SETTINGS, clock=self.clock)

    def accept(self, body: bytes) -> None:
        """Send one request and let half a second pass."""
        self.engine.intake.accept(body)
        self.clock.advance(SECOND // 2)

    def process(self) -> None:
        """Process what is in the journal, without a checkpoint."""
        self.engine.step()

    def kill(self) -> None:
        """End as by SIGKILL and start again."""
        self.engine.abandon()
        self.engine = self.open()

    def finish(self) -> None:
        """Let everything become due and stop politely."""
        self.engine.start()
        for silence in (4, 4000):
            self.engine.tick(self.engine.journal.engine_time + silence * SECOND)
        self.engine.close()

    def files(self) -> dict[str, bytes]:
        """Session files by name, without line one (it holds the folder's random id)."""
        found = sorted((self.folder / "engines/main/sessions").iterdir())
        return {path.name: path.read_bytes().partition(b"\n")[2] for path in found}

    def ledger(self) -> dict[str, Any]:
        """The last checkpoint's ledger."""
        return self.engine.ledger


def spans_in(files: dict[str, bytes]) -> Counter[str]:
    """How often each received span stands in the files."""
    return Counter(
        s["traceId"] + s["spanId"] + s["name"]
        for text in files.values()
        for line in text.splitlines()
        for r in json.loads(line)["resourceSpans"]
        for scope in r["scopeSpans"]
        if scope["scope"]["name"] != "otel_ext"
        for s in scope["spans"]
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    steps=st.lists(st.sampled_from(["process", "kill", "go"]), min_size=40, max_size=40),
)
def test_a_killed_engine_writes_what_an_undisturbed_one_writes(seed: int, steps: list[str]) -> None:
    """Whenever it was killed, files, findings and ledger end the same, byte for byte."""
    script = requests(seed)
    with tempfile.TemporaryDirectory() as name:
        calm, killed = Run(Path(name) / "calm"), Run(Path(name) / "killed")
        for body in script:
            calm.accept(body)
        for body, step in zip(script, steps, strict=False):
            killed.accept(body)
            if step == "process":
                killed.process()
            elif step == "kill":
                killed.kill()
        calm.finish()
        killed.finish()
        assert killed.files() == calm.files()
        assert killed.ledger() == calm.ledger()
        assert calm.ledger()["received"] == calm.ledger()["stored"] + calm.ledger()["duplicate"]
        assert calm.ledger()["derived"] > 0
        assert calm.ledger()["conflicts"] == 1
        assert calm.ledger()["waiting"] == 0
        counts = spans_in(calm.files())
        assert sum(counts.values()) == calm.ledger()["stored"]
        assert set(counts.values()) == {1}


def test_a_torn_line_is_completed_not_repeated(tmp_path: Path) -> None:
    """A file that a crash cut in the middle of a line is grown, byte for byte, to what it should be."""
    calm, torn = Run(tmp_path / "calm"), Run(tmp_path / "torn")
    for body in requests(1):
        calm.accept(body)
        torn.accept(body)
    torn.process()
    torn.engine.abandon()
    cut = 0
    for path in (tmp_path / "torn/engines/main/sessions").iterdir():
        data = path.read_bytes()
        path.write_bytes(data[: len(data) - 7])
        cut += 1
    assert cut
    torn.engine = torn.open()
    calm.finish()
    torn.finish()
    assert torn.files() == calm.files()
    assert torn.engine.stats.get("otel_ext.sessions.truncated_bytes") == 0


def test_foreign_bytes_are_cut_after_the_last_equal_line_and_counted(tmp_path: Path) -> None:
    """What a crash left that the replay does not write is cut, never what equals it."""
    run = Run(tmp_path / "data")
    for body in requests(2):
        run.accept(body)
    run.process()
    run.engine.abandon()
    (path, *_) = sorted((tmp_path / "data/engines/main/sessions").iterdir())
    with path.open("ab") as stream:
        stream.write(b'{"resourceSpans":"never written by us"}\n')
    run.engine = run.open()
    run.finish()
    assert b"never written by us" not in path.read_bytes()
    assert run.engine.stats.get("otel_ext.sessions.truncated_bytes") == 40


def test_the_same_journal_gives_the_same_bytes(tmp_path: Path) -> None:
    """A fresh catalog over a copy of the journal derives byte-identical files (law L7)."""
    first = Run(tmp_path / "first")
    for body in requests(3):
        first.accept(body)
    first.finish()
    shutil.copytree(tmp_path / "first/engines/main/journal", tmp_path / "second/engines/main/journal")
    second = Run(tmp_path / "second")
    second.engine.start()
    second.engine.close()
    assert second.files() == first.files()
    assert second.ledger() == first.ledger()
