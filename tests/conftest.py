"""What every test shares: properties are searched without a clock, which a busy machine would fail.

`pytest --hypothesis-profile=wide` searches much longer wherever a test does not say how long itself.
"""

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
