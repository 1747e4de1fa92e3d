"""The catalog made anew gives the same answers, and nothing acknowledged is lost or doubled."""

import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ext.cli.folder import engines, findings, lines_of
from otel_ext.cli.folder import sessions as stored_sessions
from otel_ext.cli.sessions import as_json
from otel_ext.cli.verify import check_engine
from otel_ext.pipeline import reindex
from otel_ext.sessions import Catalog
from tests.pipeline.test_exactly_once import SETTINGS, UNSAVED, Run, requests, spans_in

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
        "cat": [line for e in found for line in lines_of(e, None)],
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


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), over=st.booleans())
def test_a_polite_folder_gives_the_same_answers(seed: int, over: bool) -> None:
    """Byte for byte, open sessions, generations and joined traces included; and again."""
    with tempfile.TemporaryDirectory() as name:
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


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    steps=st.lists(st.sampled_from(["process", "kill", "go", "lose"]), min_size=50, max_size=50),
    small=st.booleans(),
    saved=st.booleans(),
)
def test_killed_and_robbed_of_its_catalog_nothing_is_lost_or_doubled(
    seed: int, steps: list[str], small: bool, saved: bool
) -> None:
    """Whenever it was killed and the catalog lost: each span once, the ledger balances, it goes on."""
    kept = msgspec.structs.replace(
        SETTINGS if saved else UNSAVED,
        segment_bytes=4000 if small else SETTINGS.segment_bytes,
        checkpoint_interval=0.0 if saved else 1e9,
    )
    script = requests(seed)
    with tempfile.TemporaryDirectory() as name:
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
        assert spans_in(made.files()) == spans_in(calm.files())
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
