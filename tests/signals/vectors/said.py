"""What a model says, and what it is given: chants, streaks, silence, plans and full histories."""

from otel_ext.testing import AgentRun
from tests.signals.vectors import Vector

ANSWER = (
    "I have looked at the module and at its tests, and I think that the parser drops the second "
    "semicolon because the grammar does not expect an empty statement there, so it should be allowed."
)
WAVER = "Wait, let me look again. "


def chants(run: AgentRun) -> None:
    """The answer degenerates into one sentence until the limit."""
    run.user("why does it fail?")
    run.think("Let me think about it. " + WAVER * 40, finish="length")


def says_it_again(run: AgentRun) -> None:
    """The same answer three times, blanks and letter case aside."""
    run.user("fix it")
    for text in (ANSWER, ANSWER.replace(" ", "  "), ANSWER.upper()):
        run.think(text)


def answers_nothing(run: AgentRun) -> None:
    """Two empty answers in a row."""
    run.user("go on")
    for _ in range(2):
        run.think("", usage=(1000, 0))
    run.think("done")


def argues_alike(run: AgentRun) -> None:
    """One argument, a word changed each time, between different calls."""
    run.user("fix it")
    for index in range(4):
        run.think(f"{ANSWER} Attempt {index}.")
        run.more("search", {"query": f"thing {index}"}, f"result {index}")
    run.think("done")


def argues_alike_in_a_loop(run: AgentRun) -> None:
    """The same while the same call fails: the model does not see its loop."""
    run.user("fix it")
    for index in range(4):
        run.think(f"{ANSWER} Attempt {index}.")
        run.more("open", {"path": "a"}, error="TypeError: path")


def talks_on(run: AgentRun) -> None:
    """Four answers, no call, nobody spoke."""
    run.user("fix it")
    for index in range(4):
        run.think(f"Now I will fix part {index} of it.")


def plans_again(run: AgentRun) -> None:
    """The same plan three times."""
    for _ in range(3):
        run.call("update_plan", {"plan": [{"step": "fix", "status": "pending"}]}, "ok")
        run.call("read_file", {"path": f"/{run.time}"}, f"{run.time}")


def compaction_in_vain(run: AgentRun) -> None:
    """Three times the history is made smaller, and three steps later it is full."""
    for _ in range(3):
        for size in (60_000, 100_000, 20_000, 70_000):
            run.think(usage=(size, 50))
            run.more("read_file", {"path": f"/{run.time}"}, f"{run.time}")
    run.think("done", usage=(100_000, 50))


MUST = [
    Vector(chants, "loop.text_chant", "warning"),
    Vector(says_it_again, "loop.text_streak", "warning"),
    Vector(answers_nothing, "loop.empty_response", "warning"),
    Vector(argues_alike, "loop.reasoning_repeat"),
    Vector(argues_alike_in_a_loop, "loop.reasoning_repeat", "notice"),
    Vector(talks_on, "loop.monologue"),
    Vector(plans_again, "loop.replan_stall", "notice"),
    Vector(compaction_in_vain, "loop.compaction_thrash", "error"),
]


def writes_a_table(run: AgentRun) -> None:
    """Rows, list items and code repeat by their form."""
    run.user("show me")
    run.think("Here it is:\n" + "| open | open | open |\n" * 40)
    run.think("And so:\n" + "- [ ] open the file and look\n" * 40)
    run.think("```py\n" + "print(1)\n" * 40)


def says_done(run: AgentRun) -> None:
    """A short answer is soon said again."""
    for _ in range(4):
        run.user("and this?")
        run.think("Done.")


def a_call_between(run: AgentRun) -> None:
    """The same words before each call are a manner of speaking."""
    run.user("fix it")
    for index in range(4):
        run.think(ANSWER)
        run.more("search", {"query": f"thing {index}"}, f"result {index}")
    run.think("done")


def asked_again(run: AgentRun) -> None:
    """A person asks the same three times and gets the same answer."""
    for index in range(3):
        run.user(f"why does it fail? ({index})")
        run.think(ANSWER)


def calls_alone(run: AgentRun) -> None:
    """Answers without text that ask for calls."""
    run.user("fix it")
    for index in range(4):
        run.think("", usage=(1000, 30))
        run.more("search", {"query": f"thing {index}"}, f"result {index}")
    run.think("done")


def texts_not_captured(run: AgentRun) -> None:
    """Nothing is known of what the model said."""
    run.user("fix it")
    for _ in range(6):
        run.think(None)


def attempt_replayed(run: AgentRun) -> None:
    """One response told three times by a retrying client."""
    run.user("fix it")
    for _ in range(3):
        run.think(ANSWER, response="one")


def plan_goes_on(run: AgentRun) -> None:
    """Only the states of the plan change: that is progress."""
    for done in range(4):
        steps = [{"step": str(n), "status": "done" if n < done else "pending"} for n in range(4)]
        run.call("update_plan", {"plan": steps}, "ok")


def questions_aside(run: AgentRun) -> None:
    """A small input between two large ones, over and over."""
    for size in (100_000, 2_000, 102_000, 2_000, 104_000, 2_000, 106_000, 2_000, 108_000):
        run.think("fine, and on", usage=(size, 50))
        run.more("read_file", {"path": f"/{run.time}"}, f"{run.time}")
    run.think("done")


def compacted_once(run: AgentRun) -> None:
    """A compaction that lasts."""
    for size in (60_000, 100_000, 20_000, 30_000, 40_000, 50_000, 60_000, 95_000):
        run.think(usage=(size, 50))
        run.more("read_file", {"path": f"/{run.time}"}, f"{run.time}")
    run.think("done")


MUST_NOT = [
    Vector(writes_a_table, "loop."),
    Vector(says_done, "loop."),
    Vector(a_call_between, "loop.text_streak"),
    Vector(a_call_between, "loop.monologue"),
    Vector(asked_again, "loop.text_streak"),
    Vector(calls_alone, "loop."),
    Vector(texts_not_captured, "loop."),
    Vector(attempt_replayed, "loop."),
    Vector(plan_goes_on, "loop."),
    Vector(questions_aside, "loop.compaction_thrash"),
    Vector(compacted_once, "loop.compaction_thrash"),
]
