"""Acceptance vectors: what must fire and what must not."""

from collections.abc import Callable

import pytest

from otel_ext.signals import Finding
from otel_ext.step import Effect
from tests.signals.builders import ROOT, SECOND, START, Run, alarms, digest, final, loops, play, play_ended

HOUR = 3600


def page_down_type_error(run: Run) -> None:
    """The clearest loop there is: empty arguments, identical error."""
    for _ in range(3):
        run.fail("page_down", {"": ""}, "TypeError")


def empty_arguments(run: Run) -> None:
    """An empty object that was captured is a normal value."""
    for _ in range(3):
        run.fail("page_down", {}, "TypeError")


def mutated_arguments(run: Run) -> None:
    """The arguments change, the error does not."""
    for arguments in ('{"": ""}', '{"": {}}', '{"arguments": {}}'):
        run.fail("page_down", arguments, "TypeError")


def mutated_after_a_repeat(run: Run) -> None:
    """A repeat and a variant: the variants count all three."""
    for arguments in ('{"": ""}', '{"": ""}', '{"arguments": {}}'):
        run.fail("page_down", arguments, "TypeError")


def same_error_across_tools(run: Run) -> None:
    """Five of the last six failures are alike, over two tools."""
    for index in range(5):
        run.fail(f"tool{index % 3}", index, "no such session")


def varied_thought(run: Run) -> None:
    """A free-text label differs, all else is equal."""
    for index in range(5):
        run.call("search", ("q", index), "hits", relaxed_hash=digest("search", "q"))


def key_order(run: Run) -> None:
    """Arguments that hash alike are alike, however they were spelled."""
    for _ in range(5):
        run.call("search", "canonical", "hits")


def interleaved_reads(run: Run) -> None:
    """The same read with other reads between."""
    for index in range(5):
        run.call("read", "a", "same")
        run.call("read", f"other {index}", f"content {index}")


def abab_with_gaps(run: Run) -> None:
    """A B A B, an hour apart."""
    for _ in range(5):
        run.call("read", "a", "ra")
        run.wait(HOUR)
        run.call("read", "b", "rb")
        run.wait(HOUR)


def strict_alternation(run: Run) -> None:
    """Two calls in turn over ten rounds."""
    for _ in range(5):
        run.call("read", "a", "ra")
        run.call("list", "b", "rb")


def cycle_of_three(run: Run) -> None:
    """A, B, C three times, five with the same results."""
    for _ in range(5):
        for name in "abc":
            run.call("read", name, name)


def same_file_written_nine_times(run: Run) -> None:
    """A repeated write does not reset its own key."""
    for _ in range(9):
        run.write("file v1", "written", tool="Write")


def unknown_effect(run: Run) -> None:
    """A tool of unknown effect between does not excuse an equal result."""
    for index in range(5):
        run.call("read", "a", "same")
        run.call("mystery", index, index, effect=Effect.UNKNOWN)


def one_write_repeated_between(run: Run) -> None:
    """The very same write over and over does not hide the loop that it is part of."""
    for _ in range(5):
        run.call("read", "a", "same")
        run.write("v1", "ok")


def poll_thirty(run: Run) -> None:
    """A poll whose answer never changes."""
    for _ in range(30):
        run.call("get_status", "job", "pending", effect=Effect.POLL)


def transient_six(run: Run) -> None:
    """Six attempts are enough even for a failure that waiting mends."""
    for _ in range(6):
        run.fail("fetch", "u", "429", transient=True)


MUST: list[tuple[Callable[[Run], None], str]] = [
    (page_down_type_error, "loop.error_repeat"),
    (empty_arguments, "loop.error_repeat"),
    (mutated_arguments, "loop.error_variants"),
    (mutated_after_a_repeat, "loop.error_variants"),
    (same_error_across_tools, "loop.error_variants"),
    (varied_thought, "loop.exact_repeat"),
    (key_order, "loop.exact_repeat"),
    (interleaved_reads, "loop.exact_repeat"),
    (abab_with_gaps, "loop.exact_repeat"),
    (strict_alternation, "loop.exact_repeat"),
    (cycle_of_three, "loop.exact_repeat"),
    (same_file_written_nine_times, "loop.exact_repeat"),
    (unknown_effect, "loop.exact_repeat"),
    (one_write_repeated_between, "loop.exact_repeat"),
    (poll_thirty, "loop.poll_stalled"),
    (transient_six, "loop.error_repeat"),
]


def pagination(run: Run) -> None:
    """page_down without arguments, a new page each time."""
    for page in range(5):
        run.call("page_down", {}, f"page {page}")


def poll_to_done(run: Run) -> None:
    """A poll that moves."""
    for state in ("pending", "running", "done"):
        run.call("job_status", "job", state, effect=Effect.POLL)


def poll_nine(run: Run) -> None:
    """Nine unchanged polls are patience."""
    for _ in range(9):
        run.call("job_status", "job", "pending", effect=Effect.POLL)


def waiting_nine(run: Run) -> None:
    """The same for a tool whose result says that it still waits."""
    for _ in range(9):
        run.call("run", "job", "still running", waiting=True)


def backoff(run: Run) -> None:
    """429, 429, 200 with backoff."""
    run.fail("fetch", "u", "429", transient=True)
    run.wait(2)
    run.fail("fetch", "u", "429", transient=True)
    run.wait(4)
    run.call("fetch", "u", "body")


def rebuilds(run: Run) -> None:
    """A build that fails differently after each edit."""
    for index in range(5):
        run.fail("build", "all", f"error {index}")
        run.write(f"fix {index}")
    run.call("build", "all", "ok")


def read_edit_read(run: Run) -> None:
    """Reading again after an edit, over and over."""
    for index in range(6):
        run.call("read", "file", "same")
        run.write(f"elsewhere {index}")


def fan_out(run: Run) -> None:
    """Eight identical calls of one response."""
    run.think()
    for _ in range(8):
        run.more("sample", "a", "same")


def fan_out_of_failures(run: Run) -> None:
    """Eight identical failing calls of one response."""
    run.call("sample", "a", None, error=True, error_hash=digest("e"))
    for _ in range(7):
        run.more("sample", "a", None, error=True, error_hash=digest("e"))


def batch_search(run: Run) -> None:
    """The same search over twenty files."""
    for index in range(20):
        run.call("grep", ("needle", index), "no match")


def different_tests_fail(run: Run) -> None:
    """test_0 and test_1 fail, each in its own way."""
    for index in range(2):
        run.fail("run_test", f"test_{index}", f"assertion in test_{index}")


def two_user_turns(run: Run) -> None:
    """A user asks the same thing again, told as what is new since the step before."""
    for _ in range(4):
        run.think(user_turns=1, user_turn=digest("same question"))
        run.more("search", "q", "hits")
        run.think(user_turns=0)


def two_user_turns_whole_history(run: Run) -> None:
    """The same where every input holds all turns so far."""
    for turn in range(1, 5):
        run.think(user_turns=turn, user_turn=digest("same question"))
        run.more("search", "q", "hits")
        run.think(user_turns=turn, user_turn=digest("same question"))


def replayed_attempt(run: Run) -> None:
    """One model response, replayed: its calls are one round."""
    for _ in range(5):
        run.think(response_id="response-1")
        run.more("search", "q", "hits")


def arguments_not_captured(run: Run) -> None:
    """Nothing is known about the arguments."""
    for _ in range(10):
        run.call("search", None, "hits")


def arguments_of_failures_not_captured(run: Run) -> None:
    """The same for failures."""
    for _ in range(10):
        run.fail("search", None, "e")


def result_not_captured(run: Run) -> None:
    """Nothing is known about the results."""
    for _ in range(10):
        run.call("search", "a", None)


def snowflakes(run: Run) -> None:
    """Ids that differ by one are different."""
    for index in range(6):
        run.call("get", 1234567890123456789 + index, "same")


def exempt_tool(run: Run) -> None:
    """Thinking is no loop."""
    for _ in range(25):
        run.call("think", "a", "ok", effect=Effect.EXEMPT)


def error_then_success(run: Run) -> None:
    """Each failure is mended by the next attempt."""
    for index in range(3):
        run.fail("open", index, "locked by editor")
        run.call("open", index, index)


MUST_NOT: list[Callable[[Run], None]] = [
    pagination,
    poll_to_done,
    poll_nine,
    waiting_nine,
    backoff,
    rebuilds,
    read_edit_read,
    fan_out,
    fan_out_of_failures,
    batch_search,
    different_tests_fail,
    two_user_turns,
    two_user_turns_whole_history,
    replayed_attempt,
    arguments_not_captured,
    arguments_of_failures_not_captured,
    result_not_captured,
    snowflakes,
    exempt_tool,
    error_then_success,
]

PLAYERS = pytest.mark.parametrize("player", [play, play_ended])
SHAPES = pytest.mark.parametrize("wrapped", [False, True], ids=["flat", "step spans"])


@PLAYERS
@SHAPES
@pytest.mark.parametrize(("story", "signal"), MUST, ids=[story.__name__ for story, _ in MUST])
def test_must_fire(
    player: Callable[[Run], list[Finding]], wrapped: bool, story: Callable[[Run], None], signal: str
) -> None:
    """A loop is found as an alarm of the right signal, in either order of arrival and either shape."""
    run = Run(wrapped=wrapped)
    story(run)
    found = player(run)
    assert signal in {alarm.signal for alarm in alarms(found)}
    assert {finding.status for finding in final(found).values()} <= {"persisted", "recovered"}


@PLAYERS
@SHAPES
@pytest.mark.parametrize("story", MUST_NOT)
def test_must_not_fire(
    player: Callable[[Run], list[Finding]], wrapped: bool, story: Callable[[Run], None]
) -> None:
    """A healthy run has no loop finding of any severity."""
    run = Run(wrapped=wrapped)
    story(run)
    assert loops(player(run)) == []


def test_overlapping_calls_without_model_steps_are_one_round() -> None:
    """Eight identical calls at once are no loop where no model step tells their round."""
    run = Run(model=False)
    for _ in range(8):
        run.call("sample", "a", "same", lasts=60 * SECOND)
    assert loops(play(run)) == []


def test_sequential_calls_without_model_steps_are_rounds() -> None:
    """Without model steps each call that overlaps no other is a round; the finding says what was missing."""
    run = Run(model=False)
    for _ in range(5):
        run.call("read", "a", "same")
    (finding,) = final(play(run)).values()
    assert (finding.signal, finding.count, finding.missing) == ("loop.exact_repeat", 5, ["usage", "model"])


@pytest.mark.parametrize(("lasts", "found"), [(5_700_000, True), (6_900_000, False), (300_000, False)])
def test_starts_in_whole_milliseconds(lasts: int, found: bool) -> None:
    """A start that is cut off lies before the last call's end by less than a tick: these are in turn.

    What overlaps by more, or lies within one tick, may have been at once.
    """
    run = Run(model=False)
    for number in range(5):
        run.time = START + number * (5_000_000 if lasts > 1_000_000 else 0)
        run.call("read", "a", "same", lasts=lasts)
    assert bool(loops(play(run))) is found


def test_calls_issued_by_one_response_are_one_round() -> None:
    """Call ids bind late calls to the response that asked for them, other model steps notwithstanding."""
    run = Run()
    run.think(issued=("c1", "c2", "c3"))
    for call_id in ("c1", "c2", "c3"):
        run.more("sample", "a", "same", call_id=call_id)
        run.think(issued=("other",))
    assert loops(play(run)) == []


@pytest.mark.parametrize(
    ("count", "severity"), [(2, None), (3, "notice"), (5, "warning"), (10, "error"), (20, "critical")]
)
def test_severity_of_exact_repeats(count: int, severity: str | None) -> None:
    """3, 5, 10 and 20 rounds are notice, warning, error and critical."""
    run = Run()
    for _ in range(count):
        run.call()
    assert [found.severity for found in final(play(run)).values()] == ([severity] if severity else [])


def test_growing_intervals_get_twice_the_patience() -> None:
    """A poll that waits longer and longer is told at 20 instead of 10."""
    run = Run()
    for index in range(18):
        run.call("job_status", "job", "pending", effect=Effect.POLL)
        run.wait(1.25**index)
    assert loops(play(run)) == []


def test_a_poll_is_stalled_after_ten_minutes() -> None:
    """Few polls over a long time without any change are stalled as well, as a notice."""
    run = Run()
    for _ in range(4):
        run.call("job_status", "job", "pending", effect=Effect.POLL)
        run.wait(300)
    assert loops(play(run)) == [("loop.poll_stalled", 4, "notice", "persisted")]


def test_results_that_differ_only_in_times_are_a_candidate() -> None:
    """Equal but for volatile parts is counted apart, and never an alarm."""
    run = Run()
    for index in range(12):
        run.call("date", "a", index, result_relaxed=digest("normalised"))
    (finding,) = final(play(run)).values()
    assert (finding.confidence, finding.severity, finding.missing) == (
        "candidate",
        "notice",
        ["exact_result"],
    )


def test_agents_in_agents_are_lanes_of_their_own() -> None:
    """Two reads by the manager and two by its helper are no loop of anybody's."""
    manager, helper = Run(), Run(b"helper--", parent=ROOT)
    for run in (manager, helper):
        run.call()
        run.call()
    assert play(manager, helper) == []
    helper.call()
    (finding,) = final(play_ended(manager, helper)).values()
    assert (finding.lane, finding.agent, finding.depth) == (b"helper--", "solver", 2)
