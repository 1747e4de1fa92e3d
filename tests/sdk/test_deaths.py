"""However a process dies: every span that ended is stored, the open ones are marked, the state says why."""

import json
import signal
from pathlib import Path

import pytest

from tests.sdk.agents import adopt, agent, names, sessions, start, unfinished
from tests.support import PATIENCE

WORK = """
with root():
    for _ in range(300):
        with tool():
            pass
    open_tool = tracer.start_span("execute_tool open", attributes={"gen_ai.tool.name": "open"})
    END
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("os.abort()", -signal.SIGABRT),
        ("os._exit(3)", 3),
    ],
    ids=["kill", "term", "segv", "abort", "_exit"],
)
def test_a_sudden_death_loses_nothing(tmp_path: Path, end: str, code: int) -> None:
    """Right after its last `end()`: all ended spans once, open ones unfinished, the session crashed."""
    agent(WORK.replace("END", end), tmp_path, code=code)
    adopt(tmp_path)
    assert names(tmp_path) == {"execute_tool read": 300, "execute_tool open": 1, "invoke_agent": 1}
    assert unfinished(tmp_path) == ["execute_tool open", "invoke_agent"]
    row = sessions(tmp_path)["s1"]
    assert row["state"] == "crashed"
    assert row["reason"] == "its process died with 2 spans unfinished"


def test_attributes_added_since_the_start_are_known(tmp_path: Path) -> None:
    """What was added to an open span more than a second before a kill is in its unfinished record."""
    script = """
    with root() as span:
        span.set_attribute("plan", "read all files")
        span.update_name("invoke_agent planner")
        while processor.stats.get("otel_ext.sdk.spans.grown") < 1:
            threading.Event().wait(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    agent(script, tmp_path, code=-signal.SIGKILL)
    adopt(tmp_path)
    assert names(tmp_path) == {"invoke_agent planner": 1}
    assert '"read all files"' in "".join(p.read_text() for p in tmp_path.glob("engines/*/sessions/*"))


def test_the_next_process_finishes_what_a_dead_one_left(tmp_path: Path) -> None:
    """No command is needed: whoever opens the folder next takes the dead one's over first."""
    agent(WORK.replace("END", "os.kill(os.getpid(), signal.SIGKILL)"), tmp_path, code=-signal.SIGKILL)
    agent('with root("s2"):\n    pass', tmp_path)
    rows = sessions(tmp_path)
    assert {name: row["state"] for name, row in rows.items()} == {"s1": "crashed", "s2": "completed"}
    assert len(list(tmp_path.glob("engines/*"))) == 1


@pytest.mark.parametrize(
    ("end", "code", "left"),
    [
        ("pass", 0, []),
        ("sys.exit(0)", 0, []),
        ("sys.exit(7)", 7, []),
        ("tracer.start_span('invoke_agent open')", 0, ["invoke_agent open"]),
    ],
    ids=["return", "exit", "exit-7", "open"],
)
def test_a_polite_end_is_no_crash(tmp_path: Path, end: str, code: int, left: list[str]) -> None:
    """The end of the program ends its sessions; what it left open is unfinished, and no crash."""
    agent(f"with root():\n    with tool():\n        pass\n    {end}\n", tmp_path, code=code)
    rows = sessions(tmp_path)
    assert rows["s1"]["state"] == ("interrupted" if left else "completed")
    assert unfinished(tmp_path) == left


def test_a_provider_that_is_never_shut_down_is_no_crash(tmp_path: Path) -> None:
    """Our own exit handler ends the sessions where the provider's was turned off."""
    script = """
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(AgentSpanProcessor())
    tracer = provider.get_tracer("agent")
    with root():
        pass
    held = tracer.start_span("left open", attributes={"session.id": "s2"})
    """
    agent(script, tmp_path)
    rows = sessions(tmp_path)
    assert {name: row["state"] for name, row in rows.items()} == {"s1": "completed", "s2": "interrupted"}


def test_sync_always_and_force_flush_survive_a_kill_at_once(tmp_path: Path) -> None:
    """Both return after an fsync; at the level of a process it shows as nothing lost."""
    script = """
    with root():
        with tool():
            pass
        say(provider.force_flush())
        os.kill(os.getpid(), signal.SIGKILL)
    """
    out, _ = agent(script, tmp_path, code=-signal.SIGKILL, OTEL_EXT_SYNC="always")
    assert out == "True\n"
    adopt(tmp_path)
    assert names(tmp_path) == {"execute_tool read": 1, "invoke_agent": 1}


def test_kill_9_from_outside_at_a_random_moment(tmp_path: Path) -> None:
    """Whatever the agent reported as ended before it was killed is stored, each span once."""
    script = """
    with root():
        for number in range(1_000_000):
            with tool(str(number)):
                pass
            if number % 50 == 0:
                say(number)
    """
    with start(script, tmp_path) as process:
        assert process.stdout is not None
        for _ in range(40):
            last = int(process.stdout.readline())
        process.kill()
        rest = process.stdout.read().split()
        process.wait(PATIENCE)
    last = max([last, *map(int, rest[:-1] if rest and not rest[-1].isdigit() else rest)])
    adopt(tmp_path)
    stored = names(tmp_path)
    assert set(stored.values()) == {1}
    assert {f"execute_tool {number}" for number in range(last + 1)} <= set(stored)
    assert sessions(tmp_path)["s1"]["state"] == "crashed"


def test_a_parent_can_be_read_while_it_lives(tmp_path: Path) -> None:
    """Files grow while the process runs; a flush is enough for others to find the span soon."""
    with start(
        'with root():\n    with tool():\n        pass\nprovider.force_flush()\nsay("x")\ninput()', tmp_path
    ) as p:
        assert p.stdout is not None
        p.stdout.readline()
        journals = b"".join(path.read_bytes() for path in tmp_path.glob("engines/*/journal/*"))
        assert b"execute_tool read" in journals
        p.communicate("\n", timeout=PATIENCE)
    assert json.dumps(sessions(tmp_path)["s1"]["state"]) == '"completed"'
