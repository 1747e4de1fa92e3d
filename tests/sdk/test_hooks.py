"""Uncaught exceptions, signals and marks: which sessions crash, why, and who is called besides."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.agents import PROLOGUE, adopt, agent, names, sessions, unfinished

PRIMARY = "RuntimeError: sandbox lost"


def row(data: Path, session: str = "s1") -> tuple[str, str]:
    """State and reason of a session."""
    found: dict[str, Any] = sessions(data)[session]
    return found["state"], found["reason"]


def test_an_uncaught_exception_crashes_its_session(tmp_path: Path) -> None:
    """The root's `with` block has ended by then; the exception that it recorded names its session."""
    script = """
    with root("other"):
        pass
    with root():
        with tool():
            raise RuntimeError("sandbox lost")
    """
    _, err = agent(script, tmp_path, code=1)
    assert "RuntimeError: sandbox lost" in err
    state, reason = row(tmp_path)
    assert (state, reason.split("; ")[0]) == ("crashed", PRIMARY)
    assert row(tmp_path, "other")[0] == "completed"
    assert unfinished(tmp_path) == []


def test_a_session_with_open_spans_crashes(tmp_path: Path) -> None:
    """Spans that no `with` block ends: open in the thread that dies."""
    agent('span = hold("s1")\nraise RuntimeError("sandbox lost")', tmp_path, code=1)
    assert row(tmp_path) == ("crashed", PRIMARY)


def test_a_failure_that_was_handled_is_no_crash(tmp_path: Path) -> None:
    """The root records the exception, the program catches it and goes on to its end."""
    script = """
    try:
        with root():
            raise RuntimeError("sandbox lost")
    except RuntimeError:
        pass
    """
    agent(script, tmp_path)
    state, reason = row(tmp_path)
    assert state == "completed"
    assert "sandbox lost" in reason


def test_the_first_failure_is_the_reason_and_cleanup_stands_beside_it(tmp_path: Path) -> None:
    """An error while cleaning up must not hide what went wrong."""
    script = """
    with root():
        try:
            raise RuntimeError("sandbox lost")
        finally:
            {}["gone"]
    """
    agent(script, tmp_path, code=1)
    state, reason = row(tmp_path)
    assert state == "crashed"
    assert reason.startswith(f"{PRIMARY}; cleanup failed: KeyError: 'gone'")


def test_a_translated_error_names_both(tmp_path: Path) -> None:
    """`raise X from Y` is meant: X is the reason, Y its cause."""
    script = """
    with root():
        try:
            {}["gone"]
        except KeyError as error:
            raise RuntimeError("sandbox lost") from error
    """
    agent(script, tmp_path, code=1)
    assert row(tmp_path)[1].startswith(f"{PRIMARY} (caused by KeyError: 'gone')")


def test_a_thread_that_dies_crashes_its_own_session_only(tmp_path: Path) -> None:
    """The program and its other sessions go on."""
    script = """
    def work(name):
        with root(name):
            if name == "bad":
                raise RuntimeError("sandbox lost")
    with root("main"):
        for name in ("bad", "good"):
            thread = threading.Thread(target=work, args=(name,))
            thread.start()
            thread.join()
    """
    agent(script, tmp_path)
    assert row(tmp_path, "bad")[0] == "crashed"
    assert row(tmp_path, "bad")[1].startswith(PRIMARY)
    assert {row(tmp_path, "good")[0], row(tmp_path, "main")[0]} == {"completed"}


def test_what_other_threads_left_open_crashes_with_the_program(tmp_path: Path) -> None:
    """A daemon thread's session is ended by nobody when the main thread dies."""
    script = """
    ready = threading.Event()
    def work():
        with root("daemon"):
            ready.set()
            threading.Event().wait()
    threading.Thread(target=work, daemon=True).start()
    ready.wait()
    raise RuntimeError("sandbox lost")
    """
    agent(script, tmp_path, code=1)
    assert row(tmp_path, "daemon") == ("crashed", PRIMARY)


@pytest.mark.parametrize(
    ("end", "code"), [("sys.exit(3)", 3), ("raise KeyboardInterrupt", -signal.SIGINT), ("quit()", 0)]
)
def test_a_decision_to_stop_is_no_crash(tmp_path: Path, end: str, code: int) -> None:
    """Neither the program's own exit nor a person's Ctrl-C, whatever was open."""
    agent(f"held = hold('held')\nwith root():\n    {end}", tmp_path, code=code)
    assert row(tmp_path)[0] == "completed"
    assert row(tmp_path, "held")[0] == "interrupted"


def test_hooks_that_were_there_are_called_once(tmp_path: Path) -> None:
    """Whoever came before us and whoever came after us, in the main thread and in others."""
    before = """
import sys, threading
sys.excepthook = lambda *a: print("before", a[0].__name__, flush=True)
threading.excepthook = lambda a: print("thread before", a.exc_type.__name__, flush=True)
"""
    script = """
    ours, ours_too = sys.excepthook, threading.excepthook
    sys.excepthook = lambda *a: (print("after", flush=True), ours(*a))
    threading.excepthook = lambda a: (print("thread after", flush=True), ours_too(a))
    def work():
        with root("t"):
            raise ValueError
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with root():
        raise RuntimeError("sandbox lost")
    """
    out, _ = agent(script, tmp_path, code=1, prologue=before + PROLOGUE)
    assert out.split("\n")[:-1] == [
        "thread after",
        "thread before ValueError",
        "after",
        "before RuntimeError",
    ]
    assert {row(tmp_path)[0], row(tmp_path, "t")[0]} == {"crashed"}


def test_hooks_are_taken_away_where_they_are_on_top(tmp_path: Path) -> None:
    """After shutdown the hooks are the old ones; under somebody else's hook ours stays and passes on."""
    before = "import sys, threading\nold = (sys.excepthook, threading.excepthook)\n"
    script = """
    assert sys.excepthook is not old[0]
    processor.shutdown()
    assert (sys.excepthook, threading.excepthook) == old
    again = AgentSpanProcessor()
    ours = sys.excepthook
    theirs = lambda *a: ours(*a)
    sys.excepthook = theirs
    again.shutdown()
    assert sys.excepthook is theirs
    third = AgentSpanProcessor()
    third.shutdown()
    raise RuntimeError("once")
    """
    _, err = agent(script, tmp_path, code=1, prologue=before + PROLOGUE)
    assert err.count("RuntimeError: once") == 1


def test_hooks_can_be_declined(tmp_path: Path) -> None:
    """OTEL_EXT_CRASH_HOOKS=false leaves the program's hooks alone."""
    script = """
    assert sys.excepthook is sys.__excepthook__
    with root():
        raise RuntimeError("sandbox lost")
    """
    agent(script, tmp_path, code=1, OTEL_EXT_CRASH_HOOKS="false")
    assert row(tmp_path)[0] == "completed"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_fatal_signal_marks_and_kills_as_it_would(tmp_path: Path, name: str) -> None:
    """Opt-in: the exit status is the signal's, the reason names it."""
    if signal.getsignal(signal.Signals[name]) is signal.SIG_IGN:
        pytest.skip("ignored here, as under nohup, and so by all that is started")
    script = (
        f"with root():\n    with tool():\n        pass\n    os.kill(os.getpid(), signal.{name})\n    input()"
    )
    agent(script, tmp_path, code=-signal.Signals[name], OTEL_EXT_CRASH_SIGNALS="SIGTERM,SIGHUP")
    adopt(tmp_path)
    state, reason = row(tmp_path)
    assert state == "crashed"
    assert reason.startswith(f"killed by {name}")
    assert names(tmp_path) == {"execute_tool read": 1, "invoke_agent": 1}


def test_a_handler_of_the_program_decides(tmp_path: Path) -> None:
    """It is called; a program that leaves politely on SIGTERM has not crashed."""
    before = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *a: (print('mine', flush=True), sys.exit(5)))
"""
    script = "with root():\n    os.kill(os.getpid(), signal.SIGTERM)\n    input()"
    out, _ = agent(script, tmp_path, code=5, prologue=before + PROLOGUE, OTEL_EXT_CRASH_SIGNALS="SIGTERM")
    assert out == "mine\n"
    assert row(tmp_path)[0] == "completed"


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """As under nohup."""
    before = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    script = "with root():\n    os.kill(os.getpid(), signal.SIGHUP)\n"
    agent(script, tmp_path, prologue=before + PROLOGUE, OTEL_EXT_CRASH_SIGNALS="SIGHUP")
    assert row(tmp_path)[0] == "completed"


def test_asyncio_failures(tmp_path: Path) -> None:
    """What leaves `asyncio.run` is a crash of its session; a task that nobody awaits is not."""
    script = """
    import asyncio
    async def lost():
        with root("task"):
            raise ValueError("nobody waits")
    async def main():
        task = asyncio.create_task(lost())
        await asyncio.wait([task])
        del task
        with root():
            await asyncio.sleep(0)
            raise RuntimeError("sandbox lost")
    asyncio.run(main())
    """
    agent(script, tmp_path, code=1)
    assert row(tmp_path)[1].startswith(PRIMARY)
    state, reason = row(tmp_path, "task")
    assert state == "completed"
    assert "nobody waits" in reason


def test_a_program_may_say_so_itself(tmp_path: Path) -> None:
    """`mark_crashed` wins over the polite end, its default text is there, the first reason stays first."""
    script = """
    for name in ("a", "b", "c"):
        with root(name):
            pass
    say(mark_crashed("a"))
    say(mark_crashed("b", "first") and mark_crashed("b", "second"))
    say(mark_ended("c", "asked to"))
    """
    out, _ = agent(script, tmp_path)
    assert out == "True\nTrue\nTrue\n"
    assert row(tmp_path, "a") == ("crashed", "the process exited before the session completed")
    assert row(tmp_path, "b") == ("crashed", "first; beside it: second")
    assert row(tmp_path, "c") == ("completed", "asked to")


def test_a_thread_with_a_reused_ident_crashes_nobody_elses_session(tmp_path: Path) -> None:
    """A span that outlives the thread that began it; a later thread gets the same ident, and dies."""
    script = """
    spans, idents = [], []
    def begin():
        idents.append(threading.get_ident())
        spans.append(hold("healthy"))
    def die():
        idents.append(threading.get_ident())
        raise RuntimeError("sandbox lost")
    for work in (begin, die):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    spans[0].end()
    say(idents[0] == idents[1])
    """
    out, _ = agent(script, tmp_path)
    if out.strip() != "True":
        pytest.skip("the idents differ on this platform")
    assert row(tmp_path, "healthy")[0] == "completed"


def test_an_equal_failure_of_another_thread_is_another(tmp_path: Path) -> None:
    """Sessions that failed and were answered; a background thread dies of an equal exception."""
    script = """
    try:
        with root("served"):
            raise RuntimeError("sandbox lost")
    except RuntimeError:
        pass
    def background():
        with root("background"):
            raise RuntimeError("sandbox lost")
    thread = threading.Thread(target=background)
    thread.start()
    thread.join()
    """
    agent(script, tmp_path)
    assert row(tmp_path, "served")[0] == "completed"
    assert row(tmp_path, "background")[0] == "crashed"


def test_a_session_that_the_resource_names_crashes(tmp_path: Path) -> None:
    """No span names a session; the resource does, and the engine stores the spans under it."""
    script = """
    from opentelemetry.sdk.resources import Resource
    provider = TracerProvider(resource=Resource.create({"session.id": "of the resource"}))
    provider.add_span_processor(processor)
    with provider.get_tracer("agent").start_as_current_span("invoke_agent"):
        raise RuntimeError("sandbox lost")
    """
    agent(script, tmp_path, code=1)
    assert set(sessions(tmp_path)) == {"of the resource"}
    assert row(tmp_path, "of the resource")[0] == "crashed"
