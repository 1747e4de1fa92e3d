"""`docs/writing-rules.md`: its example is run, as a class and as an installed package."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs/writing-rules.md").read_text()
RULE, CHECK = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
NAME = 'empty_search = "my_package.rules:EmptySearch"'


def test_the_example_keeps_its_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's class passes the page's test."""
    rules = types.ModuleType("my_package.rules")
    monkeypatch.setitem(sys.modules, "my_package", types.ModuleType("my_package"))
    monkeypatch.setitem(sys.modules, "my_package.rules", rules)
    exec(compile(RULE, "docs/writing-rules.md", "exec"), vars(rules))
    check = {"__name__": "test_rules"}
    exec(compile(CHECK, "docs/writing-rules.md", "exec"), check)
    check["test_empty_search"]()  # type: ignore[operator]


def installed(folder: Path, rule: str, name: str = NAME) -> dict[str, str]:
    """A package of these rules as pip leaves it; the environment in which it is there."""
    (folder / "my_package").mkdir()
    (folder / "my_package/__init__.py").touch()
    (folder / "my_package/rules.py").write_text(rule)
    info = folder / "my_package-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[otel_ext.rules]\n{name.replace(chr(34), '')}\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}


def validate(environment: dict[str, str]) -> tuple[int, str]:
    """Exit code and words of `otel-ext validate` for the page's configuration."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-m", "otel_ext", "validate", "--config", "env:PAGE"],
        env={**environment, "PAGE": text},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def test_an_installed_rule_is_known(tmp_path: Path) -> None:
    """With the package its settings are fine; without it there is no such rule."""
    assert 'entry-points."otel_ext.rules"]\n' + NAME in PAGE
    code, text = validate(installed(tmp_path, RULE))
    assert (code, "waste.empty_search" in text) == (0, True), text
    code, text = validate({**os.environ, "PYTHONPATH": str(ROOT)})
    assert code == 1
    assert "`processors.signals.rules.waste.empty_search`: there is no such rule" in text


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("import no_such_module_anywhere", "cannot be loaded: ModuleNotFoundError"),
        ("class EmptySearch: pass", "it is no subclass"),
        (RULE.replace('"waste.empty_search"', '"loop.exact_repeat"'), "has its id or its signal already"),
    ],
    ids=["broken", "no rule", "a name that is taken"],
)
def test_a_rule_that_cannot_be_used_is_told(tmp_path: Path, rule: str, why: str) -> None:
    """Whoever configures hears which package it is; a guest goes on without it."""
    environment = installed(tmp_path, rule)
    code, text = validate(environment)
    assert code == 1
    assert "my_package.rules" in text
    assert why in text
    script = (
        "from otel_ext import AgentSpanProcessor as P; P('data', signals={'keys': 9}).shutdown(); print('on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "on\n"
    assert why in done.stderr
