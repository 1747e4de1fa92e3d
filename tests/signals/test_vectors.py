"""Acceptance vectors: what must fire and what must not, on every way that an agent's spans may take.

Direct, which is quick and tells where to look; then through the real engine in several orders of arrival, in
process through the SDK, and through a sidecar. Each way takes all vectors at once, a session each, as one
sidecar has many agents.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext.cli.folder import engines, findings
from otel_ext.pipeline import Engine, EngineSettings
from otel_ext.signals import RULES, Settings, Signals, derived_span, scope_bytes
from otel_ext.signals.settings import SEVERITIES
from otel_ext.testing import AgentRun
from otel_ext.testing.arrivals import Order, arrived
from tests.signals.sending import BASELINES, send_in_process, send_to_sidecar
from tests.signals.vectors import CONFIGURED, Vector, must, must_not
from tests.support import findings_set

Found = Mapping[bytes, list[dict[str, Any]]]
"""Last revisions of findings by trace."""

KNOWN = {kind.signal for kind in RULES}
SESSION_ENDS = {"termination.completed", "termination.interrupted", "termination.crashed"}
BEYOND = {"managers_and_helpers", "three_agents_one_missing_path", "nested_retries"}
"""Stories whose outer spans end, and so arrive, seconds after the inner ones that are told of before that."""
SHAPES = {"flat": False, "step spans": True}
RULED = Settings(baselines=BASELINES, rules=CONFIGURED)
SETTINGS = EngineSettings(sync="never", min_free=0, reserve=0, idle_timeout=5 * 3600.0, signals=RULED)
"""An agent that sleeps for an hour between two steps is followed only where a session lives as long."""


class Shaped(AgentRun):
    """A run whose models and agents are its own: what is usual of one is remembered beyond a run."""

    def spans(self) -> list[Span]:
        """As of any run, the names of models and agents with the run's seed."""
        found = super().spans()
        for span in found:
            for attribute in span.attributes:
                if attribute.key in ("gen_ai.request.model", "gen_ai.agent.name"):
                    attribute.value.string_value += f" of {self.seed}"
        return found


def told(vector: Vector, shape: str) -> AgentRun:
    """The vector's run; its ids and names are of the vector and the shape."""
    seed = f"{vector.name} {shape}"
    run = Shaped(seed, wrapped=SHAPES[shape])
    vector.story(run)
    return run


def judge(vector: Vector, found: Iterable[Mapping[str, Any]], *, fires: bool) -> str:
    """What is wrong with what was found, "" when nothing is."""
    told = {f"{one['signal']} {one['severity']} {one['confidence']} {one['count']}" for one in found}
    if not fires:
        bad = [one for one in found if one["signal"].startswith(vector.signal)]
        return f"{vector.name}: found {sorted(told)}" if bad else ""
    for one in found:
        sure = not vector.least or (
            SEVERITIES.index(one["severity"]) >= SEVERITIES.index(vector.least)
            and one["confidence"] != "candidate"
        )
        if one["signal"] in vector.signal.split("|") and sure:
            return ""
    return f"{vector.name}: not found, only {sorted(told)}"


def there(vectors: Iterable[Vector]) -> list[Any]:
    """Vectors as parameters of a test."""
    return [pytest.param(vector, id=vector.name) for vector in vectors]


def ready(vector: Vector) -> bool:
    """Whether a rule of that name is there."""
    return not KNOWN.isdisjoint(vector.signal.split("|"))


def direct(run: AgentRun) -> list[dict[str, Any]]:
    """The last revisions of what the detectors find in a run's steps."""
    return [one.as_json() for one in {one.id: one for one in run.findings(Signals(RULED))}.values()]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("vector", there(must()))
def test_must_fire(vector: Vector, shape: str) -> None:
    """It is found, as serious as it should be."""
    if not ready(vector):
        pytest.skip(f"there is no rule {vector.signal} yet")
    assert judge(vector, direct(told(vector, shape)), fires=True) == ""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("vector", there(must_not()))
def test_must_not_fire(vector: Vector, shape: str) -> None:
    """It stays silent."""
    assert judge(vector, direct(told(vector, shape)), fires=False) == ""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("vector", there([*must(), *must_not()]))
def test_no_order_of_arrival_changes_what_is_found(vector: Vector, shape: str) -> None:
    """All findings of all rules, whole: spans as they end, up to 1.9 s late, reversed, shuffled."""

    def found(order: Order) -> list[tuple[Any, ...]]:
        every = arrived(told(vector, shape).requests(order, seed=3), Signals(RULED))
        last = {one.id: one for one in every}.values()
        keys = [(one.signal, one.lane, one.evidence, one.count, one.status, one.severity) for one in last]
        return sorted(keys)

    orders: tuple[Order, ...] = ("shuffled",) if vector.story.__name__ in BEYOND else get_args(Order)
    first = found("reversed")
    for order in orders:
        assert found(order) == first, order


def through_engine(order: Order) -> Callable[[Path, list[AgentRun]], None]:
    """All runs through one real engine, each span a request of its own that comes at its own engine time."""

    def send(data: Path, runs: list[AgentRun]) -> None:
        engine = Engine(data, SETTINGS, live=False)
        engine.start()
        try:
            arrivals = [one for number, run in enumerate(runs) for one in run.requests(order, seed=number)]
            for at, body in sorted(arrivals, key=lambda one: one.at):
                engine.intake.accept(body, engine_time=partial(_constant, at))
        finally:
            assert engine.close()

    return send


def _constant(value: int, _: bytes) -> int:
    return value


WAYS: dict[str, Callable[[Path, list[AgentRun]], None]] = {
    "engine, as spans end": through_engine("ended"),
    "engine, each up to 1.9 s late": through_engine("late"),
    "engine, reversed": through_engine("reversed"),
    "engine, shuffled": through_engine("shuffled"),
    "in process": send_in_process,
    "sidecar": send_to_sidecar,
}


@pytest.mark.parametrize("both", [False, pytest.param(True, marks=pytest.mark.long)], ids=["", "both shapes"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way(way: str, both: bool, ram: Path) -> None:
    """Each vector does what it should on this way, all of them in one engine, every other one wrapped."""
    vectors = [(one, True) for one in must() if ready(one)] + [(one, False) for one in must_not()]
    shapes = [*SHAPES]
    first = [*WAYS].index(way)
    cases = [
        (vector, shape, fires)
        for number, (vector, fires) in enumerate(vectors, first)
        for shape in (shapes if both else [shapes[number % 2]])
    ]
    runs = [told(vector, shape) for vector, shape, _ in cases]
    WAYS[way](ram / "data", runs)
    found: dict[bytes, list[dict[str, Any]]] = {run.trace_id: [] for run in runs}
    for engine in engines(ram / "data"):
        for one in findings(engine, endings=True):
            if one["signal"] not in SESSION_ENDS:
                found[bytes.fromhex(one["trace_id"])].append(one)
    wrong = [
        f"{shape}: {text}"
        for (vector, shape, fires), run in zip(cases, runs, strict=True)
        if (text := judge(vector, found[run.trace_id], fires=fires))
    ]
    assert wrong == []


def test_findings_fed_back_are_no_steps(ram: Path) -> None:
    """Derived spans that come in again, as from an otel_ext before this one, change nothing."""
    run = AgentRun("fed back")
    for _ in range(6):
        run.call("read_file", {"path": "/a.py"}, "the same content")
    derived = [derived_span(one) for one in run.findings()]
    assert derived
    own = ExportTraceServiceRequest()
    group = own.resource_spans.add().scope_spans.add()
    group.scope.ParseFromString(scope_bytes("1"))
    group.spans.extend(map(Span.FromString, derived * 20))
    for name, bodies in (("without", []), ("with", [own.SerializeToString()])):
        with closing(Engine(ram / name, SETTINGS, live=False)) as engine:
            engine.start()
            for body in [*bodies, *[one.body for one in run.requests()], *bodies]:
                engine.intake.accept(body)
    without, with_them = (
        [*findings(engine)] for name in ("without", "with") for engine in engines(ram / name)
    )
    assert findings_set(without) == findings_set(with_them) != set()
