"""Real frameworks made to loop, to fail, to poll and to behave: over OTLP, and through our processor.

Law of this file: what a framework's spans hold is the framework's business; the evidence that is expected is
read from the spans that its own process kept, by their names alone.
"""

import itertools

import pytest

from tests.frameworks.conftest import PLACES, Courses
from tests.frameworks.model import FAILURES, LOOPS, SCRIPTS, calls_of
from tests.quality.score import is_alarm
from tests.support import findings_set

pytestmark = pytest.mark.peers
DOORS = list(PLACES)


def test_the_scripts_were_played(courses: Courses) -> None:
    """Each agent came to its end by way of every call of its script."""
    for script in SCRIPTS:
        assert courses.told[script]["ended"] == "That is all."
        calls = calls_of(script)
        assert sum(len(courses.calls(script, tool)) for tool in {call[0] for call in calls}) == len(calls)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("script", "tool", "signal", "severity", "count"),
    [
        ("loop", "find_flights", "loop.exact_repeat", "warning", LOOPS),
        ("streamed", "find_flights", "loop.exact_repeat", "warning", LOOPS),
        ("fail", "book_flight", "loop.error_repeat", "error", FAILURES),
    ],
)
def test_a_loop_is_found(
    courses: Courses, door: str, script: str, tool: str, signal: str, severity: str, count: int
) -> None:
    """One alarm, confirmed, with exactly the loop's calls as evidence, costed by the model's own usage."""
    (alarm,) = filter(is_alarm, courses.findings(door, script))
    assert (alarm["signal"], alarm["severity"], alarm["confidence"]) == (signal, severity, "confirmed")
    assert (alarm["tool"], alarm["count"]) == (tool, count)
    assert alarm["evidence"] == courses.calls(script, tool)
    # Turn n was asked for 100 + 20 n tokens; the first call of a loop is no waste.
    assert alarm["waste"]["input_tokens"] == sum(100 + 20 * turn for turn in range(1, count))
    assert alarm["waste"]["basis"] == "measured"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("script", ["poll", "behave", "at_once"])
def test_polling_and_behaving_stay_silent(courses: Courses, door: str, script: str) -> None:
    """No alarm, and nothing of loops or risks in any severity; equal calls of one turn are one round."""
    found = courses.findings(door, script)
    assert not list(filter(is_alarm, found))
    assert not [each for each in found if each["signal"].startswith(("loop.", "risk."))]


def test_both_doors_find_the_same(courses: Courses) -> None:
    """The sidecar and the processor: the same signals, lanes, evidence, counts and ends."""
    otlp, in_process = (findings_set(courses.doors[door].signals) for door in DOORS)
    assert otlp == in_process
    assert otlp


@pytest.mark.parametrize("door", DOORS)
def test_sessions_count_what_was_used(courses: Courses, door: str) -> None:
    """Calls, failures and tokens of all runs, each once, whatever the framework repeats up the tree."""
    # Results in the request of each turn, which the model's usage grows with.
    held = [
        results
        for script in SCRIPTS
        for results in itertools.accumulate(map(len, SCRIPTS[script]), initial=0)
    ]
    rows = courses.doors[door].sessions
    # A sidecar waits for silence before it calls a session over; a process that has ended says nothing more.
    assert {row["state"] for row in rows} == {"active" if door == "otlp" else "completed"}
    assert sum(row["tool_calls"] for row in rows) == sum(len(calls_of(script)) for script in SCRIPTS)
    assert sum(row["input_tokens"] for row in rows) == sum(100 + 20 * results for results in held)
    assert sum(row["output_tokens"] for row in rows) == 10 * len(held)
