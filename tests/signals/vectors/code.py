"""Agents that act by code, without spans of calls; and rows of failures of any agent."""

from otel_ext.testing import AgentRun
from tests.signals.vectors import Vector

FOUND_NOTHING = 'print("Files found:", [path for path in tree if path.endswith("json.py")])'


def ran(run: AgentRun, code: str, output: str) -> None:
    """An answer whose code ran, and what it printed."""
    run.think(f"Thought: let me see.\n\nCode:\n```py\n{code}\n```<end_code>")
    run.user(f"Observation:\nExecution logs:\n{output}\nLast output from code snippet:\nNone")


def broke(run: AgentRun, code: str, error: str) -> None:
    """An answer whose code failed."""
    run.think(f"Code:\n```python\n{code}\n```")
    run.user(f"exitcode: 1 (execution failed)\nCode output: {error}")


def begin(run: AgentRun) -> None:
    """The task, which a model's input tells."""
    run.user("fix the parser")


def one_failure_after_another(run: AgentRun) -> None:
    """Each attempt fails in another way."""
    begin(run)
    broke(run, 'load("https://host/a")', "UnicodeError: no BOM")
    broke(run, 'load("a", commit="b")', "TypeError: unexpected keyword argument")
    broke(run, "import inspect", "InterpreterError: import of inspect is not allowed")
    broke(run, 'load("b")', "ValueError: cannot be found")
    broke(run, 'load("https://host/b")', "RuntimeError: no")
    run.think("I give up")


def tools_fail_in_a_row(run: AgentRun) -> None:
    """Four calls with spans of their own, four different failures."""
    for index, error in enumerate(("not a directory", "bad option", "no match", "unexpected end")):
        run.fail("bash", {"command": f"try {index}"}, f"exit {index}: {error}")


def the_same_code_fails(run: AgentRun) -> None:
    """The very same code with the very same failure."""
    begin(run)
    for _ in range(3):
        broke(run, "np.sqrt(2)", "NameError: np is not defined")
    run.think("hm")


def the_same_code_prints_the_same(run: AgentRun) -> None:
    """The very same code with the very same output."""
    begin(run)
    for _ in range(5):
        ran(run, "print(open('a').read())", "alpha beta gamma")
    run.think("hm")


def searches_in_vain(run: AgentRun) -> None:
    """Three searches that print their own labels, other code between."""
    begin(run)
    ran(run, FOUND_NOTHING, "Files found: []")
    ran(run, "print(len(tree))", "8968")
    ran(run, 'print("Parsers:", [p for p in tree if "parser" in p])', "Parsers: []")
    ran(run, 'if not hits:\n    print("Could not find parser")', "Could not find parser")
    run.think("hm")


def prints_its_requests(run: AgentRun) -> None:
    """The agent prints what it wants to ask another agent, and waits for an answer."""
    begin(run)
    for index in range(5):
        words = " ".join(f"word{index}{part}" for part in range(45))
        ran(run, f'task = "{words}"\nprint(task)', words)
    run.think("hm")


def a_success_between(run: AgentRun) -> None:
    """Failures with a success between are work."""
    begin(run)
    for index in range(3):
        broke(run, f"first({index})", f"TypeError: kind {index}")
        broke(run, f"second({index})", f"ValueError: kind {index}")
        ran(run, f"third({index})", f"fine {index}")
    run.think("done")


def waits_it_out(run: AgentRun) -> None:
    """Failures that waiting mends, of different kinds."""
    for error in ("429 too many requests", "503 service unavailable", "connection reset", "timed out"):
        run.fail("fetch", {"url": "u"}, error)
        run.wait(30)


def finds_something_new(run: AgentRun) -> None:
    """Short outputs with one word each that the code did not hold."""
    begin(run)
    for index in range(6):
        ran(run, f"print(size({index}))", f"{1000 + index}")
    run.think("done")


def two_searches_in_vain(run: AgentRun) -> None:
    """Two of eight find nothing."""
    begin(run)
    ran(run, FOUND_NOTHING, "Files found: []")
    ran(run, 'print("Sources:", [])', "Sources: []")
    for index in range(5):
        ran(run, f"show({index})", f"content number {index} of the file")
    run.think("done")


def shows_code_to_a_person(run: AgentRun) -> None:
    """A person who is shown code and answers reports no failure of a call."""
    begin(run)
    for _ in range(6):
        run.think("Try this:\n```py\nmain()\n```")
        run.user("Error: it still fails")
    run.think("hm")


def code_with_spans_of_calls(run: AgentRun) -> None:
    """Where calls have spans, the code that made them is not a call once more."""
    begin(run)
    for index in range(6):
        run.think("Code:\n```py\nfetch(1)\n```")
        run.more("fetch", {"id": 1}, f"page {index}")
        run.user("Observation:\nExecution logs:\nsame\nLast output from code snippet:\nNone")
    run.think("done")


MUST = [
    Vector(one_failure_after_another, "loop.error_streak", "warning"),
    Vector(tools_fail_in_a_row, "loop.error_streak", "warning"),
    Vector(the_same_code_fails, "loop.error_repeat", "warning"),
    Vector(the_same_code_prints_the_same, "loop.exact_repeat", "warning"),
    Vector(searches_in_vain, "loop.nothing_new", "warning"),
    Vector(prints_its_requests, "loop.nothing_new|loop.near_duplicate", "warning"),
]

MUST_NOT = [
    Vector(a_success_between, "loop.error_streak"),
    Vector(waits_it_out, "loop.error_streak"),
    Vector(finds_something_new, "loop.nothing_new"),
    Vector(two_searches_in_vain, "loop.nothing_new"),
    Vector(shows_code_to_a_person, "loop."),
    Vector(code_with_spans_of_calls, "loop."),
]
