"""What a rule counts, and what it must not: rounds, edits up to a look, writes that are news."""

from otel_ext.signals import Finding, Signals
from otel_ext.signals.rules.loop.low_novelty import LowNovelty
from otel_ext.step import Said
from otel_ext.testing import AgentRun
from tests.signals.builders import Run, digest, final, play, play_ended


def _of(found: list[Finding], signal: str) -> list[Finding]:
    return [one for one in final(found).values() if one.signal == signal]


def _edit(run: AgentRun, text: str) -> None:
    run.write({"file_path": "/a.py", "old_string": f"was {text}", "new_string": text})


def test_edits_after_a_look_are_not_blind() -> None:
    """Three blind edits, a look, three more: three are told, in one finding."""
    run = AgentRun("looks late")
    for index in range(3):
        _edit(run, f"version {index}")
    run.call("read_file", {"path": "/a.py"}, "version 2")
    for index in range(3, 6):
        _edit(run, f"version {index}")
    (finding,) = _of(run.findings(), "behavior.blind_edit")
    assert finding.count == 3


def test_acknowledged_writes_are_not_in_vain() -> None:
    """Twelve different writes, each answered "ok", are work; twelve searches with four results are not."""
    for tool, fires in (("write_file", False), ("search_docs", True)):
        run = AgentRun(tool)
        for index in range(12):
            if fires:
                run.call(tool, {"query": f"{index}"}, f"result {index // 3} of the search in the archive")
            else:
                run.write({"file_path": f"/{index}.py", "content": f"{index}"}, tool=tool)
        run.think("done")
        assert bool(_of(run.findings(), "behavior.single_tool_dependency")) is fires


def test_equal_calls_of_one_response_are_no_lack_of_novelty() -> None:
    """Ten questions, each put four times at once, are ten new things."""
    run = Run()
    for index in range(10):
        run.call("look", index, f"result {index}")
        for _ in range(3):
            run.more("look", index, f"result {index}")
    assert play(run, signals=Signals(rules=[LowNovelty])) == []


def test_a_round_in_which_a_call_worked_is_no_failure() -> None:
    """One of two calls made at once works; then two rounds fail, which is one too few."""
    run = Run()
    run.call("look", "a", "seen")
    run.more("open", "a", None, error=True, error_hash=digest("e"), error_text="e")
    run.fail("open", "b", "f")
    run.fail("open", "c", "g")
    assert _of(play(run), "loop.error_streak") == []
    run.fail("open", "d", "h")
    assert [one.count for one in _of(play(run), "loop.error_streak")] == [3]


def test_a_commit_may_use_what_was_written() -> None:
    """Written whole, committed, written whole again: nothing was for nothing."""
    for committed in (True, False):
        run = AgentRun(f"committed {committed}")
        run.write({"file_path": "a.py", "content": "one"}, tool="write_file")
        if committed:
            run.call("bash", {"command": "git commit -am one"}, "[main 1234567] one\n 1 file changed")
        run.write({"file_path": "a.py", "content": "two"}, tool="write_file")
        assert bool(_of(run.findings(), "waste.shadowed_write")) is not committed


def test_a_write_that_may_have_been_forgotten_excuses() -> None:
    """Two agents read the same, one writes in between, and much more before its lane is known."""
    one, two = Run(b"agent--1", prefix="1"), Run(b"agent--2", prefix="2")
    one.call("read", "a", "what is there")
    one.write("x")
    two.wait(50)
    two.call("read", "a", "what is there")
    one.wait(100)
    for index in range(10):
        one.write(("y", index))
    assert _of(play_ended(one, two), "waste.cross_agent_duplicate") == []


def test_a_loop_makes_equal_answers_more_likely_one() -> None:
    """Answers that are alike are a candidate until the calls after them are known to repeat."""
    said = Said(captured=True, words=30, sketch=0xFFFF0000FFFF0000)
    run = Run(model=False)
    for _ in range(6):
        run.think(said=said)
        run.more("look", "a", "same")
    (finding,) = _of(play(run), "loop.reasoning_repeat")
    assert finding.confidence == "probable"
