"""Several agents: taking turns, and handing down."""

from otel_ext.testing import AgentRun
from tests.signals.vectors import Vector


def turn(run: AgentRun, name: str, task: str | None) -> None:
    """One agent's run."""
    with run.agent(name, task=task) as one:
        one.think("let me see")
        one.call("look", {"at": f"{name} {one.time}"}, f"seen {one.time}")
    run.wait(1)


def back_and_forth(run: AgentRun) -> None:
    """Writer and reviewer pass the same to each other, three times each."""
    for _ in range(3):
        turn(run, "writer", "make it shorter")
        turn(run, "reviewer", "is it short enough?")


def back_and_forth_unknown(run: AgentRun) -> None:
    """The same, of which tasks and answers are not known."""
    for _ in range(3):
        turn(run, "writer", None)
        turn(run, "reviewer", None)


def transfers(run: AgentRun) -> None:
    """Hand-overs as calls, equal each time."""
    for _ in range(4):
        run.call("transfer_to_billing", {"why": "refund"}, "ok")
        run.call("transfer_to_support", {"why": "login"}, "ok")


def hands_down_to_itself(run: AgentRun) -> None:
    """An agent calls itself with its own task, three deep."""
    with run.agent("solver", task="solve it") as first:
        first.think("I will ask someone")
        with first.agent("solver", task="solve it") as second:
            second.think("I will ask someone")
            with second.agent("solver", task="solve it") as third:
                third.think("no")


MUST = [
    Vector(back_and_forth, "loop.handoff_ping_pong", "warning"),
    Vector(back_and_forth_unknown, "loop.handoff_ping_pong"),
    Vector(transfers, "loop.handoff_ping_pong", "warning"),
    Vector(hands_down_to_itself, "loop.delegation_recursion", "error"),
]


def plan_and_execute(run: AgentRun) -> None:
    """Planner and executor take turns, with another task each time."""
    for index in range(4):
        turn(run, "planner", f"what comes after step {index}?")
        turn(run, "executor", f"do step {index + 1}")


def supervisor(run: AgentRun) -> None:
    """A supervisor asks one worker after the other."""
    for index in range(4):
        turn(run, "worker", f"part {index}")
        turn(run, "checker", f"part {index}")
        turn(run, "writer", f"part {index}")


def one_span_around_the_other(run: AgentRun) -> None:
    """Two instrumentations tell one run: the outer span has done nothing itself."""
    with run.agent("solver", task="solve it") as outer, outer.agent("solver", task="solve it") as inner:
        inner.think("done")


def the_same_task_twice(run: AgentRun) -> None:
    """Two runs next to each other, and smaller tasks below."""
    for _ in range(2):
        with run.agent("solver", task="solve it") as one:
            one.think("in parts")
            with one.agent("solver", task="solve the first part") as part:
                part.think("done")


MUST_NOT = [
    Vector(plan_and_execute, "loop."),
    Vector(supervisor, "loop."),
    Vector(one_span_around_the_other, "loop."),
    Vector(the_same_task_twice, "loop.delegation_recursion"),
]
