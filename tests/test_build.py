"""What is built: with a compiler a wheel for all Pythons of a platform, without one the same in Python."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = [f"otel_ext/otlp/native/_{name}.abi3.so" for name in ("read", "vouch")]
SOURCES = [f"otel_ext/otlp/native/{name}.c" for name in ("read", "vouch")]

pytest.importorskip("hatchling", reason="building needs hatchling")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The project as someone checks it out, without anything compiled."""
    copy = tmp_path / "tree"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(
        ROOT / "otel_ext", copy / "otel_ext", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    return copy


def build(tree: Path, target: str, **environment: str) -> tuple[Path, str]:
    """The file that was built, and what the build said."""
    folder = tree.parent / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    kept = {name: value for name, value in os.environ.items() if name != "OTEL_EXT_PURE"}
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=tree,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (made,) = folder.iterdir()
    return made, done.stdout + done.stderr


def times(tree: Path) -> list[int]:
    """When each module was made, in ns."""
    return [(tree / module).stat().st_mtime_ns for module in MODULES]


@pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="there is no C compiler")
def test_a_compiler_makes_one_wheel_for_all_pythons_and_once(tree: Path) -> None:
    """The wheel holds the modules and is named for the stable ABI; a second build compiles nothing."""
    wheel, _ = build(tree, "wheel")
    assert "-cp311-abi3-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert [names.count(module) for module in MODULES] == [1, 1]
    assert not {*SOURCES} & {*names}
    before = times(tree)
    build(tree, "wheel")
    assert times(tree) == before
    os.utime(tree / SOURCES[0])  # now newer than what was made of it
    build(tree, "wheel")
    after = times(tree)
    assert after[0] > before[0]
    assert after[1] == before[1]


@pytest.mark.parametrize(
    ("environment", "said"),
    [({"PATH": ""}, "No such file"), ({"OTEL_EXT_PURE": "1"}, "OTEL_EXT_PURE is set")],
)
def test_without_a_compiler_the_wheel_is_pure(tree: Path, environment: dict[str, str], said: str) -> None:
    """No error, one line that says so, and nothing compiled in the wheel, whatever lies in the tree."""
    for module in MODULES:
        (tree / module).write_bytes(b"of another machine")
        os.utime(tree / module, (0, 0))
    wheel, text = build(tree, "wheel", **environment)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not {*MODULES} & {*zipfile.ZipFile(wheel).namelist()}
    assert said in text
    assert text.count("compiled helper") == 1


def test_the_source_distribution_holds_the_source_and_nothing_compiled(tree: Path) -> None:
    """Whoever builds from it compiles for himself."""
    for module in MODULES:
        (tree / module).write_bytes(b"of this machine")
    made, _ = build(tree, "sdist")
    with tarfile.open(made) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {*SOURCES} <= {*names}
    assert not {*MODULES} & {*names}
