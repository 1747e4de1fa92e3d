"""The shipped suite over all built-in rules, and that it finds what is wrong with a bad one."""

from typing import Any

import pytest

from otel_ext.signals import RULES, Limits, Rule
from otel_ext.signals.findings.episodes import add, advance, find, keep
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context
from otel_ext.step import Step
from otel_ext.testing import AgentRun, check_detector
from otel_ext.testing.arbitrary import FIELDS
from tests.signals.vectors import CONFIGURED, must, must_not


@pytest.mark.parametrize("rule", RULES, ids=[rule.signal for rule in RULES])
def test_every_rule_keeps_its_promises(rule: type[Rule[Any]]) -> None:
    """With its own vectors."""
    check_detector(
        rule,
        must=[one.story for one in must() if one.signal == rule.signal],
        must_not=[one.story for one in must_not() if one.signal == rule.signal],
        limits=CONFIGURED[rule.signal].limits if rule.signal in CONFIGURED else None,
        runs=6,
    )


def test_every_rule_has_vectors() -> None:
    """One story at least about which it must speak, and one about which it must not."""
    families = {one.signal for one in must_not()}
    spoken = {name for one in must() for name in one.signal.split("|")}
    assert [rule.signal for rule in RULES if rule.signal not in spoken] == []
    silent = [r.signal for r in RULES if not families & {r.signal, f"{r.signal.partition('.')[0]}.", ""}]
    assert silent == []


def test_arbitrary_steps_draw_every_field() -> None:
    """A new field of a step is drawn, too."""
    assert {*FIELDS, "span_id", "start", "end"} == set(Step.__struct_fields__)


class Good(Rule[Limits]):
    """The same tool three times."""

    id = "TEST-1"
    signal = "loop.good"
    react = "Look."
    guards = ("none",)
    origin = "Nobody."

    def call(self, context: Context, call: Call) -> None:
        """Count."""
        key = call.tool.encode("utf-8", "replace")
        table = f"{self.id}/all"
        track = find(context, table, key) or keep(self, context, table, key, Track(tool=call.tool))
        add(context, table, key, track, call)
        if track.count >= 3:
            advance(self, context, table, key, track, severity="notice", confidence="candidate")


def thrice(run: AgentRun) -> None:
    """Three calls."""
    for index in range(3):
        run.call("brew", {"cup": index}, f"cup {index}")


def twice(run: AgentRun) -> None:
    """Two calls."""
    for index in range(2):
        run.call("brew", {"cup": index}, f"cup {index}")


def test_a_good_rule_passes() -> None:
    """Nothing is found wrong."""
    check_detector(Good, must=[thrice], must_not=[twice])


class Raises(Good):
    """Raises now and then."""

    def call(self, context: Context, call: Call) -> None:
        """Break on what it did not think of."""
        super().call(context, call)
        assert call.key


class Forgets(Good):
    """Keeps state where no dump sees it."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self.seen = 0

    def call(self, context: Context, call: Call) -> None:
        """Count in itself."""
        self.seen += 1
        if self.seen > 5:
            super().call(context, call)


class Grows(Good):
    """Keeps everything."""

    def call(self, context: Context, call: Call) -> None:
        """Remember it for ever."""
        super().call(context, call)
        context.lane.rings.setdefault(f"{self.id}/ring", []).append(call.step.span_id)


class Mumbles(Good):
    """Explains nothing."""

    def explain(self, context: Context, track: Track) -> str:
        """Nothing."""
        return ""


class Unnamed(Good):
    """Has no origin."""

    origin = ""


class Guesses(Good):
    """Differs from one time to the next."""

    times = 0

    def call(self, context: Context, call: Call) -> None:
        """Count every other time."""
        type(self).times += 1
        if type(self).times % 7:
            super().call(context, call)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Raises, "it raises"),
        (Forgets, "a dump and a load"),
        (Grows, "its state grows"),
        (Mumbles, "explains nothing"),
        (Unnamed, "it says nothing of its `origin`"),
        (Guesses, "the second time"),
    ],
)
def test_a_bad_rule_is_found_out(rule: type[Rule[Any]], text: str) -> None:
    """Each promise that is broken is named."""
    with pytest.raises(AssertionError, match=text):
        check_detector(rule, must=[thrice], must_not=[twice])


def test_stories_are_judged() -> None:
    """A story about which it should have spoken, and one about which it should not."""
    with pytest.raises(AssertionError, match="it is silent about twice, shuffled"):
        check_detector(Good, must=[twice], runs=0)
    with pytest.raises(AssertionError, match="it speaks about thrice, reversed with step spans"):
        check_detector(Good, must_not=[thrice], runs=0)
