"""Children: each has its own engine, the parent's open spans stay the parent's, no exit is a crash."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from otel_ext.pipeline import IN_PROCESS, Engine
from tests.sdk.agents import adopt, agent, environment, names, sessions, start, unfinished
from tests.sdk.agents import spans as stored_spans
from tests.support import PATIENCE, until

FORK = """
with root("parent"):
    with tool("before"):
        pass
    child = os.fork()
    if child == 0:
        with root("child"):
            with tool("in child"):
                pass
        END
    os.waitpid(child, 0)
    with tool("after"):
        pass
"""


@pytest.mark.parametrize("end", ["os._exit(0)", "processor.shutdown(); os._exit(0)"])
def test_a_forked_child_has_its_own_engine(tmp_path: Path, end: str) -> None:
    """Spans of both, each once, in two folders; a child that leaves by `os._exit` has not crashed."""
    agent(FORK.replace("END", end), tmp_path)
    adopt(tmp_path)
    tools = {f"execute_tool {name}": 1 for name in ("before", "in child", "after")}
    assert names(tmp_path) == {**tools, "invoke_agent": 2}
    assert unfinished(tmp_path) == []
    rows = sessions(tmp_path)
    assert rows["parent"]["state"] == "completed"
    assert rows["child"]["state"] != "crashed"  # the root of its trace is in the parent's engine
    assert len(list(tmp_path.glob("engines/*"))) == 2


def test_a_child_that_falls_out_of_its_parents_block(tmp_path: Path) -> None:
    """The span is ended in both processes; the parent's word counts, and it is stored once."""
    script = """
    with root("parent"):
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            with tool("after"):
                pass
        else:
            with tool("in child"):
                pass
    """
    agent(script, tmp_path)
    adopt(tmp_path)
    assert names(tmp_path) == {"invoke_agent": 1, "execute_tool after": 1, "execute_tool in child": 1}
    assert sessions(tmp_path)["parent"]["state"] == "completed"


def test_the_parents_folder_is_free_while_a_child_lives(tmp_path: Path) -> None:
    """A child holds none of the parent's locks, also one that never made a span."""
    script = """
    with root("parent"):
        for number in range(2):
            if os.fork() == 0:
                if number:
                    with root("child"):
                        pass
                say(os.getpid())
                signal.pause()
        signal.pause()
    """
    with start(script, tmp_path) as process:
        assert process.stdout is not None
        children = [int(process.stdout.readline()) for _ in range(2)]
        try:
            process.kill()
            process.wait(PATIENCE)
            # DataFolderInUse if a child held the lock.
            engine = Engine(tmp_path, IN_PROCESS, owner="process-1")
            engine.start()
            assert engine.close(over=True)
            assert sessions(tmp_path)["parent"]["state"] == "crashed"
            for child in children:
                os.kill(child, 0)
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
    until(lambda: not any(alive(child) for child in children), "the children's end")
    adopt(tmp_path)
    assert sessions(tmp_path)["child"]["state"] != "crashed"


POOL = """
import multiprocessing, sys, os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from otel_ext import AgentSpanProcessor

def setup():
    provider = TracerProvider()
    provider.add_span_processor(AgentSpanProcessor())
    trace.set_tracer_provider(provider)

def work(name, fails=False):
    if type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider":
        setup()
    tracer = trace.get_tracer("child")
    with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.conversation.id": name}):
        for _ in range(50):
            with tracer.start_as_current_span("step"):
                pass
        if fails:
            raise RuntimeError("sandbox lost")

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    if sys.argv[2] == "before":
        setup()
        with trace.get_tracer("parent").start_as_current_span("parent"):
            pass
    children = [context.Process(target=work, args=(f"child-{n}", n == 2)) for n in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print([child.exitcode for child in children])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("provider", ["before", "inside"])
def test_multiprocessing_children_lose_nothing(tmp_path: Path, method: str, provider: str) -> None:
    """They leave by `os._exit`: their spans are stored and their sessions ended all the same, at once."""
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    data = tmp_path / "data"
    out = run_file(script, data, method, provider)
    assert out == "[0, 0, 1]\n"
    found = names(data)  # nothing was adopted: the children ended their sessions themselves
    assert (found["step"], found["invoke_agent"]) == (150, 3)
    rows = sessions(data)
    assert [rows[f"child-{n}"]["state"] for n in range(3)] == ["completed", "completed", "crashed"]
    assert rows["child-2"]["reason"].startswith("RuntimeError: sandbox lost")
    assert unfinished(data) == []


PREFORK = """
import os, signal, sys
workers = []
with root("master"):
    pass
for number in range(3):
    pid = os.fork()
    if pid == 0:
        served = 0
        for line in iter(lambda: os.read(0, 2), b""):
            with root(f"request-{os.getpid()}-{served}"):
                with tool():
                    pass
            served += 1
            say(os.getpid())
        os._exit(0)
    workers.append(pid)
say(" ".join(map(str, workers)))
signal.pause()
"""


def test_a_pre_fork_server(tmp_path: Path) -> None:
    """As gunicorn: workers live long, serve in parallel; one is killed, the master is killed first."""
    with start(PREFORK, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        served = []
        for _ in range(30):
            process.stdin.write("x\n")
            process.stdin.flush()
            served.append(int(process.stdout.readline()))
        assert len(set(served)) <= 3
        process.kill()
        process.wait(PATIENCE)
        os.kill(served[0], signal.SIGKILL)
    # The pipes are closed: the workers' input ends.
    until(lambda: not any(alive(worker) for worker in workers), "the workers' end")
    adopt(tmp_path)
    rows = sessions(tmp_path)
    assert len(rows) == 31
    assert {row["state"] for row in rows.values()} == {"completed"}
    assert names(tmp_path) == {"invoke_agent": 31, "execute_tool read": 30}
    assert len(list(tmp_path.glob("engines/*"))) <= 4


def alive(pid: int) -> bool:
    """Whether anything is left of a process; a zombie's other threads may still hold its locks."""
    tasks = Path(f"/proc/{pid}/task")
    try:
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()]
    except OSError:
        return tasks.exists()
    return len(states) > 1 or states not in ([], ["Z"])


def test_forking_while_threads_record(tmp_path: Path) -> None:
    """No child inherits a lock that is held for ever: fifty forks beside four busy threads."""
    script = """
    stop = threading.Event()
    def work(name):
        with root(name):
            while not stop.is_set():
                with tool():
                    pass
    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    ends = []
    for number in range(50):
        child = os.fork()
        if child == 0:
            with root(f"child-{number}"):
                pass
            os._exit(0 if provider.force_flush() else 1)  # a slow disk would let it leave with spans queued
        ends.append(os.waitpid(child, 0)[1])
    stop.set()
    for thread in threads:
        thread.join()
    assert ends == [0] * 50, ends
    """
    agent(script, tmp_path)
    adopt(tmp_path)
    rows = sessions(tmp_path)
    assert {row["state"] for row in rows.values()} == {"completed"}
    assert len(rows) == 54


def test_a_fork_waits_until_the_database_rests(tmp_path: Path) -> None:
    """Its locks must not be held when a child is made; the child has a database of its own at once."""
    script = """
    from otel_ext.sessions.forkgate import GATE
    with root("parent"):
        provider.force_flush()
        inside, leave = threading.Event(), threading.Event()
        def work():
            with GATE:
                with GATE:  # again, as a question inside a transaction
                    inside.set()
                    leave.wait()
                say("left")
        thread = threading.Thread(target=work)
        thread.start()
        inside.wait()
        threading.Timer(0.2, leave.set).start()
        if os.fork() == 0:
            say("child")
            with root("child"):
                pass
            os._exit(0 if provider.force_flush() and not GATE.doubtful else 1)
        assert os.wait()[1] == 0
        thread.join()
    """
    out, _ = agent(script, tmp_path)
    assert out.split() == ["left", "child"]
    adopt(tmp_path)
    assert set(sessions(tmp_path)) == {"parent", "child"}


def test_a_fork_that_cannot_wait_any_longer(tmp_path: Path) -> None:
    """The child says that its spans are not kept, instead of hanging in the database."""
    script = """
    from otel_ext.sdk import registry
    from otel_ext.sessions.forkgate import GATE
    registry._REST = 0.05
    with root("parent"):
        provider.force_flush()
        with GATE:  # as good as another thread's: it is inside when the process is forked
            child = os.fork()
            if child == 0:
                with root("child"):
                    pass
                os._exit(1 if provider.force_flush(200) else 0)
        assert os.waitpid(child, 0)[1] == 0
    """
    _, err = agent(script, tmp_path)
    assert "forked while the engine's database was at work" in err
    assert "`spawn`" in err
    adopt(tmp_path)
    assert set(sessions(tmp_path)) == {"parent"}


def run_file(script: Path, data: Path, *arguments: str) -> str:
    """Run a script file, as `spawn` needs one; its stdout."""
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        check=True,
        text=True,
        env=environment(data),
        timeout=PATIENCE * 2,
    )
    return done.stdout


@pytest.mark.parametrize("end", ["processor.shutdown(); os._exit(0)", "sys.exit()"])
def test_spans_under_an_inherited_root_are_roots_of_the_childs_engine(tmp_path: Path, end: str) -> None:
    """Their parent is in another process, as a remote one is: when they end, nothing was interrupted."""
    script = f"""
    with root("s1"):
        child = os.fork()
        if child == 0:
            with tool("in child"):
                pass
            {end}
        os.waitpid(child, 0)
    """
    agent(script, tmp_path)
    adopt(tmp_path)
    (stored,) = (span for span in stored_spans(tmp_path) if span["name"] == "execute_tool in child")
    assert stored["flags"] & 0x300 == 0x300
    assert {each["state"] for each in sessions(tmp_path).values()} == {"completed"}
