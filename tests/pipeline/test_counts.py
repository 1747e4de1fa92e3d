"""What a session counts of its calls: each once, whoever tells it, whatever happens to the process."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from otel_ext.cli.folder import engines, findings
from otel_ext.pipeline import reindex
from otel_ext.sessions import State
from tests.builders import span_id
from tests.pipeline.test_exactly_once import SETTINGS, Run
from tests.pipeline.test_rebuild import change_version
from tests.pipeline.test_reindex import ENGINE, lose_catalog
from tests.pipeline.twice import (
    ROUNDS,
    SECOND,
    Script,
    all_of_them,
    codex_alone,
    mcp,
    span_and_record,
)

SAVED = msgspec.structs.replace(SETTINGS, checkpoint_interval=0.0, idle_timeout=600.0)
COUNTED = ("tool_calls", "errors", "input_tokens", "output_tokens")
ONCE = (ROUNDS, 0, 100 * ROUNDS, 7 * ROUNDS)


def play(made: Run, script: Script) -> None:
    """Take in a script at its times."""
    for at, body in script:
        made.clock.advance(max(0, at - made.clock.now()))
        made.accept(body)
        made.process()


def counts(made: Run) -> dict[str, tuple[int, ...]]:
    """What the catalog's sessions count."""
    return {s.session_id: tuple(getattr(s, name) for name in COUNTED) for s in made.sessions()}


def told(made: Run) -> list[dict[str, Any]]:
    """Every revision of every finding."""
    (engine,) = engines(made.folder)
    return list(findings(engine, revisions=True, endings=True))


def test_a_session_of_log_records_alone(tmp_path: Path) -> None:
    """Codex's calls and tokens are in the row, and its end is told like any other."""
    made = Run(tmp_path, SAVED)
    play(made, codex_alone())
    made.finish()
    (session,) = made.sessions()
    assert (session.state, session.spans, session.traces) == (State.COMPLETED, 0, 0)
    assert counts(made) == {"codex": ONCE}
    (end,) = [one for one in told(made) if one["signal"].startswith("termination.completed")]
    assert (end["session"]["tool_calls"], end["evidence"], end["parent"]) == (ROUNDS, [], "")
    assert (int(end["start"]), int(end["end"])) == (session.log_start, session.log_end)


def test_agent_client_and_server_tell_one_call(tmp_path: Path) -> None:
    """An MCP call is one, and what a wrapper and the provider tell of a model call is used once."""
    made = Run(tmp_path, SAVED)
    play(made, mcp())
    made.finish()
    (session,) = made.sessions()
    assert session.spans == 5 * ROUNDS + 1
    assert counts(made) == {"mcp": ONCE}


@pytest.mark.parametrize("seed", range(4))
def test_a_span_and_a_record_in_either_order(tmp_path: Path, seed: int) -> None:
    """Within the reorder window neither is lost: one call, with the record's arguments, at the span."""
    made = Run(tmp_path, SAVED)
    script = span_and_record(2, random.Random(seed))
    play(made, script)
    made.finish()
    assert counts(made) == {"both": (ROUNDS, 0, 0, 0)}
    repeated = [one for one in told(made) if one["signal"].startswith("loop.")]
    assert repeated
    assert repeated[-1]["count"] == ROUNDS
    assert all("spans" not in one["missing"] for one in repeated)
    calls = {span_id(2000 + 4 * number + 1).hex() for number in range(ROUNDS)}
    assert set(repeated[-1]["evidence"]) == calls


def test_evidence_of_log_records_is_what_a_backend_holds_or_says_that_it_is_not(tmp_path: Path) -> None:
    """A record's span stands for it; one that was written in none is named by an id, and that is stated."""
    made = Run(tmp_path, SAVED)
    play(made, sorted([*codex_alone(), *codex_alone(7, "traced")], key=lambda one: one[0]))
    made.finish()
    loops = [one for one in told(made) if one["signal"].startswith("loop.")]
    bare, traced = ([one for one in loops if one["session_id"] == name][-1] for name in ("codex", "traced"))
    assert ("spans" in bare["missing"], len(bare["evidence"]), bare["parent"]) == (True, ROUNDS, "")
    assert ("spans" in traced["missing"], traced["evidence"]) == (False, ["07" * 8])
    assert (traced["parent"], traced["evidence_count"], traced["evidence_dropped"]) == ("07" * 8, ROUNDS, 0)


@pytest.mark.parametrize("seed", range(3))
def test_killed_after_any_request(tmp_path: Path, seed: int) -> None:
    """Rows and findings are those of an undisturbed engine."""
    chance, script = random.Random(seed), all_of_them(seed)
    calm = Run(tmp_path / "calm", SAVED)
    killed = Run(tmp_path / "killed", msgspec.structs.replace(SAVED, checkpoint_interval=1.0))
    for at, body in script:
        for one in (calm, killed):
            one.clock.advance(max(0, at - one.clock.now()))
            one.accept(body)
        match chance.choice(("nothing", "process", "kill", "process, kill")):
            case "process":
                killed.process()
            case "kill":
                killed.kill()
            case "process, kill":
                killed.process()
                killed.kill()
    calm.finish()
    killed.finish()
    assert killed.sessions() == calm.sessions()
    assert told(killed) == told(calm)
    assert counts(calm) == {
        **dict.fromkeys(("codex", "traced", "mcp"), ONCE),
        "both": (ROUNDS, 0, 0, 0),
    }


@pytest.mark.parametrize("lost", ["catalog", "detectors"])
@pytest.mark.parametrize("cut", [3, 11, 20])
def test_counted_again_from_files(tmp_path: Path, cut: int, lost: str) -> None:
    """After a kill, without its catalog or with detectors of another version, the counts are the same."""
    script = all_of_them(1)
    made, calm = Run(tmp_path / "made", SAVED), Run(tmp_path / "calm", SAVED)
    play(made, script[:cut])
    made.engine.tick(made.clock.now() + 3 * SECOND)
    made.clock.advance(3 * SECOND)
    made.process()
    made.engine.abandon()
    if lost == "catalog":
        lose_catalog(made.folder)
        reindex(made.folder / ENGINE)
    else:
        assert change_version(made.folder, 0, "signals/%")
    made.engine = made.open()
    play(calm, script)
    play(made, script[cut:])
    made.finish()
    calm.finish()
    assert counts(made) == counts(calm)
    ends = [
        sorted(
            (one["session_id"], one["signal"], one["revision"]) for one in told(each) if one.get("session")
        )
        for each in (made, calm)
    ]
    assert ends[0] == ends[1]
