"""A restart at any point changes no finding: after each step and each record, of stories and of real runs."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext import otlp, timestamps
from otel_ext.cli.folder import engines, findings
from otel_ext.pipeline import Engine, EngineSettings
from otel_ext.pipeline.reorder import CLOSE
from otel_ext.signals import Detectors, Finding, RuleSettings, Settings
from otel_ext.testing import AgentRun, ManualClock, in_order, request
from otel_ext.testing.agentspans import SECOND, START
from tests.builders import telemetry_of
from tests.pipeline.twice import all_of_them
from tests.signals.test_vectors import SESSION_ENDS, SHAPES, told
from tests.signals.vectors import Vector, must, must_not
from tests.support import CORPUS, corpus_files, findings_set, lines

VECTORS = [*must(), *must_not()]
SETTINGS = EngineSettings(
    sync="never", min_free=0, reserve=0, idle_timeout=5 * 3600.0, checkpoint_interval=1.0
)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("vector", [pytest.param(one, id=one.name) for one in VECTORS])
def test_after_every_step(vector: Vector, shape: str) -> None:
    """Detectors that are dumped and loaded between any two steps say the same, a rule on trial included."""
    settings = Settings(rules={"loop.exact_repeat": RuleSettings(mode="shadow")})
    run = told(vector, shape)
    assert fold(run, settings, restart=True) == fold(run, settings, restart=False)


def fold(run: AgentRun, settings: Settings, *, restart: bool) -> list[Finding]:
    """Every revision of what detectors find in a run."""
    detectors, saved, found = Detectors(settings), dict[str, bytes](), list[Finding]()
    for happening in in_order(run.steps()):
        call = detectors.close if happening.phase == CLOSE else detectors.open
        found += call(happening.step, happening.time)
        if restart:
            saved.update(detectors.dump())
            detectors = Detectors(settings)
            detectors.load({key: data for key, data in saved.items() if data})
    return found + detectors.end_trace(run.trace_id, "persisted", run.end)


def through(folder: Path, bodies: Iterable[tuple[int, bytes]], *, restarts: bool) -> list[dict[str, Any]]:
    """Findings of an engine that takes requests at their times, and is killed after each when `restarts`.

    Every other time a checkpoint was taken before; in between, the journal alone knows of the request.
    """
    clock = ManualClock(START)
    engine = Engine(folder, SETTINGS, clock=clock)
    for number, (at, body) in enumerate(bodies):
        clock.advance(max(0, at - clock.now()))
        engine.intake.accept(body, telemetry_of(body))
        if restarts:
            if number % 2:
                clock.advance(2 * SECOND if number % 4 == 1 else 0)
                engine.step()
            engine.abandon()
            engine = Engine(folder, SETTINGS, clock=clock)
        elif number % 4 == 1:
            clock.advance(2 * SECOND)
    engine.start()
    for silence in (4, 20_000):
        engine.tick(engine.journal.engine_time + silence * SECOND)
    assert engine.close()
    (found,) = [[*findings(one, endings=True)] for one in engines(folder)]
    return [one for one in found if one["signal"] not in SESSION_ENDS]


@pytest.mark.parametrize("most", [40, pytest.param(10_000, marks=pytest.mark.long)])
def test_after_every_record_of_the_stories(ram: Path, most: int) -> None:
    """The real engine, killed after each request of the vectors, with the journal or the checkpoint ahead."""
    chance = random.Random(5)
    bodies: list[tuple[int, bytes]] = []
    vectors = chance.sample(VECTORS, min(most, len(VECTORS)))
    for vector in vectors:
        run = told(vector, chance.choice([*SHAPES]))
        spans = sorted(run.spans(), key=lambda span: span.end_time_unix_nano)
        bodies += in_pieces([(span.end_time_unix_nano, span.SerializeToString()) for span in spans], chance)
    bodies.sort(key=lambda one: one[0])
    calm, killed = (through(ram / str(restarts), bodies, restarts=restarts) for restarts in (False, True))
    assert len(calm) > len(vectors) // 5
    assert findings_set(killed) == findings_set(calm)
    # The same journal: equal to the last revision and word.
    assert sorted(map(json.dumps, killed)) == sorted(map(json.dumps, calm))


def in_pieces(spans: Sequence[tuple[int, bytes]], chance: random.Random) -> list[tuple[int, bytes]]:
    """Requests of a few spans each, at the time of the last."""
    found, rest = [], list(spans)
    while rest:
        size = chance.choice((1, 3, 8))
        piece, rest = rest[:size], rest[size:]
        found.append((piece[-1][0], request(*[Span.FromString(raw) for _, raw in piece])))
    return found


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_after_every_record_of_log_records_and_twins(ram: Path, seed: int) -> None:
    """Sessions of log records alone, calls told by two or three, and a span and a record in either order."""
    bodies = all_of_them(seed)
    calm, killed = (through(ram / str(restarts), bodies, restarts=restarts) for restarts in (False, True))
    assert {one["session_id"] for one in calm} == {"codex", "traced", "mcp", "both"}
    assert findings_set(killed) == findings_set(calm)
    assert sorted(map(json.dumps, killed)) == sorted(map(json.dumps, calm))


@pytest.mark.parametrize("share", [6, pytest.param(1, marks=pytest.mark.long)])
def test_after_every_record_of_real_runs(ram: Path, share: int) -> None:
    """The traces of the corpus that repeat themselves (one in six, or all), each in pieces."""
    files = corpus_files()
    wanted = {row["trace_id"] for row in json.loads((CORPUS / "repeats.json").read_text())}
    chance, bodies, taken = random.Random(7), list[tuple[int, bytes]](), 0
    for path in files:
        for line in lines(path):
            if not any(trace_id.encode() in line[:3000] for trace_id in wanted):
                continue
            taken += 1
            if taken % share:
                continue
            body = otlp.read_traces(line, instant=lambda value: timestamps.parse_instant(value)[0])
            for group in otlp.split(body):
                spans = [(START, raw) for raw in group.items]
                chance.shuffle(spans)
                bodies += [(at, piece) for at, piece in in_pieces(spans, chance)]
    assert taken >= 15
    calm, killed = (through(ram / str(restarts), bodies, restarts=restarts) for restarts in (False, True))
    assert calm
    assert findings_set(killed) == findings_set(calm)
