"""The real Collector that these tests start, and where."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.backend import Backend
from tests.collector.process import Site
from tests.support import ROOT


@pytest.fixture(scope="session")
def otelcol() -> Path:
    """The Collector's program; skipped, with the reason, where there is none."""
    found = subprocess.run(
        [ROOT / ".ci/collector", "--find"], capture_output=True, check=False, text=True, timeout=60
    )
    if found.returncode:
        pytest.skip(f"no real Collector ({found.stderr.strip().splitlines()[-1]})")
    return Path(found.stdout.splitlines()[-1])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A folder and ports of this test's own."""
    return Site(tmp_path)


@pytest.fixture
def backend(site: Site) -> Iterator[Backend]:
    """A backend where the configurations send to."""
    with Backend(site.endpoint("BACKEND_GRPC_PORT")) as running:
        yield running
