"""Laws of the rules over calls: what each may never say, whatever an agent does."""

from collections.abc import Callable, Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from otel_ext.signals import Finding
from otel_ext.signals.calls.similar import sketch
from otel_ext.signals.lane.periods import counters, extend, period_of, symbol
from otel_ext.signals.lane.rounds import Round
from otel_ext.signals.rule import Call
from otel_ext.step import Effect, Subject
from tests.signals.builders import Run, digest, final, loops, play

OWN = {
    "loop.repeat_unverified", "loop.cycle", "loop.cycle_unverified", "loop.near_duplicate",
    "loop.same_result", "loop.low_novelty", "loop.tool_streak", "loop.edit_test_thrash", "loop.noop_edit",
    "loop.state_oscillation", "loop.state_stagnation", "loop.invalid_tool", "loop.compaction_persisted",
    "risk.duplicate_side_effect",
}  # fmt: skip

WORDS = ["red shoes size nine", "size nine red shoes", "blue hats", "one two three four five six seven"]

Choice = Callable[[Run], object]


def ask(words: str, result: str) -> Choice:
    """A question whose words and result are known."""
    subject = Subject(asks=True, words=sketch(words), result_words=sketch(result))
    return lambda run: run.call("search", words, result, subject=subject)


def write(path: str, content: str, *, partial: bool = False, unchanged: bool = False) -> Choice:
    """A write to a file."""
    subject = Subject(
        resource=digest(path), content=digest(content), partial=partial, unchanged=unchanged, adds=not path
    )
    return lambda run: run.call("Write", (path, content), "ok", effect=Effect.WRITE, subject=subject)


def check(failure: str) -> Choice:
    """A test run."""
    subject = Subject(verifies=True)
    if failure:
        return lambda run: run.fail("pytest", "all", failure, effect=Effect.UNKNOWN, subject=subject)
    return lambda run: run.call("pytest", "all", "passed", effect=Effect.UNKNOWN, subject=subject)


CHOICES: list[Choice] = [
    lambda run: run.call("read", "a", "same"),
    lambda run: run.call("read", "b", "same b"),
    lambda run: run.call("read", "c", None),
    lambda run: run.call("read", "d", None),
    lambda run: run.fail("open", "a", "denied"),
    lambda run: run.fail("frob", "a", "unknown tool", invalid=True),
    lambda run: run.fail("frob", "b", "unknown tool frob", invalid=True),
    lambda run: run.call("job_status", "j", "pending", effect=Effect.POLL),
    lambda run: run.call("click", "x", "clicked", effect=Effect.UNKNOWN, state=digest("page")),
    lambda run: run.call("click", "y", "clicked", effect=Effect.UNKNOWN, state=digest("page")),
    lambda run: run.think(user_turns=1, user_turn=digest("again")),
    lambda run: run.think(input_tokens=100_000),
    lambda run: run.think(input_tokens=10_000),
    check(""), check("1 != 2"), check("2 != 3"),
    write("f", "x"), write("f", "y"), write("g", "z"), write("f", "x", unchanged=True),
    write("f", "p", partial=True), write("", "sent"),
    *[ask(words, result) for words in WORDS for result in ("hits one two three four five six seven", "none")],
]  # fmt: skip

# A few of them over and over: what is drawn evenly hardly ever repeats.
runs = st.lists(st.sampled_from(CHOICES), min_size=1, max_size=4).flatmap(
    lambda few: st.lists(st.sampled_from(few * 6 + CHOICES), max_size=60)
)


def told(choices: Sequence[Choice]) -> list[Finding]:
    """The last revisions of what is found in a run."""
    run = Run()
    for choice in choices:
        choice(run)
    return list(final(play(run)).values())


@given(runs)
def test_what_is_found_is_counted_and_within_its_thresholds(choices: list[Choice]) -> None:
    """No finding below its own lowest threshold; what only may be is a notice; nothing owns a span twice."""
    owned: list[bytes] = []
    for one in told(choices):
        owned += [span for span in one.evidence if span not in one.context]
        if one.signal not in OWN:
            continue
        assert one.count >= 2
        assert one.evidence_count == one.count
        assert len(one.evidence) <= 16
        assert one.confidence != "candidate" or one.severity == "notice"
        assert one.thresholds or one.signal.startswith("loop.cycle")
    assert len(owned) == len(set(owned))


@given(runs)
def test_missing_results_are_never_an_alarm(choices: list[Choice]) -> None:
    """A finding that says it lacks results is a candidate, but for harm that may have been done."""
    for one in told(choices):
        if one.signal in OWN and "result" in one.missing and one.signal != "risk.duplicate_side_effect":
            assert one.confidence == "candidate"


def test_a_sequence_is_told_as_one() -> None:
    """Not as a repeat of each of its calls; a repeat that is no sequence still is one."""
    run = Run()
    for _ in range(3):
        run.call("read", "a", "same")
        run.call("read", "b", "same b")
    assert loops(play(run)) == [("loop.cycle", 6, "warning", "persisted")]
    run.call("read", "c", "new")
    run.call("read", "c", "new")
    run.call("read", "c", "new")
    assert loops(play(run)) == [
        ("loop.cycle", 6, "warning", "recovered"),
        ("loop.exact_repeat", 3, "notice", "persisted"),
    ]


@given(st.lists(st.integers(0, 2), max_size=40))
def test_outcomes_that_are_always_new_are_no_loop(calls: list[int]) -> None:
    """Whatever is called in whatever order: as long as each result is new, nothing is found."""
    run = Run()
    for serial, which in enumerate(calls):
        words = sketch(" ".join(f"w{serial}x{number}" for number in range(20)))
        subject = Subject(words=sketch(WORDS[which]), result_words=words)
        run.call("search", which, serial, subject=subject)
    assert not [one for one in final(play(run)).values() if one.signal in OWN]


@given(st.lists(st.sampled_from([check("1 != 2"), check("2 != 3"), check("")]), max_size=30))
def test_no_thrash_without_edits(checks: list[Choice]) -> None:
    """However often checks fail."""
    assert not [one for one in told(checks) if one.signal == "loop.edit_test_thrash"]


@given(st.lists(st.tuples(st.sampled_from("fg"), st.integers(0, 1000)), max_size=30, unique=True))
def test_new_contents_are_no_oscillation_and_no_idle_edit(writes: list[tuple[str, int]]) -> None:
    """Files that never return to what they were."""
    found = told([write(path, str(content)) for path, content in writes])
    assert not [one for one in found if one.signal in ("loop.state_oscillation", "loop.noop_edit")]


def longest_run(symbols: Sequence[int], period: int) -> int:
    """By brute force: how many of the newest symbols equal the one so far before, in a row."""
    count = 0
    for at in range(len(symbols) - 1, period - 1, -1):
        if symbols[at] != symbols[at - period]:
            break
        count += 1
    return count


def fed(rounds: Sequence[Sequence[int]], longest: int = 8) -> list[bytes]:
    """The ring after rounds of calls."""
    ring: list[bytes] = []
    step = Run().call()
    for number, calls in enumerate(rounds, 1):
        for each in calls:
            extend(ring, Call(step, Round(number), "tool"), symbol(b"%d" % each), longest)
    return ring


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60))
def test_the_period_is_that_of_brute_force(symbols: list[int]) -> None:
    """Of one call a round."""
    counts = counters(fed([[each] for each in symbols]))
    for period in range(1, len(counts)):
        assert counts[period] == longest_run(symbols, period)
    for repeats in (2, 3):
        expected = [p for p in range(1, 9) if longest_run(symbols, p) >= (repeats - 1) * p]
        assert period_of(counts, repeats) == min(expected, default=0)


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), min_size=1, max_size=30), st.randoms())
def test_the_order_of_parallel_calls_does_not_matter(rounds: list[list[int]], random: Random) -> None:
    """A round is the set of its calls, each as often as it was made."""
    mixed = [list(each) for each in rounds]
    for each in mixed:
        random.shuffle(each)
    assert counters(fed(rounds)) == counters(fed(mixed))
    assert fed(rounds)[2:] == fed(mixed)[2:]
