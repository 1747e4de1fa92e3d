"""The sweeps' points, counted (`tests/conftest.py` tells them); commits as operations of the disk."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_ext.sessions import Catalog
from otel_ext.sessions.stock import Stock
from otel_ext.testing import CrashableFiles


class Watch:
    """The instants around each commit in a folder are operations of its disk in memory.

    Attributes:
        cut: the power goes right after the first commit.
    """

    def __init__(self) -> None:
        self.cut = False
        self._disks: dict[Path, CrashableFiles] = {}

    def __call__(self, home: Path, disk: CrashableFiles, *, cut: bool = False) -> None:
        """Watch an engine's folder."""
        self._disks[home], self.cut = disk, cut

    def commit(self, catalog: Catalog, commit: Callable[[], None]) -> None:
        """Let it happen between two operations, at each of which the power may go."""
        disk = self._disks.get(catalog.path.parent)
        if disk is None:
            commit()
            return
        with disk.operation(changes_first=False):
            pass
        commit()
        if self.cut:
            disk.crash_at = disk.operations + 1
        with disk.operation(changes_first=False):
            pass

    def keep(self, path: Path, keep: Callable[[], list[str]]) -> list[str]:
        """The same around what makes the manifest's words true."""
        disk = self._disks.get(path.parent)
        if disk is None:
            return keep()
        with disk.operation(changes_first=False):
            pass
        purged = keep()
        with disk.operation(changes_first=False):
            pass
        return purged


@pytest.fixture
def points(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """Count a visited point here, by its kind: crash, failure or byte."""
    counted = Counter[str]()
    yield counted
    for kind, number in counted.items():
        request.node.user_properties.append((f"{kind} points", number))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """`watched(engine's folder, disk)`: see `Watch`."""
    watch, commit, keep = Watch(), Catalog.commit, Stock.keep
    monkeypatch.setattr(
        Catalog, "commit", lambda self, point: watch.commit(self, lambda: commit(self, point))
    )
    monkeypatch.setattr(
        Stock, "keep", lambda self, *a: watch.keep(self._database.path, lambda: keep(self, *a))
    )
    return watch
