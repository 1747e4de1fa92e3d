"""Steps leave in the order in which they happened, whatever the order in which they came."""

from hypothesis import given
from hypothesis import strategies as st

from otel_ext.pipeline.reorder import CLOSE, Outline, Reorder
from otel_ext.step import Kind, Step
from tests.builders import span_id

WAIT = 10
TRACE = b"t" * 16


def step(number: int, start: int, end: int, kind: Kind = Kind.TOOL) -> Step:
    """A step of the one trace."""
    return Step(kind=kind, trace_id=TRACE, span_id=span_id(number), parent_id=b"", start=start, end=end)


steps = st.lists(
    st.builds(lambda s, d, k: (s, s + d, k), st.integers(1, 50), st.integers(0, 9), st.sampled_from(Kind)),
    min_size=1,
    max_size=20,
).map(lambda rows: [step(number, *row) for number, row in enumerate(rows, 1)])


def left(reorder: Reorder, now: int) -> list[tuple[int, bytes]]:
    """What leaves at `now`, as (phase, span id)."""
    out: list[tuple[int, bytes]] = []
    while (ready := reorder.due(now)) is not None:
        out += [(h.phase, h.step.span_id) for h in reorder.take(*ready)]
    return out


@given(steps, st.randoms())
def test_the_order_does_not_depend_on_arrival(some: list[Step], random: object) -> None:
    """Two arrivals of the same steps within the window leave alike, parents before children, closes after."""
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    outs = []
    for arrival in (some, shuffled):
        reorder = Reorder(WAIT, 1000)
        for one in arrival:
            reorder.add(one, 0, bounds=one.kind is Kind.AGENT)
        outs.append(left(reorder, WAIT))
    assert outs[0] == outs[1]
    starts = {one.span_id: one.start for one in some}
    opened = [starts[i] for phase, i in outs[0] if phase != CLOSE]
    assert opened == sorted(opened)


@given(steps, st.integers(0, 20))
def test_a_dump_changes_nothing(some: list[Step], cut: int) -> None:
    """Dumped and loaded anywhere, the same leaves at the same time; far ends can be dumped."""
    for far in (0, 2**64 - 1):
        calm, dumped = Reorder(WAIT, 1000), Reorder(WAIT, 1000)
        for number, one in enumerate(some):
            one.end = max(one.end, far)
            calm.add(one, number, bounds=True)
            dumped.add(one, number, bounds=True)
            if number == cut:
                data, dumped = dumped.dump(), Reorder(WAIT, 1000)
                dumped.load(data)
        for now in range(0, 60, 7):
            assert dumped.next_deadline() == calm.next_deadline()
            assert left(dumped, now) == left(calm, now)


@given(steps, st.lists(st.booleans(), min_size=20, max_size=20), st.integers(0, 20))
def test_an_outline_waits_like_its_step(some: list[Step], outlined: list[bool], cut: int) -> None:
    """Of spans that no convention understands less is kept, also over a dump, and the same leaves."""
    whole, lean = Reorder(WAIT, 1000), Reorder(WAIT, 1000)
    for number, (one, short) in enumerate(zip(some, outlined, strict=False)):
        bounds = number % 2 == 0
        whole.add(one, number, bounds=bounds)
        if short and one.kind is Kind.OTHER:
            ids = one.trace_id, one.span_id, one.parent_id
            lean.outline([Outline(*ids, one.start, one.end, bounds)], number)
        else:
            lean.add(one, number, bounds=bounds)
        assert len(lean) == len(whole)
        if number == cut:
            data, lean = lean.dump(), Reorder(WAIT, 1000)
            lean.load(data)
    for now in range(0, 60, 3):
        assert lean.next_deadline() == whole.next_deadline()
        while (ready := whole.due(now)) is not None:
            assert lean.due(now) == ready
            assert list(lean.take(*ready)) == list(whole.take(*ready))
        assert len(lean) == len(whole)


def test_a_trace_that_nobody_understands_is_dropped() -> None:
    """Spans of a trace without any agent step cost no detector anything."""
    reorder = Reorder(WAIT, 1000)
    reorder.add(step(1, 1, 2, Kind.OTHER), 0, bounds=True)
    assert left(reorder, WAIT) == []
    assert len(reorder) == 0


def test_too_many_leave_early() -> None:
    """Beyond the bound the oldest trace leaves at once, whole."""
    reorder = Reorder(WAIT, 2)
    for number in (1, 2, 3):
        reorder.add(step(number, number, number), 0, bounds=False)
    assert len(left(reorder, 0)) == 3
