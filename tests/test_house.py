"""The house keeps its shape: floors, no circles, small files; and the test can fail."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "otel_ext"
ROOT = Path(__file__).parents[1] / PACKAGE
FLOORS = {
    0: {
        *(
            "errors",
            "checksum",
            "clock",
            "span",
            "digests",
            "step",
            "stats",
            "files",
            "disk",
            "memory",
            "strictjson",
            "telemetry",
        ),
        "turns",
    },
    1: {"otlp", "conventions", "timestamps", "dedup", "signals", "journal", "sessions"},
    2: {"pipeline"},
    3: {"receivers", "exporters", "sdk"},
    4: {"bench", "service", "cli", "__main__"},
}
SHARED = {0: True, 4: True}  # on these floors rooms may use one another (still without circles)
ASIDE = {"testing"}
LONGEST = 250


def modules(root: Path) -> dict[str, Path]:
    """Every module below `root` by its dotted name, the package's own name left out."""
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, name: str, known: dict[str, Path]) -> Iterator[str]:
    """Modules of ours that a file imports, lazily or not."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for full in names:
            if full.split(".")[0] != PACKAGE:
                continue
            inner = full.removeprefix(PACKAGE).removeprefix(".")
            while inner and inner not in known:
                inner = inner.rpartition(".")[0]
            if inner and inner != name:
                yield inner


def floor_of(module: str) -> int | None:
    """The floor a module stands on, None when it stands aside."""
    room = module.split(".", maxsplit=1)[0]
    if room in ASIDE or not room:
        return None
    return next((floor for floor, rooms in FLOORS.items() if room in rooms), -1)


def violations(root: Path) -> list[str]:
    """Every breach of the house rules, in words."""
    known = modules(root)
    arrows = {name: set(imports(path, name, known)) for name, path in known.items()}
    found = []
    for name, path in known.items():
        if (lines := len(path.read_text().splitlines())) > LONGEST:
            found.append(f"{name} has {lines} lines")
        here, room = floor_of(name), name.split(".")[0]
        if here == -1:
            found.append(f"{name} stands on no floor")
        for other in arrows[name]:
            there, other_room = floor_of(other), other.split(".")[0]
            if there is None and here is not None:
                found.append(f"{name} imports {other}, which stands aside")
            elif here is not None and there is not None and room != other_room:
                if there > here:
                    found.append(f"{name} reaches up to {other}")
                elif there == here and not SHARED.get(here):
                    found.append(f"{name} knows {other} on its own floor")
    return found + circles(arrows)


def circles(arrows: dict[str, set[str]]) -> list[str]:
    """Import circles among modules; a package's __init__ importing its own parts is not one by itself."""
    found, done = [], set[str]()

    def walk(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            found.append("circle: " + " -> ".join((*path[path.index(name) :], name)))
            return
        if name in done:
            return
        for other in sorted(arrows.get(name, ())):
            walk(other, (*path, name))
        done.add(name)

    for name in sorted(arrows):
        walk(name, ())
    return found


def test_the_house_keeps_its_shape() -> None:
    """No module reaches up, knows a stranger on its floor, is in a circle, or is too long."""
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("files", "breach"),
    [
        ({"errors.py": "import otel_ext.pipeline.engine", "pipeline/engine.py": ""}, "reaches up"),
        (
            {"errors.py": "def f():\n    from otel_ext import pipeline", "pipeline/__init__.py": ""},
            "reaches up",
        ),
        ({"dedup/a.py": "from otel_ext.otlp import b", "otlp/b.py": ""}, "on its own floor"),
        (
            {
                "otlp/a.py": "from otel_ext.otlp.b import x",
                "otlp/b.py": "def f():\n    from otel_ext.otlp import a",
            },
            "circle",
        ),
        ({"otlp/a.py": "\n" * (LONGEST + 1)}, "lines"),
        ({"attic.py": ""}, "stands on no floor"),
        ({"otlp/a.py": "from otel_ext.testing import b", "testing/b.py": ""}, "stands aside"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, files: dict[str, str], breach: str) -> None:
    """Each rule reports a violation of it, also one hidden in a function."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert any(breach in text for text in violations(tmp_path))
