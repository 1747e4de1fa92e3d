"""A checkpoint of another version: detectors are made anew from files, and nothing is said twice (law L2)."""

import logging
import random
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from otel_ext.cli.folder import engines, findings
from otel_ext.errors import UnsupportedVersion
from tests.builders import looping_run, request, span
from tests.pipeline.test_exactly_once import SECOND, Run
from tests.sweeps.workload import spans_of


def change_version(data: Path, version: int, where: str) -> int:
    """Give dumps in the catalog another version, as an older or newer program would have; how many."""
    database = sqlite3.connect(data / "engines/main/catalog.sqlite")
    rows = database.execute(f"SELECT key, data FROM folds WHERE key LIKE '{where}'").fetchall()
    for key, dumped in rows:
        _, *rest = msgspec.msgpack.decode(dumped)
        database.execute(
            "UPDATE folds SET data=? WHERE key=?", (msgspec.msgpack.encode([version, *rest]), key)
        )
    database.commit()
    database.close()
    return len(rows)


def all_findings(data: Path) -> list[dict[str, Any]]:
    """Every revision of every finding but the ends of sessions."""
    (engine,) = engines(data)
    return list(findings(engine, revisions=True))


def in_order(seed: int) -> list[bytes | int]:
    """Interleaved agents, each span sent when it had ended; loops that are under way in the middle."""
    rng = random.Random(seed)
    spans = [
        (s.end_time_unix_nano + number, s)
        for number in range(1, 6)
        for s in looping_run(number, f"session-{number % 3}", rounds=rng.randint(3, 9))
    ]
    script: list[bytes | int] = []
    for _, ended in sorted(spans, key=lambda pair: pair[0]):
        script.append(request(ended, service=f"service-{rng.randint(1, 2)}"))
    return script


def halfway(data: Path, seed: int) -> tuple[Run, list[bytes | int]]:
    """An engine killed in the middle, everything before saved; and the rest of its input."""
    run, script = Run(data), in_order(seed)
    for body in script[: len(script) // 2]:
        run.accept(body)
        run.process()
    run.clock.advance(2 * SECOND)
    run.engine.tick(run.clock.now())
    run.process()
    run.engine.abandon()
    return run, script[len(script) // 2 :]


@pytest.mark.parametrize("version", [1, 99])
@pytest.mark.parametrize("seed", range(6))
def test_another_version_is_rebuilt_and_says_nothing_twice(
    tmp_path: Path, seed: int, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The last word on every finding is the undisturbed run's; no revision stands twice; files are sound."""
    calm, rest = halfway(tmp_path / "calm", seed)
    other, _ = halfway(tmp_path / "other", seed)
    assert change_version(tmp_path / "other", version, "signals/%") > 0
    for run in (calm, other):
        run.engine = run.open()
        for body in rest:
            run.accept(body)
        run.finish()
    assert "made anew" in caplog.text
    last = {f["id"]: f for f in all_findings(tmp_path / "other")}
    expected = {f["id"]: f for f in all_findings(tmp_path / "calm")}
    keys = ("signal", "evidence", "count", "status")
    assert {i: [f[k] for k in keys] for i, f in last.items()} == {
        i: [f[k] for k in keys] for i, f in expected.items()
    }
    said = [(f["id"], f["revision"]) for f in all_findings(tmp_path / "other")]
    assert len(said) == len(set(said))
    assert spans_of(other.files()) == spans_of(calm.files())
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        other.engine = other.open()
        other.engine.abandon()
    assert "made anew" not in caplog.text


def test_a_rebuilt_loop_goes_on_counting(tmp_path: Path) -> None:
    """Four calls before, four after: one finding of eight, whose next revision follows the last."""
    run = Run(tmp_path)
    spans = looping_run(1, "s", rounds=8)
    run.accept(request(*spans[:4]))
    run.accept(4 * SECOND)
    run.process()
    run.engine.abandon()
    assert change_version(tmp_path, 1, "signals/%")
    run.engine = run.open()
    run.accept(request(*spans[4:]))
    run.finish()
    found = [f for f in all_findings(tmp_path) if f["signal"] == "loop.exact_repeat"]
    assert {f["id"] for f in found} == {found[0]["id"]}
    assert (found[-1]["count"], found[-1]["status"]) == (8, "persisted")
    assert [f["revision"] for f in found] == list(range(1, len(found) + 1))


def test_held_spans_of_the_future_are_refused_not_lost(tmp_path: Path) -> None:
    """Held spans are in no file: a dump that this program cannot read stops it, with a way out."""
    run = Run(tmp_path)
    run.accept(request(span(1, 2, 1)))
    run.accept(request(span(1, 3, 1)))
    run.process()
    run.engine.abandon()
    assert change_version(tmp_path, 99, "hold")
    with pytest.raises(UnsupportedVersion, match="upgrade otel-ext"):
        run.open()
