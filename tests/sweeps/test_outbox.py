"""What goes out while the machine loses its power, or the process is killed, at every operation (L3, L7)."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from otel_ext import otlp
from otel_ext.pipeline import Destination, Engine, Outcome
from otel_ext.testing import CrashableFiles, PowerCut
from tests.sweeps.conftest import Watch
from tests.sweeps.test_crashes import KILL, STRICT, after
from tests.sweeps.workload import Machine, repeated, script

FAR = (Destination(name="far", budget=1 << 30), Destination(name="slow", budget=1 << 30))


@dataclass
class Sending(Machine):
    """A machine with two destinations, one of which is always behind.

    Attributes:
        arrived: spans at each far side, in order, repeats too.
        under_way: how many spans had arrived of which that was not noted when the process died.
    """

    arrived: dict[str, list[bytes]] = field(default_factory=lambda: {each.name: [] for each in FAR})
    under_way: int = 0

    def start(self) -> Engine:
        """Open the folder, with destinations."""
        self.destinations = FAR
        return super().start()

    def stepped(self, engine: Engine) -> None:
        """Send something."""
        self.send(engine, "far", 3)
        self.send(engine, "slow", 1)

    def send(self, engine: Engine, name: str, most: int) -> None:
        """Send so many batches at most."""
        feed = engine.outbox.feeds[name]
        for _ in range(most):
            batch = feed.read(1, 0.0)
            if batch is None:
                return
            spans = [raw for part in batch.parts for group in otlp.split(part.body) for raw in group[4]]
            self.arrived[name] += spans
            self.under_way = len(spans)
            feed.done(batch, Outcome(sent=batch.items))
            self.under_way = 0

    def drain(self) -> None:
        """Start once more and send the rest."""
        engine = self.start()
        for each in FAR:
            self.send(engine, each.name, 1 << 30)
            assert engine.outbox.feeds[each.name].cursor.tally.balance == 0
        self.die()

    def revived(self, disk: CrashableFiles, catalog: bytes | None) -> "Sending":
        """The next life, on what is left of the disk."""
        base = super().revived(disk, catalog)
        again = Sending(base.folder, disk, base.actions, base.at, base.acked, base.doubled)
        again.clock, again.arrived, again.under_way = base.clock, self.arrived, self.under_way
        return again


class Calm:
    """What arrives when nothing happens."""

    def __init__(self, folder: Path, watched: Watch, seed: int) -> None:
        self.actions, self._folder = script(seed), folder / "calm"
        machine = Sending(folder, CrashableFiles(), self.actions)
        watched(machine.home, machine.disk)
        machine.play()
        self.operations = machine.disk.operations
        machine.drain()
        self._known = {frozenset[tuple[int, int]](): machine.arrived["far"]}
        assert machine.arrived["far"] == machine.arrived["slow"]
        assert any(b"detect " in raw for raw in machine.arrived["far"])
        assert any(b"otel_ext.span.unfinished" in raw for raw in machine.arrived["far"])

    def arrived(self, doubled: Mapping[int, int]) -> list[bytes]:
        """The same when these actions' requests are sent more than once."""
        key = frozenset(doubled.items())
        if key not in self._known:
            machine = Sending(self._folder, CrashableFiles(), repeated(self.actions, doubled))
            machine.revived(machine.disk, None)
            machine.play()
            machine.drain()
            self._known[key] = machine.arrived["far"]
        return self._known[key]


def cut(ram: Path, watched: Watch, calm: Calm, point: int, fate: int) -> None:
    """The power goes at one operation; nothing is missing, repeats are the same bytes, in the same order."""
    machine = Sending(ram, CrashableFiles(crash_at=point), calm.actions)
    machine.revived(machine.disk, None)
    watched(machine.home, machine.disk)
    try:
        machine.play()
        machine.disk.crash_at = None
    except PowerCut:
        pass
    catalog = machine.die()
    machine = machine.revived(after(machine.disk, fate, point), catalog)
    watched(machine.home, machine.disk)
    machine.play()
    machine.drain()
    wanted = calm.arrived(machine.doubled)
    for name, found in machine.arrived.items():
        assert list(dict.fromkeys(found)) == list(dict.fromkeys(wanted)), name
        if fate == KILL:
            assert len(found) - len(wanted) <= machine.under_way


def places(operations: int) -> Iterator[tuple[int, int]]:
    """Each operation with one fate."""
    yield from ((p, (STRICT, KILL, p)[p % 3]) for p in range(1, operations + 1))


@pytest.mark.parametrize(
    ("seed", "stride"), [(1, 4), *(pytest.param(seed, 1, marks=pytest.mark.long) for seed in range(1, 5))]
)
def test_all_of_it_arrives(ram: Path, watched: Watch, points: Counter[str], seed: int, stride: int) -> None:
    """At an operation in four, all of them in the long run: strict loss, a lottery, or a kill."""
    calm = Calm(ram, watched, seed)
    for point, fate in list(places(calm.operations))[::stride]:
        cut(ram, watched, calm, point, fate)
        points["crash"] += 1
    assert points["crash"] > 90


def test_the_power_goes_again_and_again(ram: Path, watched: Watch, points: Counter[str]) -> None:
    """In every life after a few operations, until the script is done."""
    calm = Calm(ram, watched, 2)
    for seed in range(8):
        random, crashes = Random(seed), 0
        machine = Sending(ram, CrashableFiles(), calm.actions)
        machine.revived(machine.disk, None)
        while True:
            watched(machine.home, machine.disk)
            machine.disk.crash_at = machine.disk.operations + random.randint(3, 30 + 5 * crashes)
            try:
                machine.play()
                break
            except PowerCut:
                crashes += 1
                catalog = machine.die()
                machine = machine.revived(after(machine.disk, random.randint(-2, 1), crashes), catalog)
        machine.disk.crash_at = None
        machine.drain()
        wanted = list(dict.fromkeys(calm.arrived(machine.doubled)))
        assert list(dict.fromkeys(machine.arrived["far"])) == wanted
        assert list(dict.fromkeys(machine.arrived["slow"])) == wanted
        points["crash"] += crashes
    assert points["crash"] > 20
