"""`signals`, `show` and `sessions` as a person reads them: what is chosen, its width, its sums."""

import json
from pathlib import Path

import pytest

from otel_ext.cli.text import brief
from otel_ext.testing import AgentRun
from tests.support import objects, run
from tests.test_cli import json_line


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OTLP JSON lines of an agent that repeats itself, one whose last call fails, and one that is well."""
    ids = {name: f"0f8b2c1e-{name}-4a6e-9a55-2b1f0c0d9e77" for name in ("loop", "dead", "well")}
    loop, dead, well = (AgentRun(name, session=ids[name]) for name in ids)
    for _ in range(6):
        loop.call("read_file", {"path": "/a"}, "content")
    dead.call("read_file", {"path": "/a"}, "content")
    dead.fail("open_door", {"n": 1}, "PermissionError: no")
    well.call("read_file", {"path": "/a"}, "content")
    well.think(answer="done")
    file = tmp_path_factory.mktemp("runs") / "runs.jsonl"
    bodies = [arrival.body for made in (loop, dead, well) for arrival in made.requests()]
    file.write_text("".join(f"{json_line(body)}\n" for body in bodies))
    return file


@pytest.fixture(scope="module")
def data(runs: Path) -> Path:
    """The same, replayed."""
    run("replay", runs, "--data", runs.parent / "data")
    return runs.parent / "data"


def test_a_dead_end_is_a_finding_not_an_end(data: Path) -> None:
    """It is counted by `sessions` and shown by `show`, though its name is of the family of ends."""
    (row,) = [row for row in objects(run("sessions", data, "--json")) if "-dead-" in row["session_id"]]
    found = [one["signal"] for one in objects(run("signals", data, "--json", "--session", row["session_id"]))]
    assert "termination.dead_end" in found
    assert row["signals"] == len(found) - 1  # the end
    assert "◄ termination.dead_end 1/1" in run("show", data, row["session_id"])


def test_findings_are_chosen(data: Path) -> None:
    """By session, signal and severity; what is left out is in no sum."""
    everything = objects(run("signals", data, "--json"))
    session = everything[0]["session_id"]
    for option, value, kept in (
        ("--signal", "loop.*", [one for one in everything if one["signal"].startswith("loop.")]),
        ("--severity", "warning", [one for one in everything if one["severity"] != "notice"]),
        ("--session", session, [one for one in everything if one["session_id"] == session]),
    ):
        assert 0 < len(kept) < len(everything)
        assert objects(run("signals", data, "--json", option, value)) == kept
    assert run("signals", data, "--signal", "loop.*").endswith("\n1 finding in 1 session: 1 warning\n")
    revisions = run("signals", data, "--signal", "loop.*", "--revisions")
    assert revisions.count("loop.exact_repeat") > 1
    assert revisions.endswith("\n1 finding in 1 session: 1 warning\n")
    assert run("signals", data, "--signal", "lop.*") == "no findings\n"
    assert "no muted findings" in run("signals", data, "--muted")
    assert "no findings of rules in shadow" in run("signals", data, "--shadow")


def test_what_is_for_people_fits_120_columns(data: Path) -> None:
    """Also with ids as long as a UUID."""
    for command in ("sessions", "signals"):
        assert max(map(len, run(command, data).splitlines())) <= 120, command


def test_the_beginning_of_an_id_will_do(data: Path) -> None:
    """Where it is that of one session only."""
    assert run("show", data, "0f8b2c1e-l").startswith("0f8b2c1e-loop-4a6e-9a55-2b1f0c0d9e77  completed: ")
    run("show", data, "0f8b2c1e-", code=2)
    run("show", data, "1", code=2)


def test_a_replay_obeys_a_configuration(runs: Path, tmp_path: Path) -> None:
    """What other settings would have said of the same spans."""
    said = {"rules": {"loop.exact_repeat": {"mode": "shadow"}}, "mute": [{"rule": "termination.dead_end"}]}
    config = f"yaml:{json.dumps({'processors': {'signals': said}})}"
    run("replay", runs, "--data", tmp_path / "data", "--config", config)
    assert "loop.exact_repeat" in run("signals", tmp_path / "data", "--shadow")
    assert "termination.dead_end" in run("signals", tmp_path / "data", "--muted")
    told = run("signals", tmp_path / "data")
    assert "loop.exact_repeat" not in told
    assert "termination.dead_end" not in told
    run("replay", runs, "--endpoint", "http://127.0.0.1:1", "--config", config, code=2)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.0k"),
        (99_949, "99.9k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (1_300_000_000, "1.3G"),
    ],
)
def test_a_count_is_brief(count: int, text: str) -> None:
    """Five characters at most."""
    assert brief(count) == text
