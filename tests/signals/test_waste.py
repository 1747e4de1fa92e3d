"""What repeats cost: tokens, carried tokens, time and money, against plain definitions; calls told twice."""

import re

import msgspec
import yaml
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext.signals import Finding, Settings, Signals, derived_span, finding_of
from otel_ext.signals.lane.baselines import ANEW, Baseline, Baselines, median
from otel_ext.signals.lane.usage import price_of
from otel_ext.signals.lane.waste import TOLERATED, Ledger, Mark
from otel_ext.signals.rules.loop.exact_repeat import ExactRepeat
from otel_ext.signals.settings import Price
from otel_ext.step import Kind
from tests.signals.builders import ROOT, SECOND, START, TRACE, Run, digest, final, play
from tests.support import ROOT as ROOT_FOLDER

DOCS = ROOT_FOLDER / "docs"
TOKENS = 100
PRICES = {"model*": Price(input=2.0, output=10.0, cached=0.2)}
"""Per million tokens, so a token costs 2, 10 and 0.2 millionths."""


def repeats(run: Run, settings: Settings | None = None) -> Finding:
    """The one exact repeat of a run, its last word."""
    signals = Signals(settings or Settings(), [ExactRepeat])
    (found,) = final(play(run, signals=signals)).values()
    return found


@given(
    st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=30),
    st.integers(0, 12),
    st.integers(0, 60),
)
def test_carried_tokens_are_those_that_later_turns_read_again(
    gaps: list[tuple[int, bool]], more: int, compacted: int
) -> None:
    """Each counted result, once for each later turn before the compaction that is not itself counted."""
    ledger, rounds, number = Ledger(), list[tuple[int, bool]](), 0
    for gap, measured in gaps:
        number += gap
        rounds.append((number, measured))
    now = number + more
    compaction = compacted if compacted <= now else 0
    for number, measured in rounds:
        # A compaction is known once its round has come.
        known = compaction if compaction <= number else 0
        mark = Mark(number.to_bytes(8, "big"), 0, 0, number, TOKENS, size=TOKENS, measured=measured)
        ledger.add(mark, known)
    turns = {number for number, measured in rounds if measured}
    expected = 0
    for number, measured in rounds:
        until = compaction - 1 if compaction > number else now
        again = [turn for turn in range(number + 1, until + 1) if turn not in turns]
        if not measured and number + 1 <= until:
            again = again[1:] if again[:1] == [number + 1] else again
        expected += TOKENS * len(again)
    found = ledger.total(now, compaction, "").carried_tokens
    assert found <= expected  # never more than the definition
    if all(measured for _, measured in rounds):
        assert found == expected


def test_what_is_carried_grows_with_every_turn_after_the_repeats() -> None:
    """Three equal reads of 100 tokens: the two repeats are carried by each of five turns after them."""
    run = Run()
    for _ in range(3):
        run.call()
    for _ in range(5):
        run.think()
    waste = repeats(run).waste
    assert (waste.input_tokens, waste.output_tokens, waste.carried_tokens) == (2000, 100, 2 * 5 * TOKENS)
    assert (waste.basis, waste.cost, waste.currency, waste.avoidable_cost) == ("measured", None, "", None)


def test_money_is_told_where_a_price_is_known() -> None:
    """Tokens at the model's prices, calls at the tool's, carried tokens at the price of the cache in use."""
    run = Run()
    for _ in range(5):
        run.think(cached_tokens=600)
        run.more()
    for _ in range(2):
        run.think()
    settings = Settings(prices=PRICES, tool_prices={"read": 0.01}, currency="EUR")
    waste = repeats(run, settings).waste
    turn = 400 * 2000 + 600 * 200 + 50 * 10_000  # billionths
    call = turn + 10_000_000
    assert waste.carried_tokens == 4 * 2 * TOKENS
    assert waste.cost == 4 * call + waste.carried_tokens * 200
    assert waste.avoidable_cost == (4 - TOLERATED) * call
    assert waste.avoidable_tokens == (4 - TOLERATED) * 1050
    assert waste.currency == "EUR"


def test_a_price_of_another_model_is_none() -> None:
    """No pattern matches: no money."""
    run = Run()
    for _ in range(3):
        run.call()
    assert repeats(run, Settings(prices={"other*": PRICES["model*"]})).waste.cost is None


def test_what_the_producer_says_is_believed_in_its_currency() -> None:
    """An observed cost needs no price, and is in US dollars."""
    run = Run()
    for _ in range(3):
        run.think(cost=0.25)
        run.more()
    assert repeats(run).waste.cost == 500_000_000
    assert repeats(run, Settings(currency="EUR")).waste.cost is None


def test_money_stands_on_the_span_and_is_read_back() -> None:
    """The derived span carries cost and currency; the finding comes back equal."""
    run = Run()
    for _ in range(7):
        run.think(cost=1.1)
        run.more()
    found = repeats(run)
    assert finding_of(derived_span(found)) == found
    assert found.as_json()["waste"]["cost"] == 6.6
    assert "6.60 USD" in found.explanation


@given(st.lists(st.integers(0, 10**12), max_size=200))
def test_what_is_usual_is_bounded_and_no_outlier_moves_it(values: list[int]) -> None:
    """The newest 64, and those that came since they were judged; the median is one of them."""
    one = Baseline("x")
    for value in values:
        one.add(value)
    assert one.values == values[-64 - len(values) % ANEW :]
    assert one.known == min(len(values), 64)
    if len(values) >= ANEW:
        judged = values[: len(values) - len(values) % ANEW][-64:]
        assert one.usual == median(judged)
        assert one.spread == median([abs(value - one.usual) for value in judged])
        assert one.usual in values[-64 - ANEW :]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Baseline) == one


def test_the_least_recently_used_baseline_goes() -> None:
    """Bounded by number; whoever saves them hears of what went."""
    told = dict[str, bool]()
    held = Baselines(2, lambda key, one: told.__setitem__(key, one is not None))
    for key in ("a", "b", "a", "c"):
        held.add(key, 1)
    assert told == {"a": True, "b": False, "c": True}
    assert held.get("b") is None


def twin(run: Run, kind: Kind, inner_first: bool) -> list[Finding]:
    """Five calls, each told by two spans, one inside the other."""
    signals = Signals()
    found: list[Finding] = []
    for index in range(5):
        if kind is Kind.TOOL:
            run.think()
            outer = run.more()
        else:
            outer = run.think(cost=0.25)
        inner = msgspec.structs.replace(
            outer, span_id=f"inner-{index:02}".encode(), parent_id=outer.span_id, start=outer.start + 1
        )
        pair = [inner, outer] if inner_first else [outer, inner]
        if kind is Kind.LLM:
            run.more()
            pair.append(run.steps[-1])
        else:
            found += signals.open(run.steps[-2], START)
        for step in pair:
            found += signals.open(step, START)
    return found + signals.end_trace(TRACE, "persisted", START)


@given(st.sampled_from([Kind.TOOL, Kind.LLM]), st.booleans())
def test_a_call_that_two_spans_tell_counts_once(kind: Kind, inner_first: bool) -> None:
    """Whichever comes first is the call; count and cost are those of one."""
    run = Run()
    (found,) = (
        one for one in final(twin(run, kind, inner_first)).values() if one.signal == "loop.exact_repeat"
    )
    assert found.count == 5
    assert found.waste.input_tokens == 4000
    if kind is Kind.LLM:
        assert found.waste.cost == 1_000_000_000


def test_two_calls_inside_of_one_are_no_twins() -> None:
    """A wrapper around three equal calls is told by one of them; the others are calls of their own."""
    run, signals = Run(), Signals(Settings(), [ExactRepeat])
    run.think()
    outer = run.more(lasts=10 * SECOND)
    inside = []
    for index in range(6):
        run.think()
        inside.append(run.more(parent_id=outer.span_id, span_id=f"inside{index:02}".encode()))
    found: list[Finding] = []
    for step in run.steps:
        found += signals.open(step, START)
    found += signals.end_trace(TRACE, "persisted", START)
    assert [one.count for one in final(found).values()] == [6]
    assert signals.counters["otel_ext.detector.twins"] == 1
    assert outer.parent_id == ROOT
    assert digest("r")  # the builder's digests stand in for results


def test_the_documented_prices_are_settings() -> None:
    """The example of docs/costs.md is understood, and the first pattern that matches counts."""
    text = (DOCS / "costs.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    settings = msgspec.convert(yaml.safe_load(example)["processors"]["signals"], Settings)
    assert price_of(settings, "big-model-2") == Price(input=3.0, output=15.0, cached=0.3, created=3.75)
    assert price_of(settings, "other") == Price(input=1.0, output=5.0)


def test_the_documented_attributes_are_those_of_the_span() -> None:
    """docs/costs.md names every attribute of waste, and no other."""
    told = {pair.key for pair in Span.FromString(derived_span(priced())).attributes if ".waste." in pair.key}
    text = (DOCS / "costs.md").read_text().replace("`.cost.currency`", "`otel_ext.waste.cost.currency`")
    assert set(re.findall(r"`(otel_ext\.waste\.[a-z.]+)`", text)) == told


def priced() -> Finding:
    """A repeat whose cost is known."""
    run = Run()
    for _ in range(3):
        run.think(cost=1.0)
        run.more()
    return repeats(run)
