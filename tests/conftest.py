"""What every test shares: properties are searched without a clock, which a busy machine would fail.

`pytest --hypothesis-profile=wide` searches much longer wherever a test does not say how long itself.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import RAM

settings.register_profile("untimed", deadline=None, max_examples=60)
settings.register_profile("wide", deadline=None, max_examples=2000)
settings.load_profile("untimed")


@pytest.fixture
def ram(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where the machine has one: for thousands of syncs that prove nothing there."""
    with tempfile.TemporaryDirectory(prefix="otel-ext-", dir=RAM or tmp_path) as name:
        yield Path(name)


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: many tests wait for processes, disks and clocks of others."""
    return len(os.sched_getaffinity(0)) + 1


LONGEST = (
    "crash/test_kills.py",
    "pipeline/test_sealed.py",
    "pipeline/test_reindex.py",
    "pipeline/test_repair.py",
    "test_corpus.py",
    "sweeps/test_keeping.py",
    "sessions/test_keeper.py",
    "sweeps/test_crashes.py",
    "sweeps/test_failures.py",
    "crash/test_two_processes.py",
    "crash/test_disk_full.py",
    "crash/test_power_cut.py",
)
"""Files that take longest, in that order; see `--durations`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: one that began last would keep one process busy while the others wait."""
    order = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    assert all(path.exists() for path in order)
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many points all sweeps visited, in whichever process; only this file is loaded in the first one."""
    counted = Counter[str]()
    for report in terminalreporter.getreports(""):
        if report.when == "teardown":
            for kind, number in report.user_properties:
                if kind.endswith(" points"):
                    counted[kind] += number
    if counted:
        text = ", ".join(f"{kind}: {number:,}" for kind, number in sorted(counted.items()))
        terminalreporter.write_line(f"sweeps: {text}")
