"""Short-lived processes beside a sidecar: what they leave is finished by it, and folders do not pile up."""

import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from otel_ext.cli.folder import engines, sessions
from otel_ext.sessions import State
from tests.support import ROOT, ServerProcess, child, objects, run, server, until

AT_ONCE = 6
AGENT = """
import os, signal, sys
from opentelemetry.sdk.trace import TracerProvider
from otel_ext import AgentSpanProcessor
data, name, fate = sys.argv[1:]
provider = TracerProvider()
provider.add_span_processor(AgentSpanProcessor(data=data, min_free_mib=0))
tracer = provider.get_tracer("agent")
session = {"gen_ai.conversation.id": name, "gen_ai.operation.name": "invoke_agent"}
with tracer.start_as_current_span("invoke_agent", attributes=session):
    for number in range(5):
        with tracer.start_as_current_span("execute_tool read"):
            pass
    if fate == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == "live":
        print("running", flush=True)
        sys.stdin.readline()
provider.shutdown()
"""


def agent(data: Path, name: str, fate: str) -> AbstractContextManager["subprocess.Popen[str]"]:
    """A process of its own that runs one session."""
    call = [sys.executable, "-c", AGENT, str(data), name, fate]
    return child(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)


def states(data: Path) -> dict[str, State]:
    """Sessions as they stand on the disk; nothing is recovered by looking."""
    found = [s.session for engine in engines(data, recover=False) for s in sessions(engine, data)]
    return {session.session_id: session.state for session in found}


def ended(process: ServerProcess, names: set[str]) -> bool:
    """Whether all these sessions have ended."""
    found = states(process.data)
    return all(found.get(name, State.ACTIVE) is not State.ACTIVE for name in names)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [12, pytest.param(300, marks=pytest.mark.long)])
def test_the_sidecar_finishes_what_processes_leave(tmp_path: Path, count: int) -> None:
    """Killed or not, every session ends as it should; a living process keeps its folder; few folders."""
    data = tmp_path / "data"
    fates = {f"agent-{n}": "kill" if n % 3 == 0 else "exit" for n in range(count)}
    with server(data) as process, agent(data, "living", "live") as living:
        assert living.stdout is not None
        assert living.stdout.readline() == "running\n"

        def one(name: str) -> None:
            with agent(data, name, fates[name]) as died:
                died.communicate(timeout=120)
            assert died.returncode == (-signal.SIGKILL if fates[name] == "kill" else 0)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(one, name) for name in fates]:
                done.result()
        until(lambda: ended(process, set(fates)), "the sidecar to finish what the dead left")
        found = states(data)
        assert Counter(found[name] for name in fates) == {
            State.CRASHED: len([f for f in fates.values() if f == "kill"]),
            State.COMPLETED: len([f for f in fates.values() if f == "exit"]),
        }
        assert found["living"] is State.ACTIVE
        # The sidecar's own, the living one's, and at most as many as there were agents at one time; while
        # the sidecar has a folder in hand, an agent that starts takes another one.
        assert len(list((data / "engines").iterdir())) <= 2 + AT_ONCE + 1
        living.communicate("\n", timeout=120)
        process.stop()
    assert states(data)["living"] is State.COMPLETED
    assert all(report["ok"] for report in objects(run("verify", data, "--json")))
