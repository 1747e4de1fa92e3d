"""Laws that hold for every sequence of steps."""

from collections.abc import Callable, Iterable

from hypothesis import given
from hypothesis import strategies as st

from otel_ext.signals import RULES, Finding, Settings, Signals, derived_span, finding_of
from otel_ext.step import Effect, Kind, Step
from tests.signals.builders import SECOND, TRACE, Run, digest, final, play, play_ended

OTHER_TRACE = b"another-trace-id"
LOOKING_ON = {rule.signal for rule in RULES if not rule.owns}
SMALL = Settings(lanes=3, keys=3, pending=3, evidence=4, owned=6, spans_per_trace=24, ttl=40 * SECOND)

spans = st.integers(1, 40).map(lambda number: number.to_bytes(8, "big"))
digests = st.none() | st.integers(0, 2).map(digest)


@st.composite
def any_step(draw: st.DrawFn) -> Step:
    """Any step at all: circles, repeats, unknown times and missing parents included."""
    start = draw(st.integers(0, 90)) * SECOND
    error = draw(st.booleans())
    return Step(
        kind=draw(st.sampled_from([Kind.TOOL] * 5 + [Kind.LLM] * 2 + [Kind.OTHER, Kind.AGENT])),
        trace_id=draw(st.sampled_from([TRACE, TRACE, OTHER_TRACE])),
        span_id=draw(spans),
        parent_id=draw(st.sampled_from([b"", *(number.to_bytes(8, "big") for number in range(1, 8))])),
        start=start,
        end=draw(st.sampled_from([0, start, start + SECOND])),
        name=draw(st.sampled_from(["read", "write"])),
        call_id=draw(st.sampled_from(["", "c1", "c2"])),
        arguments_hash=draw(digests),
        relaxed_hash=draw(digests),
        result_hash=draw(digests),
        result_relaxed=draw(digests),
        error=error,
        error_hash=draw(digests) if error else None,
        transient=error and draw(st.booleans()),
        waiting=draw(st.booleans()),
        effect=draw(st.sampled_from(list(Effect))),
        response_id=draw(st.sampled_from(["", "r1"])),
        issued=draw(st.sampled_from([(), ("c1",), ("c1", "c2")])),
        input_tokens=draw(st.sampled_from([None, 0, 100])),
        user_turns=draw(st.sampled_from([None, 0, 1])),
    )


@st.composite
def likely_step(draw: st.DrawFn, serial: int) -> Step:
    """A step of one busy lane, so that episodes open, grow and close."""
    fails = draw(st.sampled_from([False, False, True]))
    kind = Kind.LLM if serial % 2 else Kind.TOOL
    return Step(
        kind=kind,
        trace_id=TRACE,
        span_id=(1000 + serial).to_bytes(8, "big"),
        parent_id=draw(st.sampled_from([b"lane---1", b"lane---2"])) if serial > 20 else b"lane---1",
        start=serial * SECOND,
        end=serial * SECOND + SECOND // 2,
        name="tool",
        arguments_hash=draw(st.sampled_from([digest("a"), digest("a"), digest("b")])),
        result_hash=None if fails else draw(st.sampled_from([digest("r")] * 5 + [digest("s")])),
        error=fails,
        error_hash=digest("e") if fails else None,
        effect=draw(st.sampled_from([Effect.READ] * 8 + [Effect.WRITE, Effect.POLL])),
    )


@st.composite
def sequences(draw: st.DrawFn) -> list[Step]:
    """Chaos, or a busy lane."""
    if draw(st.booleans()):
        return draw(st.lists(any_step(), max_size=60))
    return [draw(likely_step(serial)) for serial in range(draw(st.integers(20, 60)))]


def feed(signals: Signals, step: Step, now: int) -> list[Finding]:
    """One step with everything that a pipeline does around it."""
    found = signals.tick(now) + signals.open(step, now)
    if step.kind is Kind.AGENT and step.end:
        found += signals.close(step, now)
    return found


def run_all(steps: Iterable[Step], settings: Settings = SMALL) -> list[Finding]:
    """Feed a sequence, one engine second a step, and end its traces."""
    signals = Signals(settings)
    found, now = [], 0
    for now, step in enumerate(steps):
        found += feed(signals, step, now * SECOND)
    assert "otel_ext.detector.errors" not in signals.counters
    for trace_id in (TRACE, OTHER_TRACE):
        found += signals.end_trace(trace_id, "persisted", now * SECOND)
    return found


@given(sequences())
def test_the_same_steps_give_the_same_findings_and_spans(steps: list[Step]) -> None:
    """Findings, ids and derived spans are a pure function of the sequence."""
    one, two = run_all(steps), run_all(steps)
    assert one == two
    assert [derived_span(found) for found in one] == [derived_span(found) for found in two]
    for found in one:
        found.session_id = found.session_id or found.trace_id.hex()  # as whoever writes them does
        assert finding_of(derived_span(found)) == found


@given(sequences(), st.sets(st.integers(0, 59), max_size=6))
def test_a_dump_and_load_anywhere_changes_nothing(steps: list[Step], restarts: set[int]) -> None:
    """A restart after any prefix finds what the undisturbed run finds, ids and revisions included."""
    signals, saved = Signals(SMALL), dict[str, bytes]()
    found, now = [], 0
    for now, step in enumerate(steps):
        found += feed(signals, step, now * SECOND)
        if now in restarts:
            saved.update(signals.dump())
            signals = Signals(SMALL)
            signals.load(saved)
    for trace_id in (TRACE, OTHER_TRACE):
        found += signals.end_trace(trace_id, "persisted", now * SECOND)
    assert found == run_all(steps)


@given(sequences())
def test_every_finding_stands_on_evidence(steps: list[Step]) -> None:
    """Evidence is of the finding's trace, unique, bounded, owned once, and each life has one end."""
    found = run_all(steps)
    known = {(step.trace_id, step.span_id) for step in steps}
    for one in found:
        assert one.evidence
        assert len(one.evidence) <= SMALL.evidence
        assert len(set(one.evidence)) == len(one.evidence)
        assert {(one.trace_id, span) for span in one.evidence} <= known
        assert set(one.context) <= set(one.evidence)
        # One that costs something owns one span at least.
        assert one.revision > 1 or set(one.context) < set(one.evidence) or one.signal in LOOKING_ON
        assert one.evidence_count == len(one.evidence) + one.evidence_dropped
        assert one.explanation.endswith(".")
    for one in final(found).values():
        life = [each for each in found if each.id == one.id]
        assert [each.revision for each in life] == list(range(1, len(life) + 1))
        assert [each.status for each in life[:-1]] == ["onset", *["ongoing"] * (len(life) - 2)][
            : len(life) - 1
        ]
        assert one.status in ("recovered", "persisted", "terminated", "evicted")


@given(sequences())
def test_a_span_has_one_owner(steps: list[Step]) -> None:
    """No two findings count the cost of one span."""
    last = final(run_all(steps, Settings())).values()
    owned = [(one.trace_id, span) for one in last for span in one.evidence if span not in one.context]
    assert len(owned) == len(set(owned))


@given(st.integers(1, 40), st.integers(1, 5))
def test_the_first_occurrence_is_never_waste(count: int, each: int) -> None:
    """However long the loop and however many calls share a turn, one occurrence is free."""
    run = Run()
    for index in range(count):
        run.call("read", "a", "same")
        for other in range(each - 1):
            run.more("other", (index, other), (index, other))
    for one in final(play(run)).values():
        assert one.waste.input_tokens == (count - 1) * (1000 // each)
        assert one.waste.duration == (count - 1) * SECOND // 2


@given(sequences())
def test_state_is_bounded(steps: list[Step]) -> None:
    """No table outgrows its setting, whatever comes."""
    signals = Signals(SMALL)
    saved = dict[str, bytes]()
    for now, step in enumerate(steps):
        feed(signals, step, now * SECOND)
        saved.update(signals.dump())
        held = [name for name, data in saved.items() if data]
        assert sum(name.startswith("lane:") for name in held) <= SMALL.lanes
        # Each lane holds a fixed number of tables of `keys` tracks of `evidence` marks.
        assert max((len(saved[name]) for name in held), default=0) < 40_000


CHOICES: list[Callable[[Run], object]] = [
    lambda run: run.call("read", "a", "same"),
    lambda run: run.call("read", "b", "same"),
    lambda run: run.call("read", "a", "new"),
    lambda run: run.fail("open", "a", "denied"),
    lambda run: run.fail("open", "b", "denied"),
    lambda run: run.fail("open", "b", "absent"),
    lambda run: run.write("x"),
    lambda run: run.call("job_status", "j", "pending", effect=Effect.POLL),
    lambda run: run.fail("fetch", "u", "429", transient=True),
    lambda run: run.think(user_turns=1, user_turn=digest("again")),
]


@given(st.lists(st.sampled_from(CHOICES), max_size=40), st.booleans())
def test_children_first_find_what_parents_first_find(
    choices: list[Callable[[Run], object]], wrapped: bool
) -> None:
    """Ended spans in order of their ends tell the same as live ones in order of their starts.

    A step span of `Run` may outlast its agent; within the reorder window it is there in time, so what came
    last in a lane is known at the agent's end.
    """
    run = Run(wrapped=wrapped)
    for choice in choices:
        choice(run)

    def shown(found: list[Finding]) -> list[tuple[str, str, int, str]]:
        last = final(found).values()
        return sorted((one.signal, one.tool, one.count, one.status) for one in last)

    assert shown(play_ended(run)) == shown(play(run))


def test_each_rule_has_a_name_of_its_own() -> None:
    """Rule ids and signals are unique, so tables and counters never mix."""
    assert len({rule.id for rule in RULES}) == len({rule.signal for rule in RULES}) == len(RULES)
