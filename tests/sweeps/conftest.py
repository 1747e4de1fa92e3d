"""The sweeps' points, counted and told at the end; a folder in RAM; commits as operations of the disk."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_ext.sessions import Catalog, Checkpoint
from otel_ext.testing import CrashableFiles

RAM = Path("/dev/shm")
POINTS = pytest.StashKey[Counter[str]]()
Watch = Callable[[Path, CrashableFiles], None]


@pytest.fixture
def points(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """Count a visited point here, by its kind: crash, failure or byte."""
    counted = Counter[str]()
    yield counted
    for kind, number in counted.items():
        request.node.user_properties.append((f"{kind} points", number))
    request.config.stash.setdefault(POINTS, Counter()).update(counted)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How many points all sweeps visited."""
    if counted := config.stash.get(POINTS, None):
        text = ", ".join(f"{kind} points: {number:,}" for kind, number in sorted(counted.items()))
        terminalreporter.write_line(f"sweeps: {text}")


@pytest.fixture
def ram(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where the machine has one: thousands of catalogs are made in it."""
    if not RAM.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="otel-ext-sweep-", dir=RAM) as name:
        yield Path(name)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """`watched(engine's folder, disk)`: the instants around each commit there are operations of that disk."""
    disks: dict[Path, CrashableFiles] = {}
    commit = Catalog.commit

    def counted(self: Catalog, point: Checkpoint) -> None:
        disk = disks.get(self.path.parent)
        if disk is None:
            commit(self, point)
            return
        with disk.operation(changes_first=False):  # the power may go before it
            pass
        commit(self, point)
        with disk.operation(changes_first=False):  # or after it
            pass

    monkeypatch.setattr(Catalog, "commit", counted)
    return disks.__setitem__
