"""What the README says is so."""

import re

import click
import pytest

from otel_ext.cli import cli
from otel_ext.service import load_config
from tests.support import ROOT

README = (ROOT / "README.md").read_text()
DURABILITY = (ROOT / "docs/durability.md").read_text()


def test_the_commands_are_those_that_ci_runs() -> None:
    """Command two is CI's own line; command one is what CI does in an empty folder."""
    ci = (ROOT / ".ci/run").read_text()
    one, two = re.findall(r"```sh\n(python3 -m venv .*)\n```", README)
    assert two in ci.splitlines()
    assert (
        one.replace("venv venv", 'venv "$demo/venv"')
        .replace("venv/bin/pip", '"$demo/venv/bin/pip"')
        .replace(" venv/bin/otel-ext", ' "$demo/venv/bin/otel-ext"')
        in ci.splitlines()
    )


def test_the_configuration_shown_is_the_default() -> None:
    """Loading the README's YAML gives the defaults."""
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert "endpoint" in text
    assert load_config(text) == load_config()


def test_the_tests_named_as_proof_exist() -> None:
    """Every file and folder that the README and the durability page name is there."""
    for name in set(re.findall(r"`(tests/[\w/]+\.py)`", README)) | set(
        re.findall(r"\]\(([\w/.-]+)\)", README)
    ):
        assert (ROOT / name).exists(), name
    for name in set(re.findall(r"`(tests/[\w/]+\.py)`", DURABILITY)):
        assert (ROOT / name).exists(), name
    for name in set(re.findall(r"\]\(([\w/.-]+)\)", DURABILITY)):
        assert (ROOT / "docs" / name).exists(), name


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_every_command_is_described(name: str) -> None:
    """The table of commands holds each one."""
    assert f"`otel-ext {name}" in README
