"""The state of a session follows from its facts."""

from hypothesis import given
from hypothesis import strategies as st

from otel_ext.sessions import Session, State


def session(**facts: object) -> Session:
    """A session with some facts."""
    return Session(session_id="s", **facts)  # type: ignore[arg-type]


def test_an_idle_session_with_every_root_ended_is_completed() -> None:
    """Idle and no root missing: completed."""
    one = session(traces=2, rootless=0, idle_at=5)
    assert one.state is State.COMPLETED
    assert one.reason == "every root span ended"


def test_an_idle_session_without_a_root_is_interrupted() -> None:
    """Idle and a root missing: interrupted, and the reason says of how many."""
    one = session(traces=3, rootless=1, idle_at=5)
    assert one.state is State.INTERRUPTED
    assert "1 of 3 traces" in one.reason


def test_a_later_span_supersedes_an_idle_end_but_never_a_crash() -> None:
    """A late span makes an interrupted session active again; a crashed one stays crashed."""
    one = session(traces=1, rootless=1, idle_at=5)
    one.saw_spans(1, 1, 2, 9)
    assert one.state is State.ACTIVE
    crashed = session(crash="killed", idle_at=5)
    crashed.saw_spans(1, 1, 2, 9)
    assert crashed.state is State.CRASHED


def test_the_first_failed_root_is_the_primary_reason() -> None:
    """A second failure never replaces the first."""
    one = session()
    for error in ("", "disk full", "clean-up failed"):
        one.new_trace()
        one.root_ended(error)
    one.idle_at = 1
    assert one.reason == "the root span failed: disk full"


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1), st.randoms())
def test_the_order_of_spans_does_not_show(spans: list[tuple[int, int]], random: object) -> None:
    """Start, end and count are the same in any order, and of all at once."""
    shuffled = list(spans)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other, whole = session(), session(), session()
    for which, order in ((one, spans), (other, shuffled)):
        for start, end in order:
            which.saw_spans(1, start, max(start, end), 1)
    starts, ends = zip(*spans, strict=True)
    whole.saw_spans(len(spans), min(filter(None, starts), default=0), max(*starts, *ends), 1)
    assert one == other == whole
