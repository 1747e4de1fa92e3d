"""Lanes: arrival order, folding, bounds, time to live."""

from random import Random

import pytest

from otel_ext.errors import UnsupportedVersion
from otel_ext.signals import Settings, Signals
from otel_ext.signals.findings.episodes import EVICTIONS
from otel_ext.step import Kind, Step
from otel_ext.testing.arbitrary import busy_steps
from tests.signals.builders import ROOT, START, TRACE, Run, final, loops, play

MINUTE = 60_000_000_000


def opened(signals: Signals, steps: list[Step]) -> list[object]:
    """Open steps at their own times; ids and revisions of what was found."""
    return [(one.id, one.revision) for step in steps for one in signals.open(step, step.start)]


def test_a_lane_folds_through_several_missing_parents() -> None:
    """Calls under chains under chains reach the agent's lane as the chains arrive."""
    signals = Signals()
    found = []
    for index in range(3):
        run = Run(prefix=f"round {index}")
        outer = run.step(Kind.OTHER, parent_id=ROOT)
        inner = run.step(Kind.OTHER, parent_id=outer.span_id)
        run.under = inner.span_id
        call = run.call()
        for step in (run.steps[2], call, inner, outer):
            step.start += index * MINUTE
            step.end += index * MINUTE
            found += signals.open(step, step.end)
    assert [(one.signal, one.count, one.lane) for one in found] == [("loop.exact_repeat", 3, ROOT)]


def test_a_lane_that_has_spoken_stays_its_own() -> None:
    """A chain whose lane has emitted a finding does not fold, and later children stay with it."""
    signals, run = Signals(), Run()
    chain = run.step(Kind.OTHER, parent_id=ROOT)
    run.under = chain.span_id
    for _ in range(3):
        run.call()
    found = [one for step in run.steps[1:] for one in signals.open(step, step.start)]
    found += signals.open(chain, run.time)
    call = run.call()
    found += [one for step in run.steps[-2:] for one in signals.open(step, call.start)]
    found += signals.end_trace(TRACE, "persisted", run.time)
    assert [(one.lane, one.status, one.count) for one in found] == [
        (chain.span_id, "onset", 3),
        (chain.span_id, "persisted", 4),
    ]


def test_a_lane_that_outgrew_the_bound_stays_its_own() -> None:
    """More steps than are kept cannot fold any more; nothing is lost and nothing is counted twice."""
    signals, run = Signals(Settings(pending=4)), Run()
    chain = run.step(Kind.OTHER, parent_id=ROOT)
    run.under = chain.span_id
    run.call()
    for index in range(4):
        run.call("other", index)
    opened(signals, run.steps[1:])
    opened(signals, [chain])
    run.call()
    run.call()
    opened(signals, run.steps[-4:])
    found = signals.end_trace(TRACE, "persisted", run.time)
    assert [(one.lane, one.count) for one in found] == [(chain.span_id, 3)]


def test_steps_of_a_provisional_lane_are_put_in_order() -> None:
    """A late step is counted where it belongs as long as the lane has not spoken."""
    run = Run(model=False)
    for result in ("x", "y", "x", "y", "x"):
        run.call("read", "a", result)
    signals = Signals()
    found = [one for index in (0, 2, 4, 1, 3) for one in signals.open(run.steps[index], run.time)]
    # The three equal results come first to hand and are told; nothing can be taken back then.
    assert [one.count for one in found if one.status == "onset"] == [3]
    signals, early = Signals(), [0, 2, 1, 3, 4]
    assert [one for index in early for one in signals.open(run.steps[index], run.time)] == []


def test_a_root_that_is_no_agent_is_a_lane() -> None:
    """Without any agent span the root is the lane, and its end closes it."""
    signals, run = Signals(), Run()
    root = run.step(Kind.OTHER, parent_id=b"", span_id=ROOT)
    for _ in range(3):
        run.call()
    opened(signals, run.steps)
    (found,) = signals.close(root, run.time)
    assert (found.lane, found.scope, found.parent, found.depth) == (ROOT, "trace", ROOT, 0)


def test_orphans_are_kept_under_their_missing_parent() -> None:
    """A parent that never arrives is a lane as good as any."""
    run = Run(agent=b"missing-")
    for _ in range(3):
        run.call()
    signals = Signals()
    opened(signals, run.steps)
    (found,) = signals.end_trace(TRACE, "terminated", run.time)
    assert (found.lane, found.parent, found.status) == (b"missing-", b"missing-", "terminated")


def test_parents_in_a_circle_end() -> None:
    """Spans that are each other's parent do no harm."""
    run, signals = Run(), Signals()
    one = run.step(Kind.OTHER, span_id=b"circle-1", parent_id=b"circle-2")
    two = run.step(Kind.OTHER, span_id=b"circle-2", parent_id=b"circle-1")
    self_made = run.step(Kind.OTHER, span_id=b"circle-3", parent_id=b"circle-3")
    calls = [
        run.more(parent_id=parent, result=index)
        for index, parent in enumerate((b"circle-1", b"circle-2", b"circle-3"))
    ]
    assert opened(signals, [calls[0], one, two, calls[1], self_made, calls[2]]) == []


def test_a_step_told_twice_counts_once() -> None:
    """The second copy of a span changes nothing and is counted."""
    run, signals = Run(), Signals()
    run.call()
    run.call()
    assert opened(signals, run.steps + run.steps) == []
    assert signals.counters["otel_ext.detector.repeated"] == 4


def test_lanes_are_bounded() -> None:
    """The least recently used lane goes, its episodes closed as evicted, and it is counted."""
    signals = Signals(Settings(lanes=2))
    runs = [Run(bytes([index]) * 8, prefix=f"{index}") for index in range(1, 4)]
    for run in runs:
        for _ in range(3):
            run.call()
    found = [one for run in runs for step in run.steps for one in signals.open(step, step.start)]
    assert [one.status for one in found] == ["onset", "onset", "evicted", "onset"]
    assert found[2].lane == runs[0].agent
    assert signals.counters["otel_ext.detector.evictions"] == 1


def test_keys_are_bounded() -> None:
    """A repeat with more other calls between than keys are kept is forgotten, counted."""
    run, signals = Run(), Signals(Settings(keys=4))
    for _ in range(3):
        run.call()
    for index in range(4):
        run.call("other", index)
    found = play(run, signals=signals)
    assert loops(found) == [("loop.exact_repeat", 3, "notice", "evicted")]
    assert signals.counters["otel_ext.detector.evictions"] >= 1  # other rules have tables of their own


def test_traces_are_bounded() -> None:
    """The structure of the least recently used trace goes with its lanes."""
    signals = Signals(Settings(traces=1))
    first, second = Run(), Run(trace=b"other-trace-id--", prefix="2")
    for _ in range(3):
        first.call()
    second.call()
    opened(signals, first.steps)
    found = [one for step in second.steps for one in signals.open(step, step.start)]
    assert [one.status for one in found] == ["evicted"]


def test_what_is_not_touched_is_evicted_in_time() -> None:
    """The time to live ends lanes and traces; the deadline says when to ask."""
    signals, run = Signals(), Run()
    assert signals.next_deadline() is None
    for _ in range(3):
        run.call()
    opened(signals, run.steps)
    deadline = signals.next_deadline()
    assert deadline == run.steps[-1].start + signals.settings.ttl
    assert signals.tick(deadline - 1) == []
    assert [one.status for one in signals.tick(deadline)] == ["evicted"]
    assert signals.next_deadline() is None


def test_many_spans_leave_the_lane_intact() -> None:
    """An agent and a chain that were forgotten as leaves' ancestors are still found while in use."""
    signals, run = Signals(Settings(spans_per_trace=8, keys=4)), Run()
    agent = run.agent_step()
    chain = run.step(Kind.OTHER)
    run.under = chain.span_id
    for index in range(40):
        run.call("other", index)
        run.call()
    found = [one for step in [agent, *run.steps] for one in signals.open(step, step.start)]
    assert {one.lane for one in final(found).values()} == {ROOT}
    assert next(iter(final(found).values())).count >= 20


def test_another_version_is_refused() -> None:
    """State of another version is for the caller to rebuild."""
    signals, run = Signals(), Run()
    run.call()
    opened(signals, run.steps)
    dumped = signals.dump()
    newer = {name: data[:1] + b"\x63" + data[2:] for name, data in dumped.items()}
    with pytest.raises(UnsupportedVersion):
        Signals().load(newer)


def test_a_dump_holds_what_changed_and_what_is_gone() -> None:
    """A second dump is empty; ended lanes and traces are dumped as empty bytes."""
    signals, run = Signals(), Run()
    run.call()
    opened(signals, run.steps)
    names = set(signals.dump())
    of_this = {f"trace:{TRACE.hex()}", f"lane:{TRACE.hex()}:{ROOT.hex()}"}
    assert {name for name in names if not name.startswith("baseline:")} == of_this
    assert signals.dump() == {}
    signals.end_trace(TRACE, "persisted", START)
    assert signals.dump() == dict.fromkeys(of_this, b"")


def test_whatever_a_producer_says_can_be_dumped() -> None:
    """Lone surrogates and absurd numbers are stored as something near, and the loop is found all the same."""
    run = Run()
    for _ in range(3):
        run.think(issued=("\ud800",), input_tokens=1 << 63, output_tokens=1 << 70, user_turns=1 << 65)
        run.more("read\ud800", agent_name="\udfff")
    signals = Signals()
    opened(signals, run.steps)
    restarted = Signals()
    restarted.load(signals.dump())
    (found,) = restarted.end_trace(TRACE, "persisted", run.time)
    assert (found.tool, found.count, found.agent, found.missing) == ("read?", 3, "?", ["usage"])


def test_all_tracks_have_one_bound() -> None:
    """However many lanes are busy, the least recently used ones go, counted, and a restart knows the sum."""
    settings = Settings(tracks=60)
    signals, ended, saved = Signals(settings), list[str](), dict[str, bytes]()
    for number in range(30):
        for step in busy_steps(Random(number), 40):
            step.trace_id, step.parent_id = number.to_bytes(16, "big"), b"its-lane"
            found = signals.open(step, number)
            ended += [one.status for one in found if one.trace_id != step.trace_id]
        lanes = {key: sum(map(len, lane.tables.values())) for key, lane in signals._lanes.items()}
        assert signals._tracks <= 60  # no lane alone has so many
        assert sum(lanes.values()) <= 2 * 60  # a lane may grow for a few calls before it is counted again
        saved.update(signals.dump())
    assert signals.counters[EVICTIONS] >= 20
    assert set(ended) == {"evicted"}
    again = Signals(settings)
    again.load({key: data for key, data in saved.items() if data})
    assert again._tracks == signals._tracks > 0


def test_a_model_call_that_ends_at_the_latest_instant_can_be_dumped() -> None:
    """Its pace is beyond any number that a checkpoint holds."""
    signals = Signals()
    run = Run()
    run.think(end=2**64 - 1, output_tokens=50, first_token=2**63)
    for step in run.steps:
        signals.open(step, step.start)
    assert any(key.startswith("baseline") for key in signals.dump())
