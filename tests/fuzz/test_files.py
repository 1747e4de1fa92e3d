"""Mutated files under every command that reads them: an exit code and words, never a traceback or a hang."""

import random
import resource
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from otel_ext.cli import cli
from tests.builders import looping_run, request, span
from tests.conformance.targets import OtelExt, running
from tests.fuzz import mutate

BOUND = 300
"""MiB that the whole run may add to this process' peak."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What a killed server left: session files, a manifest, a catalog, a journal that is read on."""
    config = {
        "extensions": {"journal": {"reserve_mib": 0}},
        "exporters": {"file": {"rotation": {"max_megabytes": 1}}},
    }
    with running("otel_ext", tmp_path_factory.mktemp("files") / "made", config) as made:
        assert isinstance(made, OtelExt)
        for number in range(1, 6):
            assert made.grpc.send(request(*looping_run(number, f"session {number % 3}"))).ok
        fat = [span(9, session__id="fat", blob="x" * 100_000) for _ in range(12)]
        assert made.grpc.send(request(*fat)).ok
        made.stored(fat[0].trace_id, 12)
        made.settled(b"")
        assert made.grpc.send(request(*looping_run(8, "late"))).ok
        made.stop()
        yield made.data


def invoke(*arguments: str | Path) -> Result:
    """Run a command in this process; it must end by itself, with one of its exit codes."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in {0, 1, 2}, (arguments, result.exit_code, result.output[-500:])
    return result


def damaged(rng: random.Random, data: Path) -> Path:
    """One file of the folder mutated; which."""
    files = [
        p for p in sorted(data.rglob("*")) if p.is_file() and p.name not in {"LOCK", "catalog.sqlite-shm"}
    ]
    kinds = sorted({path.suffix or path.name for path in files})
    kind = rng.choice(kinds)
    path = rng.choice([p for p in files if (p.suffix or p.name) == kind])
    content = path.read_bytes()
    if path.suffix == ".jsonl" and rng.random() < 0.5:
        lines = content.splitlines(keepends=True)
        at = rng.randrange(len(lines))
        lines[at] = mutate.json_text(rng, lines[at]) + b"\n"
        content = b"".join(lines)
    else:
        content = rng.choice(mutate.BYTES)(rng, content)
    path.write_bytes(content)
    return path


def fuzz(folder: Path, work: Path, seed: int, cases: int) -> None:
    """Damage a copy of the folder, look at it with every reader, repair it, and verify what is left."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = Counter[str]()
    for number in range(cases):
        rng = random.Random(f"{seed}/{number}")
        data = work / f"{seed}-{number}"
        shutil.copytree(folder, data)
        path = damaged(rng, data)
        what = f"seed {seed}, case {number}: {path.relative_to(data)}"
        read = rng.sample(("verify", "cat", "sessions", "signals"), 2)
        for command in read:
            invoke(command, data)
        mend = rng.choice(("repair", "reindex"))
        mended = invoke(mend, data)
        verified = invoke("verify", data)
        seen[f"{mend} {mended.exit_code} verify {verified.exit_code}"] += 1
        if mend == "repair" and mended.exit_code == 0:
            assert verified.exit_code == 0, f"{what}: repaired, but {verified.output[-500:]}"
        if path.suffix == ".jsonl":
            replayed = invoke("replay", path, "--data", work / f"{seed}-{number}-replayed")
            if replayed.exit_code == 0:
                again = invoke("verify", work / f"{seed}-{number}-replayed")
                assert again.exit_code == 0, f"{what}: replayed, but {again.output[-500:]}"
        shutil.rmtree(data)
        shutil.rmtree(work / f"{seed}-{number}-replayed", ignore_errors=True)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    assert grown < BOUND, f"seed {seed}: grew by {grown} MiB"
    assert len(seen) > 1, f"all cases end the same way: {seen}"


def test_mutated_files(folder: Path, tmp_path: Path) -> None:
    """12 cases of a fixed seed."""
    fuzz(folder, tmp_path, 1, 12)


@pytest.mark.long
def test_a_slice_of_mutated_files(folder: Path, tmp_path: Path) -> None:
    """60 cases of another seed."""
    fuzz(folder, tmp_path, 12, 60)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_mutated_files(folder: Path, tmp_path: Path, seed: int) -> None:
    """Ten seeds of 500 cases."""
    fuzz(folder, tmp_path, seed, 500)
