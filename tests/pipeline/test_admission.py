"""Who is let in: two marks for every budget, a share for every service, all of it given back."""

import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext import memory
from otel_ext.errors import Busy, TooLarge
from otel_ext.otlp import service_name
from otel_ext.pipeline import EngineSettings
from otel_ext.pipeline.admission import Admission
from otel_ext.pipeline.backlog import Backlog
from otel_ext.stats import Stats
from otel_ext.testing import ManualClock
from tests.builders import request, span

SETTINGS = EngineSettings(min_free=100, max_backlog=1000, max_in_flight=400, memory_limit=1000)
SECOND = 10**9


class World:
    """A machine whose disk, memory and pipeline are what the test says."""

    def __init__(self, settings: EngineSettings = SETTINGS) -> None:
        self.free, self.resident, self.processed = 1000, 0, 0
        self.clock, self.stats = ManualClock(), Stats()
        self.backlog = Backlog(lambda: self.processed, self.clock)
        self.admission = Admission(
            settings,
            self.backlog,
            clock=self.clock,
            stats=self.stats,
            free_bytes=lambda: self.free,
            resident=lambda: self.resident,
        )

    def enters(self, size: int = 1, service: str = "") -> bool:
        """Whether a request is let in; it leaves at once."""
        try:
            self.admission.enter(size, service)
        except Busy as busy:
            return busy.retry_after <= 0  # a refusal says when to come back
        self.admission.leave(size, service)
        return True

    def look(self) -> None:
        """Let so much time pass that disk and memory are looked at again."""
        self.clock.advance(SECOND)


def test_the_disks_two_marks() -> None:
    """Below `min_free` Busy, and still so a little above it; with room again requests get in."""
    world = World()
    assert world.enters()
    for free, let_in in ((99, False), (105, False), (112, True), (101, True), (99, False)):
        world.free = free
        world.look()
        assert world.enters() is let_in, free
    assert world.stats.get("otel_ext.admission.refused.disk") == 3


def test_the_memorys_two_marks() -> None:
    """Over the limit Busy, until use is a tenth below it."""
    world = World()
    world.backlog.add(1, "")  # there is something to wait for
    for resident, let_in in ((1000, True), (1001, False), (950, False), (900, True), (950, True)):
        world.resident = resident
        world.look()
        assert world.enters() is let_in, resident


def test_memory_that_nothing_will_give_back() -> None:
    """Over the limit with nothing inside and nothing waiting: one at a time, or refusing would never end."""
    world = World()
    world.resident = 2000
    world.look()
    assert world.admission.refusal() is None
    world.admission.enter(100, "a")
    for service in ("a", "b"):
        assert not world.enters(1, service)
    assert world.admission.refusal() is not None
    world.admission.leave(100, "a")
    assert world.enters(1, "b")
    world.backlog.add(1, "b")
    assert not world.enters(1, "b")
    world.processed = 1
    assert world.enters(1, "b")
    assert world.stats.get("otel_ext.admission.refused.memory") == 3


def test_the_backlogs_two_marks() -> None:
    """More than the backlog may hold is Busy, until a tenth of it is processed."""
    world = World()
    for _ in range(11):
        world.backlog.add(100, "")
    for processed, let_in in ((0, False), (100, False), (199, False), (200, True), (100, True)):
        world.processed = processed
        assert world.enters() is let_in, processed


def test_a_request_that_no_budget_holds() -> None:
    """It must be split: retrying is pointless."""
    with pytest.raises(TooLarge):
        World().admission.enter(401, "")


def test_a_service_alone_may_use_everything() -> None:
    """Shares only bind while others send; ten seconds after the last other one they do not."""
    world = World()
    for _ in range(4):
        world.admission.enter(100, "a")
    assert not world.enters(1, "b")  # there is nothing left
    for _ in range(4):
        world.admission.leave(100, "a")
    assert world.enters(1, "b")
    world.admission.enter(200, "a")
    assert not world.enters(1, "a")
    assert world.enters(200, "b")
    world.clock.advance(11 * SECOND)
    assert world.enters(1, "a")


def test_one_services_backlog_leaves_room_for_the_others() -> None:
    """A share of what waits is one service's most while another sends; processed bytes are given back."""
    world = World(msgspec.structs.replace(SETTINGS, max_backlog=10 << 20, max_in_flight=10 << 20))
    for service in ("greedy", "quiet"):
        assert world.enters(1, service)
    for _ in range(6):
        world.backlog.add(1 << 20, "greedy")
    assert not world.enters(1, "greedy")
    assert world.enters(1, "quiet")
    world.processed = 2 << 20
    assert world.enters(1, "greedy")


@given(seed=st.integers(0, 10**6))
def test_everything_is_given_back(seed: int) -> None:
    """However requests come, are refused and leave: at the end the budgets are whole, and never overdrawn."""
    rng = random.Random(seed)
    world = World()
    inside: list[tuple[int, str]] = []
    for _ in range(60):
        if inside and rng.random() < 0.4:
            world.admission.leave(*inside.pop(rng.randrange(len(inside))))
            continue
        one = rng.randrange(1, 200), rng.choice("abc")
        try:
            world.admission.enter(*one)
        except Busy:
            continue
        inside.append(one)
        assert sum(size for size, _ in inside) <= SETTINGS.max_in_flight
        world.clock.advance(rng.randrange(SECOND))
    for one in inside:
        world.admission.leave(*one)
    world.clock.advance(20 * SECOND)
    assert world.enters(SETTINGS.max_in_flight, "a")


def test_more_services_than_are_told_apart() -> None:
    """The longest silent is forgotten, and what it had inside is not given back twice."""
    world = World()
    world.admission.enter(10, "first")
    for number in range(2000):
        assert world.enters(1, f"service-{number}")
    world.admission.leave(10, "first")
    world.clock.advance(20 * SECOND)
    assert world.enters(400, "last")


def test_the_service_of_a_request() -> None:
    """The first resource's name; "" where there is none or it is no short text."""
    assert service_name(request(span(1, 1), service="agent ü")) == "agent ü"
    assert service_name(b"") == service_name(b"\x0a\x0cservice.name\x12") == ""
    assert service_name(b"\x0a\x0cservice.name\x12\x02\x18\x07") == ""  # a number
    lengths = {len(service_name(request(span(1, 1), service="x" * n))) for n in range(1, 300)}
    assert lengths == set(range(124))


@pytest.mark.parametrize(
    ("version", "files", "expected"),
    [
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "5000", "memory.max": "9000"}, 5000),
        ("0::/", {"memory.max": "7000"}, 7000),
        ("0::/a", {"a/memory.max": "7000", "a/memory.high": "6500", "memory.high": "max"}, 6500),
        ("3:cpu:/x\n4:memory:/x/y", {"memory/x/memory.limit_in_bytes": "6000"}, 6000),
        ("4:cpu,memory:/gone", {"memory/memory.limit_in_bytes": "4000"}, 4000),
    ],
)
def test_the_limit_of_a_control_group(
    tmp_path: Path, version: str, files: dict[str, str], expected: int
) -> None:
    """v1 and v2, the smallest of all levels; unlimited is what the machine has."""
    (tmp_path / "cgroup").write_text(version + "\n")
    for name, text in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert memory.limit(tmp_path / "fs", tmp_path / "cgroup") == expected


def test_without_a_limit_it_is_the_machines_memory(tmp_path: Path) -> None:
    """A v1 group states a very large number; a missing file says nothing."""
    group = tmp_path / "memory"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (tmp_path / "cgroup").write_text("4:memory:/\n")
    assert memory.limit(tmp_path, tmp_path / "cgroup") == memory.limit(tmp_path, tmp_path / "none") > 1 << 20
    assert 1 << 20 < memory.resident() < memory.limit()
