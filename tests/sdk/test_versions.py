"""The oldest SDK that we support; the newest is the one in the environment of every other test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

OLDEST = "1.39.1"
CORE = (
    *("test_processor.py", "test_deaths.py", "test_hooks.py", "test_regressions.py", "test_encode.py"),
    "test_disk.py",
)
SKIPPED = (
    # The older SDK drops attributes that the newer one, and the encoder under test, takes.
    "test_perf_gates or test_it_decodes or test_any_depth or test_what_protobuf or test_what_is_remembered"
)


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the oldest SDK, to be found before the installed one."""
    folder = tmp_path_factory.mktemp("oldest")
    wanted = [
        f"opentelemetry-{name}=={OLDEST}" for name in ("api", "sdk", "proto", "exporter-otlp-proto-common")
    ]
    call = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder)]
    done = subprocess.run([*call, *wanted], capture_output=True, check=False, text=True)
    if done.returncode:
        pytest.skip(f"pip cannot install SDK {OLDEST}: {done.stderr.strip()[-300:]}")
    return folder


def pytest_on(folder: Path, *arguments: str) -> str:
    """Run tests of ours with the packages of a folder first; their summary."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    check = "from importlib.metadata import version; print(version('opentelemetry-sdk'))"
    env = {**os.environ, "PYTHONPATH": path}
    version = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, check=True, text=True, env=env
    )
    assert version.stdout.startswith(OLDEST), version.stdout
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        capture_output=True,
        check=False,
        text=True,
        cwd=ROOT,
        env=env,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "files",
    [pytest.param(("test_processor.py", "test_hooks.py"), id="slice"), pytest.param(CORE, id="core")],
)
def test_the_oldest_sdk(oldest: Path, files: tuple[str, ...]) -> None:
    """The same promises on the oldest supported SDK."""
    out = pytest_on(oldest, *[f"tests/sdk/{name}" for name in files], "-k", f"not ({SKIPPED})")
    assert " passed" in out
