"""Clients of other languages that `.ci/clients` has installed, and where."""

import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT


@pytest.fixture(scope="session")
def installed() -> dict[str, Path]:
    """What `.ci/clients` has found, by name."""
    found = subprocess.run(
        [ROOT / ".ci/clients", "--find"], capture_output=True, check=True, text=True, timeout=60
    )
    return {name: Path(path) for name, _, path in (line.partition("=") for line in found.stdout.splitlines())}


@pytest.fixture(scope="session")
def javascript(installed: dict[str, Path]) -> Path:
    """The folder with the JavaScript SDK; skipped where it or Node.js is missing."""
    if "javascript" not in installed:
        pytest.skip("no Node.js with the OpenTelemetry JavaScript SDK (.ci/clients installs it where npm is)")
    return installed["javascript"]


@pytest.fixture(scope="session")
def telemetrygen(installed: dict[str, Path]) -> Path:
    """The program telemetrygen; skipped where it is missing."""
    if "telemetrygen" not in installed:
        pytest.skip("no telemetrygen (.ci/clients installs it where Go is)")
    return installed["telemetrygen"]
