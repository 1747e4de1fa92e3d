"""Rounds, severities, patience and lanes, on steps made by hand, which put times and digests exactly."""

import pytest

from otel_ext.step import Effect
from tests.signals.builders import ROOT, SECOND, START, Run, digest, final, loops, play, play_ended


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
    assert [one[2] for one in loops(play(run))] == ([severity] if severity else [])


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
    assert loops(play(manager, helper)) == []
    helper.call()
    (finding,) = (one for one in final(play_ended(manager, helper)).values() if one.rule == "OTX-L001")
    assert (finding.lane, finding.agent, finding.depth) == (b"helper--", "solver", 2)
