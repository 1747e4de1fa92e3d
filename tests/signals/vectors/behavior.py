"""How an agent works: all of it notices, told at its end."""

from otel_ext.testing import AgentRun
from tests.signals.vectors import Vector


def edit(run: AgentRun, path: str, text: str) -> None:
    """An edit of a file."""
    run.write({"file_path": path, "old_string": f"was {text}", "new_string": text})


def never_checks(run: AgentRun) -> None:
    """Three files are changed, and no test is run."""
    for name in "abc":
        run.call("read_file", {"path": f"/{name}.py"}, f"code of {name}")
        edit(run, f"/{name}.py", f"new {name}")
    run.think("done")


def edits_blindly(run: AgentRun) -> None:
    """One file is edited three times in a row."""
    for index in range(3):
        edit(run, "/a.py", f"version {index}")
    run.call("bash", {"command": "pytest"}, "3 passed")
    run.think("done")


def one_tool_in_vain(run: AgentRun) -> None:
    """One tool for everything, most of it known already."""
    for index in range(12):
        run.call("search", {"query": f"{index}"}, f"result {index // 4}")
    run.think("done")


def says_less_and_less(run: AgentRun) -> None:
    """From 400 tokens to 50."""
    for made in (400, 420, 380, 300, 200, 100, 60, 50, 40):
        run.think(usage=(1000, made))
        run.more("look", {"at": made}, f"{made}")
    run.think("done", usage=(1000, 40))


def grows(run: AgentRun) -> None:
    """What the model is given grows tenfold."""
    for size in (2_000, 5_000, 9_000, 14_000, 20_000):
        run.think(usage=(size, 50))
        run.more("look", {"at": size}, f"{size}")
    run.think("done", usage=(20_100, 50))


def grows_from_nothing(run: AgentRun) -> None:
    """The first step reports no tokens at all."""
    for size in (0, 5_000, 9_000, 14_000, 20_000):
        run.think(usage=(size, 50))
        run.more("look", {"at": size}, f"{size}")
    run.think("done", usage=(20_100, 50))


MUST = [
    Vector(never_checks, "behavior.no_verification"),
    Vector(edits_blindly, "behavior.blind_edit"),
    Vector(one_tool_in_vain, "behavior.single_tool_dependency"),
    Vector(says_less_and_less, "behavior.output_decay"),
    Vector(grows, "behavior.input_growth"),
    Vector(grows_from_nothing, "behavior.input_growth"),
]


def reads_edits_checks(run: AgentRun) -> None:
    """Each edit follows a read, and a test follows all of them."""
    for index in range(4):
        run.call("read_file", {"path": "/a.py"}, f"version {index}")
        edit(run, "/a.py", f"version {index + 1}")
    run.call("bash", {"command": "pytest -q"}, "4 passed")
    run.think("done")


def one_tool_at_work(run: AgentRun) -> None:
    """One tool that returns something new each time."""
    for index in range(20):
        run.call("bash", {"command": f"cat part{index}.txt"}, f"part {index} of the text")
    run.think("done")


def small_and_steady(run: AgentRun) -> None:
    """Inputs and outputs of about one size."""
    for index in range(8):
        run.think(usage=(6_000 + 100 * index, 100 + index % 3))
        run.more("look", {"at": index}, f"{index}")
    run.think("done", usage=(6_900, 100))


def first_not_reported(run: AgentRun) -> None:
    """The first step reports no tokens, the others hardly more from one to the next."""
    for size in (0, 21_000, 21_400, 21_900, 22_300, 23_200):
        run.think(usage=(size, 50))
        run.more("look", {"at": size}, f"{size}")
    run.think("done", usage=(23_300, 50))


def one_large_result(run: AgentRun) -> None:
    """One result makes the input large; before and after it hardly grows."""
    for size in (5_000, 5_400, 5_900, 31_000, 31_500, 32_000):
        run.think(usage=(size, 50))
        run.more("look", {"at": size}, f"{size}")
    run.think("done", usage=(32_100, 50))


MUST_NOT = [
    Vector(first_not_reported, "behavior.input_growth"),
    Vector(one_large_result, "behavior.input_growth"),
    Vector(reads_edits_checks, "behavior."),
    Vector(one_tool_at_work, "behavior."),
    Vector(small_and_steady, "behavior."),
]
