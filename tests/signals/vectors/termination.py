"""How an agent's work ends."""

from otel_ext.testing import AgentRun
from tests.signals.vectors import Vector


def ends_on_a_failing_test(run: AgentRun) -> None:
    """The tests fail, and the agent says that it is done."""
    run.write({"file_path": "/a.py", "content": "x"})
    run.fail("bash", {"command": "pytest -q"}, "1 failed, 3 passed: assert 1 == 2")
    run.think("done")


def nobody_answers(run: AgentRun) -> None:
    """The last call fails, and the run is over."""
    run.call("look", {"at": "a"}, "seen")
    run.fail("send", {"to": "b"}, "connection closed by peer")


def recursion_limit(run: AgentRun) -> None:
    """The framework's own bound ends the agent."""
    run.call("look", {"at": "a"}, "seen")
    run.error = "GraphRecursionError: Recursion limit of 25 reached without hitting a stop condition"


def answer_cut_off(run: AgentRun) -> None:
    """The last answer stops in the middle."""
    run.call("look", {"at": "a"}, "seen")
    run.think("The answer is that", finish="length")


def errors_told_as_results(run: AgentRun) -> None:
    """The tool returns its failure, and the span says nothing of it."""
    for index in range(3):
        run.call("lookup", {"id": index}, f"Error: user {index} is unknown here")
    run.think("done")


MUST = [
    Vector(ends_on_a_failing_test, "termination.premature"),
    Vector(nobody_answers, "termination.dead_end"),
    Vector(recursion_limit, "termination.limit_hit", "warning"),
    Vector(answer_cut_off, "termination.limit_hit"),
    Vector(errors_told_as_results, "termination.silent_tool_error", "warning"),
]


def ends_on_a_passing_test(run: AgentRun) -> None:
    """The tests fail, are mended and pass."""
    run.fail("bash", {"command": "pytest -q"}, "1 failed")
    run.write({"file_path": "/a.py", "content": "x"})
    run.call("bash", {"command": "pytest -q"}, "4 passed")
    run.think("done")


def failure_is_answered(run: AgentRun) -> None:
    """A failed call, and the model says what that means."""
    run.fail("send", {"to": "b"}, "no such user")
    run.think("I could not send it: there is no such user.")


def goes_on_after_a_cut(run: AgentRun) -> None:
    """An answer is cut off and continued; a page speaks of a step limit."""
    run.think("The answer is", finish="length")
    run.call("read_page", {"url": "u"}, "The step limit was reached by the runner.")
    run.think("The answer is 7.")


def works_on_after_a_cut(run: AgentRun) -> None:
    """The last answer was cut off, and the call in it was made all the same."""
    run.think("I will now write the file", finish="length")
    run.more("write_file", {"path": "/a.py", "content": "x"}, "written")


def failures_that_are_marked(run: AgentRun) -> None:
    """A failed span is not silent; a log that mentions errors is no failure."""
    run.fail("lookup", {"id": 1}, "Error: unknown")
    run.call("read_log", {"name": "x"}, "12:00 Error: it failed\n12:01 recovered")
    run.think("done")


MUST_NOT = [
    Vector(ends_on_a_passing_test, "termination."),
    Vector(failure_is_answered, "termination."),
    Vector(goes_on_after_a_cut, "termination.limit_hit"),
    Vector(works_on_after_a_cut, "termination.limit_hit"),
    Vector(failures_that_are_marked, "termination.silent_tool_error"),
]
