"""The catalog made anew gives the same answers, and nothing acknowledged is lost or doubled."""

import itertools
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otel_ext import otlp
from otel_ext.cli.folder import engines, findings, lines_of
from otel_ext.cli.folder import sessions as stored_sessions
from otel_ext.cli.sessions import as_json
from otel_ext.cli.verify import check_engine
from otel_ext.errors import DataFolderError, DataFolderInUse
from otel_ext.files import File, RealFiles
from otel_ext.pipeline import reindex
from otel_ext.sessions import Catalog, State
from otel_ext.telemetry import Telemetry
from tests.builders import agent, request, span, telemetry_of, tool
from tests.pipeline.test_exactly_once import SETTINGS, UNSAVED, Run, check_others, requests
from tests.pipeline.test_guard import Process
from tests.support import RAM, corpus_files, objects, run
from tests.sweeps.workload import spans_of

ENGINE = "engines/main"


def lose_catalog(data: Path) -> None:
    """As if somebody had deleted it."""
    lost = list((data / ENGINE).glob("catalog.sqlite*"))
    assert lost
    for path in lost:
        path.unlink()


def answers(data: Path) -> dict[str, Any]:
    """What the commands say."""
    found = engines(data, recover=False)
    return {
        "sessions": [json.dumps(as_json(s)) for e in found for s in stored_sessions(e, data)],
        "signals": [json.dumps(f) for e in found for f in findings(e, revisions=True, endings=True)],
        "cat": [line for e in found for what in Telemetry for line in lines_of(e, None, what)],
        "verify": [{k: v for k, v in check_engine(e).items() if k != "manifest_lines"} for e in found],
    }


def catalog_rows(data: Path) -> dict[str, Any]:
    """Sessions, traces and files of the catalog, less what only an open file's age depends on."""
    catalog = Catalog(data / ENGINE / "catalog.sqlite", read_only=True)
    files = catalog.stock.files()
    for row in files:
        row.opened_at = 0
    return {"sessions": catalog.sessions(), "traces": catalog.traces(), "files": files}


def stop(run: Run, *, over: bool) -> None:
    """Stop politely, with open sessions or with all of them ended."""
    if over:
        run.finish()
    else:
        run.engine.start()
        assert run.engine.close()


@pytest.mark.parametrize("examples", [6, pytest.param(60, marks=pytest.mark.long)])
def test_a_polite_folder_gives_the_same_answers(examples: int) -> None:
    """Byte for byte, open sessions, generations and joined traces included; and again."""

    @settings(max_examples=examples)
    @given(seed=st.integers(0, 10**6), over=st.booleans())
    def holds(seed: int, over: bool) -> None:
        with tempfile.TemporaryDirectory(dir=RAM) as name:
            made = Run(Path(name))
            for body in requests(seed):
                made.accept(body)
                made.process()
            stop(made, over=over)
            before, rows = answers(made.folder), catalog_rows(made.folder)
            lose_catalog(made.folder)
            done = reindex(made.folder / ENGINE)
            assert (done.again, done.old) == (0, "")
            after = answers(made.folder)
            assert after["verify"] == before["verify"]
            assert after == before
            assert catalog_rows(made.folder) == rows
            reindex(made.folder / ENGINE)
            assert answers(made.folder) == before

    holds()


WOKEN_BY_A_LOG = [
    {7: "lose", 13: "process", 17: "lose", 31: "process", 33: "lose"}.get(n, "go") for n in range(50)
]
"""Log records wake a session that has ended; the next trace is of its first generation, not of a second."""


@pytest.mark.parametrize("examples", [8, pytest.param(100, marks=pytest.mark.long)])
def test_killed_and_robbed_of_its_catalog_nothing_is_lost_or_doubled(examples: int) -> None:
    """Whenever it was killed and the catalog lost: each span once, the ledger balances, it goes on."""

    @example(seed=10, steps=WOKEN_BY_A_LOG, small=False, saved=False)
    @settings(max_examples=examples)
    @given(
        seed=st.integers(0, 10**6),
        steps=st.lists(st.sampled_from(["process", "kill", "go", "lose"]), min_size=50, max_size=50),
        small=st.booleans(),
        saved=st.booleans(),
    )
    def holds(seed: int, steps: list[str], small: bool, saved: bool) -> None:
        kept = msgspec.structs.replace(
            SETTINGS if saved else UNSAVED,
            segment_bytes=4000 if small else SETTINGS.segment_bytes,
            checkpoint_interval=0.0 if saved else 1e9,
        )
        script = requests(seed)
        with tempfile.TemporaryDirectory(dir=RAM) as name:
            calm, made = Run(Path(name) / "calm"), Run(Path(name) / "robbed", kept)
            for body in script:
                calm.accept(body)
            for body, step in zip(script, steps, strict=False):
                made.accept(body)
                if step == "process":
                    made.process()
                elif step == "kill":
                    made.kill()
                elif step == "lose":
                    made.engine.abandon()
                    lose_catalog(made.folder)
                    reindex(made.folder / ENGINE)
                    (report,) = answers(made.folder)["verify"]
                    assert report["damage"] == []
                    made.engine = made.open()
            for body in script[len(steps) :]:
                made.accept(body)
            calm.finish()
            made.finish()
            assert spans_of(made.files()) == spans_of(calm.files())
            check_others(made, script)
            assert made.ledger()["logs"] == calm.ledger()["logs"]
            assert made.ledger()["metrics"] == calm.ledger()["metrics"]
            (report,) = answers(made.folder)["verify"]
            assert report["damage"] == []
            ledger, wanted = made.ledger(), calm.ledger()
            assert (ledger["received"], ledger["stored"], ledger["duplicate"], ledger["conflicts"]) == (
                wanted["received"],
                wanted["stored"],
                wanted["duplicate"],
                wanted["conflicts"],
            )
            said = answers(made.folder)["signals"]
            revisions = [(f["id"], f["revision"]) for f in map(json.loads, said)]
            assert len(revisions) == len(set(revisions))
            assert sum(s.spans for s in made.sessions()) == ledger["stored"]

    holds()


@pytest.mark.parametrize("examples", [8, pytest.param(100, marks=pytest.mark.long)])
def test_from_the_files_alone_every_span_is_counted_once(examples: int) -> None:
    """Catalog and manifest lost: a generation whose end was told has the counts that it had."""

    @example(seed=6)  # spans of other sessions' traces come last
    @settings(max_examples=examples)
    @given(seed=st.integers(0, 10**6))
    def holds(seed: int) -> None:
        def rows() -> dict[tuple[str, int], tuple[int, ...]]:
            return {
                (s.session_id, s.generation): (s.spans, s.traces, s.rootless, s.conflicts, s.told)
                for s in made.sessions()
            }

        with tempfile.TemporaryDirectory(dir=RAM) as name:
            made = Run(Path(name))
            for number, body in enumerate(requests(seed)):
                made.accept(body)
                if number % 3 == 0:
                    made.process()
            made.finish()
            before = rows()
            lose_catalog(made.folder)
            (made.folder / ENGINE / "MANIFEST").unlink()
            reindex(made.folder / ENGINE)
            after = rows()
            assert sum(spans for spans, *_ in after.values()) == made.ledger()["stored"]
            silent = {session_id for (session_id, _), (*_, told) in before.items() if not told}
            assert {k: v for k, v in after.items() if k[0] not in silent} == {
                k: v for k, v in before.items() if k[0] not in silent
            }

    holds()


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """Known sessions grow, re-deliveries are duplicates, conflicts conflicts, names are new."""
    made = Run(tmp_path)
    script = [body for body in requests(5) if isinstance(body, bytes)]
    for body in script:
        made.accept(body)
        made.process()
    stop(made, over=False)
    before, names = made.ledger(), set(made.files())
    lose_catalog(tmp_path)
    reindex(tmp_path / ENGINE)
    again = Run(tmp_path)
    for body in script:
        again.accept(body)
    again.accept(request(span(1, 777, session__id="session-1")))
    again.finish()
    after = again.ledger()
    sent = sum(otlp.count(body) for body in script if telemetry_of(body) is Telemetry.TRACES)
    assert after["duplicate"] == before["duplicate"] + sent
    assert after["stored"] == before["stored"] + 1
    assert after["conflicts"] == before["conflicts"]
    assert all(again.files()[name] for name in names)
    assert set(again.files()) - names
    assert answers(tmp_path)["verify"][0]["damage"] == []


def test_a_started_engine_says_what_to_do(tmp_path: Path) -> None:
    """Without a catalog nothing is opened, and the error names the command."""
    made = Run(tmp_path)
    made.accept(request(span(1, 1, session__id="s")))
    stop(made, over=False)
    lose_catalog(tmp_path)
    with pytest.raises(DataFolderError, match="otel-ext reindex"):
        made.open()
    made = Run(tmp_path / "other")
    with pytest.raises(DataFolderInUse):
        reindex(tmp_path / "other" / ENGINE)
    made.engine.abandon()


class Stopped(Exception):
    """As by SIGKILL."""


class StoppingFiles(RealFiles):
    """The operating system's files; the n-th change never happens, nor anything after it."""

    def __init__(self, left: int) -> None:
        self.left = left

    def _step(self) -> None:
        if self.left <= 0:
            raise Stopped
        self.left -= 1

    def rename(self, old: str, new: str) -> None:
        """Counted."""
        self._step()
        super().rename(old, new)

    def create(self, path: str) -> File:
        """Counted."""
        self._step()
        return super().create(path)

    def remove(self, path: str) -> None:
        """Counted."""
        self._step()
        super().remove(path)

    def sync_directory(self, path: str) -> None:
        """Counted."""
        self._step()
        super().sync_directory(path)


def test_killed_anywhere_it_can_be_done_again(tmp_path: Path) -> None:
    """After a kill at any change of names the folder works or is reindexed again, to the same answers."""
    made = Run(tmp_path / "whole")
    for body in requests(11):
        made.accept(body)
    stop(made, over=False)
    before = answers(made.folder)
    for steps in itertools.count():
        data = tmp_path / str(steps)
        shutil.copytree(made.folder, data)
        try:
            reindex(data / ENGINE, StoppingFiles(steps))
        except Stopped:
            assert (data / ENGINE / "sessions").is_dir()
            if (data / ENGINE / "catalog.sqlite").exists():
                assert answers(data) == before
            else:
                with pytest.raises(DataFolderError, match="otel-ext reindex"):
                    Run(data)
            reindex(data / ENGINE)
            assert answers(data) == before
            continue
        assert answers(data) == before
        break
    assert steps > 5


def ends(data: Path) -> list[tuple[Any, ...]]:
    """Sessions of all engines as readers see them."""
    return sorted(
        (s.session.session_id, s.session.generation, s.session.state, s.session.spans, s.session.unfinished)
        for e in engines(data, recover=False)
        for s in stored_sessions(e, data)
    )


@pytest.mark.parametrize("saved", [0, 1, 2, 3, 4])
def test_a_crashed_process_without_its_catalog(tmp_path: Path, saved: int) -> None:
    """What it had begun is written once, marked; its session is crashed, whenever the catalog was lost."""
    process = Process(tmp_path)
    root = agent(1, 1)
    first, second = (tool(1, n, 1, "read", "{}", "x", "s") for n in (2, 3))
    script: list[Callable[[], None]] = [
        lambda: process.begin(root, first),
        lambda: process.end(first),
        lambda: process.begin(second),
        lambda: process.ended("other"),
    ]
    for number, step in enumerate(script):
        step()
        if number < saved:
            process.process()
    process.engine.abandon()
    folder = tmp_path / "engines/process-1"
    for path in folder.glob("catalog.sqlite*"):
        path.unlink()
    reindex(folder)
    process.engine = process.open()
    process.process()
    process.process()
    (session, *_) = [s for s in ends(tmp_path) if s[0] == "s"]
    assert session[1:] == (1, State.CRASHED, 3, 2)
    spans = Counter(s["spanId"] for s in process.spans() if not s["name"].startswith("detect"))
    assert sorted(spans.values()) == [1, 1, 1]
    process.leave()
    reindex(folder)
    assert [s[2] for s in ends(tmp_path) if s[0] == "s"] == [State.CRASHED]
    for engine in engines(tmp_path, recover=False):
        assert check_engine(engine)["damage"] == []


def test_real_traces(tmp_path: Path) -> None:
    """A file of the corpus: the commands print the same before and after."""
    run("replay", corpus_files()[0], "--data", tmp_path)
    calls = [["sessions", "--json"], ["signals", "--json", "--revisions"], ["cat"], ["verify", "--json"]]

    def said() -> list[str]:
        return [run(call[0], tmp_path, *call[1:]) for call in calls]

    before = said()
    lose_catalog(tmp_path)
    run("verify", tmp_path, code=2)
    (done,) = objects(run("reindex", tmp_path, "--json"))
    assert done["spans"] > 0
    assert said() == before
    run("replay", corpus_files()[0], "--data", tmp_path)
    assert said()[1:3] == before[1:3]


def test_what_released_records_counted_is_told_before_they_go(tmp_path: Path) -> None:
    """One session that never ends, its journal mostly released: the ledger is still exact."""
    quiet = msgspec.structs.replace(SETTINGS, segment_bytes=3000, checkpoint_interval=0.0, file_bytes=1 << 20)
    made = Run(tmp_path, quiet)
    for number in range(1, 40):
        made.accept(
            request(*(span(1, n, session__id="s", note="x" * 300) for n in (number, max(1, number - 1))))
        )
        made.process()
    segments = sorted((tmp_path / ENGINE / "journal").glob("*.journal"))
    assert int(segments[0].stem) > 1
    ledger = made.ledger()
    made.engine.abandon()
    lose_catalog(tmp_path)
    reindex(tmp_path / ENGINE)
    (report,) = answers(tmp_path)["verify"]
    assert report["damage"] == []
    assert {name: report[name] for name in ("received", "stored", "duplicate")} == {
        name: ledger[name] for name in ("received", "stored", "duplicate")
    }
