"""What a user says of the detectors: heard early by everybody, with place and nearest name; and obeyed."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from otel_ext import AgentSpanProcessor
from otel_ext.cli import serve, validate
from otel_ext.cli.folder import engines, findings, sessions
from otel_ext.errors import ConfigError
from otel_ext.pipeline import Engine, EngineSettings
from otel_ext.pipeline.view import View
from otel_ext.service import load_config
from otel_ext.signals import Limits, RuleSettings, Settings, Signals
from otel_ext.signals.rule import Call, Context, Rule
from otel_ext.testing import AgentRun
from tests.support import objects, run

SIGNALS = "processors:\n  signals:\n"
MISTAKES = {
    "rules: {loop.exact_repaet: {mode: shadow}}": "no such rule; did you mean loop.exact_repeat",
    "rules: {a.b: {}}": "rules.a.b`: there is no such rule; known are",
    "rules: {loop.exact_repeat: {limits: {round: 1}}}": "limits.round`: there is no such threshold; did you",
    "rules: {loop.exact_repeat: {mod: off}}": "loop.exact_repeat.mod`; did you mean `mode`",
    "mute: [{rule: loop.exakt_repeat}]": "no such rule as loop.exakt_repeat; did you mean",
    "mute: [{until: 2026-12-01}]": "say whom to mute",
    "mute: [{signal: loop.exact_repeat}]": "mute[0].signal`; known are: rule, tool, agent, until",
    "mute: [{tool: a}, {tool: 3}]": "mute[1].tool`: Expected `str`, got `int`",
    "prices: {claude-*: {input: 3}}": "prices.claude-*` needs `output`",
    "prices: {claude-*: }": "prices.claude-*` needs `input` and `output`",
    "prices: {claude-*: {input: , output: 1}}": "prices.claude-*` needs `input`",
    "prices: {claude-*: 3}": "must be a mapping with the keys input, output",
    "effects: {my_tool: reed}": "effects.my_tool`: 'reed' is none of read, write, ",
    "rules: {loop.exact_repeat: {mode: shaddow}}": "mode`: 'shaddow' is none of on, off, shadow",
    "rules: {loop.exact_repeat: {limits: {rounds: 3}}}": "limits.rounds`: Expected `object`, got `int`",
    "ttl: 2h": "ttl`: Expected `int`, got `str`, the value is '2h'; a time is in ns here: 7200000000000",
    "keys: 0": "keys`: Expected `int` >= 1",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_heard_with_its_place(text: str) -> None:
    """By whoever loads the configuration: `validate` and `serve`."""
    with pytest.raises(ConfigError) as raised:
        load_config(f"{SIGNALS}    {text}", source="otel.yaml")
    assert MISTAKES[text] in str(raised.value)
    # An empty mapping has no value that could know its line.
    assert str(raised.value).startswith("otel.yaml:3: " if "a.b" not in text else "`processors.signals.")


def test_validate_exits_1() -> None:
    """The command line says it and does not start."""
    text = "yaml:processors::signals::rules::loop.exakt_repeat::mode: shadow"
    for command in (validate.command, serve.command):
        done = CliRunner().invoke(command, ["--config", text])
        assert done.exit_code != 0
        assert "did you mean loop.exact_repeat?" in f"{done.output} {done.exception}"


def test_a_bare_off_is_off() -> None:
    """YAML makes a truth value of it."""
    config = load_config(
        SIGNALS + "    rules: {waste.failed_call: {mode: off}, loop.exact_repeat: {mode: on}}"
    )
    assert [said.mode for said in config.engine.signals.rules.values()] == ["off", "on"]


def test_the_sdk_hears_it_too(tmp_path: Path) -> None:
    """A keyword raises; nothing was opened."""
    wrong: dict[str, Any] = {"rules": {"loop.exakt_repeat": {}}}
    with pytest.raises(ConfigError, match=r"did you mean loop\.exact_repeat"):
        AgentSpanProcessor(tmp_path / "data", signals=wrong)
    assert not (tmp_path / "data").exists()


def test_the_sdk_obeys_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON in a variable is what a keyword would be; nonsense is a warning and the default."""
    monkeypatch.setenv("OTEL_EXT_SIGNALS", '{"rules": {"loop.exact_repeat": {"mode": "off"}}}')
    processor = AgentSpanProcessor(tmp_path, crash_hooks=False)
    assert processor.settings.engine.signals.rules["loop.exact_repeat"].mode == "off"
    processor.shutdown()


def looping(seed: str) -> AgentRun:
    """A run that repeats itself and fails."""
    made = AgentRun(seed)
    for _ in range(6):
        made.call("read_file", {"path": "/a"}, "content")
    for _ in range(6):
        made.fail("open_door", {"n": 1}, "PermissionError: no")
    return made


def played(data: Path, settings: Settings, made: AgentRun) -> View:
    """A run through an engine."""
    engine = Engine(data, EngineSettings(sync="never", signals=settings), live=False)
    with closing(engine):
        engine.start()
        for arrival in made.requests():
            engine.intake.accept(arrival.body)
        engine.finish()
        return engine.view()


@pytest.mark.parametrize("hidden", ["shadow", "muted"])
def test_hidden_findings_are_recorded_and_not_told(ram: Path, hidden: str) -> None:
    """They are listed on request only: no derived span, no count, not of their session."""
    name = "loop.exact_repeat"
    said = {"rules": {name: {"mode": "shadow"}}} if hidden == "shadow" else {"mute": [{"rule": name}]}
    config = load_config(json.dumps({"processors": {"signals": said}}))
    view = played(ram / "data", config.engine.signals, looping("hidden"))
    told = objects(run("signals", ram / "data", "--json"))
    listed = objects(run("signals", ram / "data", "--json", f"--{hidden}"))
    assert name not in {one["signal"] for one in told}
    assert "loop.error_repeat" in {one["signal"] for one in told}
    assert [(one["signal"], one["count"], one["hidden"]) for one in listed] == [(name, 6, hidden)]
    assert name not in view.ledger["findings"]
    assert f"detect {name}" not in run("cat", ram / "data")
    (engine,) = engines(ram / "data")
    (session,) = sessions(engine, ram / "data")
    assert session.findings == len(list(findings(engine)))


class Broken(Rule[Limits]):
    """Raises always."""

    id = "TEST-9"
    signal = "loop.broken"

    def call(self, context: Context, call: Call) -> None:
        """Break."""
        raise RuntimeError("secret payload")


def test_a_broken_rule_shows_in_view_and_log(ram: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its errors by rule, that it is off, and no payload in the log."""
    settings = Settings(most_errors=3, rules={"loop.exact_repeat": RuleSettings(mode="off")})
    engine = Engine(ram / "data", EngineSettings(sync="never", signals=settings), live=False)
    detectors = engine._consumer.outputs.processor._detection._signals
    detectors.heard = Signals(Settings(most_errors=3), rules=[Broken])
    with closing(engine):
        engine.start()
        for arrival in looping("broken").requests():
            engine.intake.accept(arrival.body)
        engine.finish()
        view = engine.view()
    assert (view.rule_errors, view.rules_off) == ({"loop.broken": 3}, ["loop.broken"])
    assert [one.message for one in caplog.records if "loop.broken" in one.message] == [
        "rule loop.broken is off until this process ends: it raised 3 times, the last time RuntimeError; its "
        "findings may be missing"
    ]
