"""The whole engine loses its power, or is killed, at every operation of a recorded workload (L1-L5, L7)."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import pytest

from otel_ext.sessions import Catalog
from otel_ext.testing import CrashableFiles, PowerCut
from tests.sweeps.conftest import Watch
from tests.sweeps.workload import Machine, Outcome, check, check_calm, repeated, script

STRICT, KILL = -1, -2
"""Fates besides random ones (0, 1, ...): all that was not synced is gone; nothing is, only the process."""


class Calm:
    """The undisturbed run of a script: what it leaves, and how many operations it takes.

    Where a crash came between a record and its answer, the client's second try is a re-delivery, which
    counts; so a disturbed run is compared with an undisturbed one to which the same was sent.
    """

    def __init__(self, folder: Path, watched: Watch, seed: int) -> None:
        self.actions = script(seed)
        self._folder, self._outcomes = folder / "calm", dict[frozenset[tuple[int, int]], Outcome]()
        machine = Machine(folder, CrashableFiles(), self.actions)
        watched(machine.home, machine.disk)
        machine.play()
        self.operations = machine.disk.operations
        assert len(machine.bytes_of("journal")) < 4, "segments are released"
        check_calm(machine.outcome(), self.actions)

    def outcome(self, doubled: Mapping[int, int]) -> Outcome:
        """What is left when these actions' requests are sent more than once."""
        key = frozenset(doubled.items())
        if key not in self._outcomes:
            machine = Machine(self._folder, CrashableFiles(), repeated(self.actions, doubled))
            machine.revived(machine.disk, None)
            machine.play()
            self._outcomes[key] = machine.outcome()
        return self._outcomes[key]


def after(disk: CrashableFiles, fate: int, point: int) -> CrashableFiles:
    """What is left of a disk."""
    if fate == KILL:
        return disk.restart()
    return disk.crash(None if fate == STRICT else Random(1000 * fate + point))


def checkpointed(machine: Machine) -> Iterator[tuple[str, int]]:
    """`(name, length)` of the session files that the surviving catalog speaks of."""
    path = machine.home / "catalog.sqlite"
    if path.exists():
        catalog = Catalog(path)
        yield from ((row.name, row.length) for row in catalog.stock.files())
        catalog.close()


class Witness:
    """Who watches one folder over all its lives, and has read what nobody may change afterwards.

    Attributes:
        read: bytes of session files that must stay as they are.
    """

    def __init__(self) -> None:
        self.read: dict[str, bytes] = {}
        self._journal: dict[str, bytes] = {}
        self._torn = False

    def born(self, machine: Machine, fate: int) -> None:
        """A life begins on what the last one left: at least what its catalog speaks of is there."""
        self._journal, sessions = machine.bytes_of("journal"), machine.bytes_of("sessions")
        for name, length in checkpointed(machine):
            assert len(sessions[name]) >= length, "a checkpoint speaks of bytes that the disk never got"
            self.read[name] = sessions[name][:length]
        # A lottery may have left half lines and holes, which recovery cuts: a follower is promised lines.
        self._torn = self._torn or fate >= 0
        if fate == KILL and not self._torn:  # whoever follows a file has read all of it
            self.read.update(sessions)

    def died(self, machine: Machine) -> None:
        """A life is over: no former life's segment was changed, nor its name given again."""
        disk = machine.disk.restart() if machine.disk.crashed else machine.disk
        for name, new in machine.bytes_of("journal", disk).items():
            assert new == self._journal.get(name, new)
            assert name in self._journal or name > max(self._journal, default="")

    def end(self, machine: Machine) -> None:
        """All is done: nothing that was read ever changed."""
        files = machine.bytes_of("sessions")
        for name, old in self.read.items():
            assert files[name].startswith(old), name


def survive(machine: Machine, calm: Calm, fate: int) -> None:
    """Play the rest after a crash; nothing is lost or doubled, and nothing that was read ever changes."""
    witness = Witness()
    witness.born(machine, fate)
    machine.play()
    witness.died(machine)
    witness.end(machine)
    check(machine.outcome(), calm.outcome(machine.doubled))
    assert machine.stats.get("otel_ext.sessions.quarantined_files") == 0
    if fate in {KILL, STRICT}:
        assert machine.stats.get("otel_ext.sessions.truncated_bytes") == 0


def sweep(
    folder: Path, watched: Watch, calm: Calm, places: Iterator[tuple[int, tuple[int, ...]]]
) -> Counter[str]:
    """Crash at each place with each fate; how many crashes happened."""
    counted = Counter[str]()
    for point, fates in places:
        machine = Machine(folder, CrashableFiles(crash_at=point), calm.actions)
        machine.revived(machine.disk, None)  # nothing is left of the run before
        watched(machine.home, machine.disk)
        with pytest.raises(PowerCut):
            machine.play()
        assert machine.disk.crashed
        catalog = machine.die()
        for fate in fates:
            again = machine.revived(after(machine.disk, fate, point), catalog)
            watched(again.home, again.disk)
            survive(again, calm, fate)
            counted["crash"] += 1
    return counted


def test_the_power_goes_at_every_operation(ram: Path, watched: Watch, points: Counter[str]) -> None:
    """At each operation: strict loss, a lottery, or a kill; the rest of the script ends as if undisturbed."""
    calm = Calm(ram, watched, 1)
    assert calm.operations > 200
    places = ((p, ((STRICT, KILL, p)[p % 3],)) for p in range(1, calm.operations + 1))
    points += sweep(ram, watched, calm, places)
    assert points["crash"] == calm.operations


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 6))
def test_every_fate_at_every_operation(ram: Path, watched: Watch, points: Counter[str], seed: int) -> None:
    """The same with every fate at each operation, over several scripts."""
    calm = Calm(ram, watched, seed)
    fates = (STRICT, KILL, *range(4))
    points += sweep(ram, watched, calm, ((p, fates) for p in range(1, calm.operations + 1)))
    assert points["crash"] == calm.operations * len(fates)


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.long)])
def test_a_kill_and_then_the_power(ram: Path, watched: Watch, points: Counter[str], stride: int) -> None:
    """What a killed process left unsynced is made durable before the next checkpoint speaks of it."""
    calm = Calm(ram, watched, 3)
    for point in range(1, calm.operations + 1, stride):
        machine, witness = Machine(ram, CrashableFiles(crash_at=point), calm.actions), Witness()
        machine.revived(machine.disk, None)
        watched(machine.home, machine.disk)
        with pytest.raises(PowerCut):
            machine.play()
        machine = machine.revived(machine.disk.restart(), machine.die())
        witness.born(machine, KILL)
        watched(machine.home, machine.disk, cut=True)
        with pytest.raises(PowerCut):
            machine.play()
        witness.died(machine)
        machine = machine.revived(machine.disk.crash(), machine.die())
        witness.born(machine, STRICT)
        watched(machine.home, machine.disk)
        machine.play()
        witness.end(machine)
        check(machine.outcome(), calm.outcome(machine.doubled))
        points["crash"] += 2


def again_and_again(folder: Path, watched: Watch, calm: Calm, random: Random) -> int:
    """Crash after a few operations, in every life until the script is done; how many crashes happened."""
    machine, witness, crashes = Machine(folder, CrashableFiles(), calm.actions), Witness(), 0
    machine.revived(machine.disk, None)
    while True:
        watched(machine.home, machine.disk)
        # Ever later, or a life would never be long enough for what it has to do before a checkpoint.
        machine.disk.crash_at = random.randint(3, 30 + 5 * crashes)
        try:
            machine.play()
        except PowerCut:
            crashes += 1
        witness.died(machine)
        if not machine.disk.crashed:
            break
        catalog, fate = machine.die(), random.randint(-2, 1)
        machine = machine.revived(after(machine.disk, fate, crashes), catalog)
        witness.born(machine, fate)
    witness.end(machine)
    check(machine.outcome(), calm.outcome(machine.doubled))
    return crashes


@pytest.mark.parametrize("runs", [8, pytest.param(500, marks=pytest.mark.long)])
def test_the_power_goes_again_and_again(ram: Path, watched: Watch, points: Counter[str], runs: int) -> None:
    """Recovery itself is interrupted, and the recovery of that, at random operations of every life."""
    calm = Calm(ram, watched, 2)
    for seed in range(runs):
        points["crash"] += again_and_again(ram, watched, calm, Random(seed))
    assert points["crash"] > 5 * runs
