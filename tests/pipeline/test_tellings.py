"""A call is one step, however many tell it; and two calls stay two, however alike they are."""

import random
from collections.abc import Iterable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.pipeline.reorder import Reorder
from otel_ext.pipeline.tellings import Tellings
from otel_ext.step import Kind, Step

SECOND = 10**9
TRACE = b"t" * 16


def step(number: int, start: int, **fields: object) -> Step:
    """A step of one second in the trace."""
    made = Step(
        kind=Kind.TOOL,
        trace_id=TRACE,
        span_id=number.to_bytes(8, "big"),
        parent_id=b"agent-id",
        start=start,
        end=start + SECOND,
        name="shell",
    )
    return msgspec.structs.replace(made, **fields)


def merged(steps: Iterable[Step], tellings: Tellings | None = None) -> list[Step]:
    """The calls among steps that are due together."""
    order = Reorder(0, 10**6)
    for one in steps:
        order.add(msgspec.structs.replace(one), 0, bounds=False)
    told = (tellings or Tellings()).put_together(order, TRACE, session_of=lambda _: "s")
    return [happening.step for happening in told if happening.step.kind is not Kind.OTHER]


WINDOW = 2 * SECOND


def as_they_come(arrivals: Iterable[tuple[int, Step]]) -> list[Step]:
    """The calls among steps that come one by one at their times; a dump and a load between any two."""
    order, tellings, found = Reorder(WINDOW, 10**6), Tellings(), list[Step]()

    def take(now: int) -> None:
        while (due := order.due(now)) is not None:
            told = tellings.put_together(order, *due, session_of=lambda _: "s")
            found.extend(h.step for h in told if h.step.kind is not Kind.OTHER)

    for now, one in sorted(arrivals, key=lambda pair: pair[0]):
        take(now)
        order.add(msgspec.structs.replace(one), now, bounds=False)
        dumped, order = order.dump(), Reorder(WINDOW, 10**6)
        order.load(dumped)
    take(2**60)
    return found


@given(st.integers(0, 10**6), st.integers(1, 12), st.booleans())
def test_a_call_is_one_step_with_all_that_was_told(seed: int, calls: int, at_once: bool) -> None:
    """Spans, records and views of each call, in any order and batches: one step, nothing of it is lost."""
    rng = random.Random(seed)
    steps: list[Step] = []
    number = 0
    for call in range(calls):
        start, call_id = call * 10 * SECOND, f"call_{call % 3}"  # ids come again, much later
        arguments, result = bytes([call]) * 16, bytes([100 + call]) * 16
        tellings = rng.choice(
            ["span", "record", "span record", "record record", "span view", "span view record"]
        )
        for telling in tellings.split():
            number += 1
            if telling == "view":
                parent = steps[-1].span_id
                steps.append(step(number, start, parent_id=parent, view=True, error=True, error_hash=result))
            else:
                late = rng.randint(0, SECOND) if telling == "record" else 0
                trace = rng.choice((TRACE, b"r" * 16)) if telling == "record" and not at_once else TRACE
                record = telling == "record"
                steps.append(step(number, start + late, call_id=call_id, record=record, trace_id=trace))
        whole = [s for s in steps if s.start >= start and not s.view]
        rng.choice(whole).arguments_hash = arguments
        rng.choice(whole).result_hash = result
    rng.shuffle(steps)
    if at_once:
        found = merged(steps)
    else:
        arrived = [
            (s.start // (10 * SECOND) * 10 * SECOND + 2 * SECOND + rng.randrange(WINDOW), s) for s in steps
        ]
        found = sorted(as_they_come(arrived), key=lambda one: one.start)
    assert [s.arguments_hash for s in found] == [bytes([call]) * 16 for call in range(calls)]
    assert [s.result_hash for s in found] == [bytes([100 + call]) * 16 for call in range(calls)]
    spans = {s.start // (10 * SECOND) for s in steps if not s.record}
    assert {s.start // (10 * SECOND) for s in found if not s.record} == spans
    failed = {s.start // (10 * SECOND) for s in steps if s.view}
    assert {s.start // (10 * SECOND) for s in found if s.error} == failed


def test_a_later_telling_is_recognised_after_a_restart() -> None:
    """The call's other telling may come in another batch, and after a load."""
    first = Tellings()
    assert len(merged([step(1, 0, call_id="a")], first)) == 1
    dumped = first.dump()
    assert dumped is not None
    assert first.dump() is None
    then = Tellings()
    then.load(dumped)
    assert merged([step(2, SECOND, call_id="a", record=True)], then) == []
    assert len(merged([step(3, 9 * SECOND, call_id="a", record=True)], then)) == 1
    assert then.merged == 1


def test_what_differs_is_two_calls() -> None:
    """Equal ids with other arguments, another tool, another time or another session are no twins."""
    one = step(1, 0, call_id="a", arguments_hash=b"1" * 16)
    for other in (
        step(2, 0, call_id="a", arguments_hash=b"2" * 16),
        step(2, 0, call_id="a", name="read"),
        step(2, 2 * SECOND, call_id="a"),
        step(2, 0, call_id="a", session_id="another"),
        step(2, 0, call_id="b", arguments_hash=b"1" * 16),
        step(2, 0, arguments_hash=b"1" * 16),
    ):
        assert len(merged([one, other])) == 2


def test_a_wrapper_knows_what_is_known_inside() -> None:
    """The same tool's call around another learns its arguments; another tool's does not."""
    inner = step(3, 300, parent_id=b"\0" * 7 + b"\2", arguments_hash=b"1" * 16, end=SECOND // 2)
    between = step(2, 200, kind=Kind.OTHER, parent_id=b"\0" * 7 + b"\1")
    outer, *_ = merged([step(1, 100), between, inner])
    assert outer.arguments_hash == b"1" * 16
    outer, *_ = merged([step(1, 100, name="another"), between, inner])
    assert outer.arguments_hash is None


def test_what_is_known_innermost_is_known_outermost() -> None:
    """An agent's call, its client's and its server's; of a model's wrapper, what the provider's span used."""
    chain = [step(n, 100 * n, parent_id=(n - 1).to_bytes(8, "big"), end=SECOND - n) for n in (1, 2, 3)]
    chain[-1].result_hash = b"r" * 16
    assert merged(chain)[0].result_hash == b"r" * 16
    models = [msgspec.structs.replace(one, kind=Kind.LLM, name=str(one.start)) for one in chain]
    models[-1].input_tokens = 5
    assert [one.input_tokens for one in merged(models)] == [5, 5, 5]
    models[0].response_id, models[1].response_id = "one", "another"
    assert [one.input_tokens for one in merged(models)] == [None, 5, 5]


def test_usage_makes_a_record_and_a_span_one_model_call() -> None:
    """Of two spans, usage alone does not: a retry may cost the same."""
    usage = {"kind": Kind.LLM, "input_tokens": 100, "output_tokens": 7}
    assert len(merged([step(1, 0, **usage), step(2, 0, record=True, cost=0.5, **usage)])) == 1
    assert merged([step(1, 0, **usage), step(2, 0, record=True, cost=0.5, **usage)])[0].cost == 0.5
    assert len(merged([step(1, 0, **usage), step(2, 0, **usage)])) == 2
    assert len(merged([step(1, 0, response_id="r", **usage), step(2, 0, response_id="r", **usage)])) == 1
    assert len(merged([step(1, 0, response_id="r"), step(2, 2 * SECOND, response_id="r")])) == 2


def test_a_prompt_goes_with_the_next_model_call() -> None:
    """A record of a user's message is no step; the model call behind it brings the turn."""
    prompt = step(1, 0, kind=Kind.OTHER, record=True, user_turns=1, user_turn=b"u" * 16)
    model = step(2, 5 * SECOND, kind=Kind.LLM, record=True)
    again = step(3, 9 * SECOND, kind=Kind.LLM, record=True)
    assert [s.user_turn for s in merged([again, model, prompt])] == [b"u" * 16, None]
