"""Rules that break, burn time, are on trial or muted: the others never notice."""

from collections.abc import Mapping
from datetime import date

import pytest

from otel_ext.errors import ConfigError
from otel_ext.pipeline.reorder import CLOSE
from otel_ext.signals import RULES, Detectors, Finding, Mute, RuleSettings, Settings, Signals
from otel_ext.signals.findings.episodes import add, advance, find, keep
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.installed import among, fault
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.step import Step
from otel_ext.testing import AgentRun
from otel_ext.testing.arrivals import in_order
from tests.signals.builders import final


class Broken(Rule[Limits]):
    """Raises in every hook."""

    id = "TEST-1"
    signal = "loop.broken"

    def call(self, context: Context, call: Call) -> None:
        """Claim what it can, then break."""
        track = find(context, "TEST-1/all", b"") or keep(self, context, "TEST-1/all", b"", Track(tool=""))
        add(context, "TEST-1/all", b"", track, call, each=True)
        raise RuntimeError("call")

    def model(self, context: Context, step: Step) -> None:
        """Break."""
        raise RuntimeError("model")

    def wrote(self, context: Context, call: Call) -> None:
        """Break."""
        raise RuntimeError("wrote")

    def ended(self, context: Context, status: Status) -> None:
        """Break."""
        raise RuntimeError("ended")

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Break."""
        raise RuntimeError("closing")


class Greedy(Rule[Limits]):
    """Speaks about every call and claims it."""

    id = "TEST-2"
    signal = "loop.greedy"

    def call(self, context: Context, call: Call) -> None:
        """Claim it."""
        key = call.step.span_id
        track = keep(self, context, "TEST-2/all", key, Track(tool=call.tool))
        add(context, "TEST-2/all", key, track, call)
        advance(self, context, "TEST-2/all", key, track, severity="error", confidence="confirmed")


class Slow(Rule[Limits]):
    """Burns CPU."""

    id = "TEST-3"
    signal = "loop.slow"
    calls = 0

    def call(self, context: Context, call: Call) -> None:
        """Count up."""
        type(self).calls += 1
        sum(range(50_000))


def looping(calls: int = 40) -> AgentRun:
    """A run with loops, failures, writes and turns."""
    run = AgentRun("watched")
    for index in range(calls):
        if index % 4 == 3:
            run.write({"path": "/a", "text": index // 12})
        elif index % 4 == 2:
            run.fail("open", {"path": "/b"}, "PermissionError: /b")
        else:
            run.call("read_file", {"path": "/c"}, "content")
    return run


def shown(found: list[Finding]) -> list[dict[str, object]]:
    """Findings as plain data."""
    return [one.as_json() for one in found]


@pytest.mark.parametrize("place", [0, len(RULES)])
def test_a_broken_rule_costs_its_own_findings_only(place: int) -> None:
    """First or last of all, the others find what they find; its errors are counted by rule."""
    rules = [*RULES[:place], Broken, *RULES[place:]]
    signals = Signals(rules=rules)
    expected = looping().findings(Signals(rules=RULES))
    assert expected
    assert shown(looping().findings(signals)) == shown(expected)
    assert signals.watch.errors == {"loop.broken": signals.counters["otel_ext.detector.errors"]}


def test_a_rule_that_goes_on_raising_is_off() -> None:
    """After so many errors it is called no more, and said once."""
    signals = Signals(Settings(most_errors=5), rules=[Broken])
    looping().findings(signals)
    assert signals.watch.off == {"loop.broken": "it raised 5 times, the last time RuntimeError"}
    # The closing of what it had open is tried once more.
    assert signals.watch.errors["loop.broken"] <= 6
    assert list(signals.watch.take_news()) == [
        "rule loop.broken is off until this process ends: it raised 5 times, the last time RuntimeError"
    ]
    assert list(signals.watch.take_news()) == []


def test_a_table_of_a_rule_that_raises_stays_bounded() -> None:
    """Also where it is the closing of the evicted key that raises."""

    class Leaky(Broken):
        """A key a call."""

        def call(self, context: Context, call: Call) -> None:
            """Keep one more."""
            keep(self, context, "TEST-1/all", call.step.span_id, Track(tool=""))

    signals = Signals(Settings(keys=3, most_errors=0), rules=[Leaky])
    for happening in in_order(looping().steps()):
        if happening.phase != CLOSE:
            signals.open(happening.step, happening.time)
    assert max(len(lane.tables.get("TEST-1/all", {})) for lane in signals._lanes.values()) == 3


def test_a_slow_rule_is_off() -> None:
    """Far over its budget it is called no more; the others go on."""
    Slow.calls = 0
    signals = Signals(Settings(budget=1000), rules=[Slow, *RULES])
    expected = looping(200).findings(Signals(rules=RULES))
    assert shown(looping(200).findings(signals)) == shown(expected)
    assert list(signals.watch.off) == ["loop.slow"]
    assert 0 < Slow.calls < 200


def every(detectors: Detectors, run: AgentRun) -> list[Finding]:
    """What detectors say of a run."""
    found: list[Finding] = []
    for happening in in_order(run.steps()):
        fold = detectors.close if happening.phase == CLOSE else detectors.open
        found += fold(happening.step, happening.time)
    return found + detectors.end_trace(run.trace_id, "persisted", run.end)


def modes(**given: str) -> dict[str, RuleSettings]:
    """Rules' modes."""
    return {name.replace("__", "."): RuleSettings(mode=mode) for name, mode in given.items()}  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", RULES, ids=[kind.signal for kind in RULES])
def test_shadow_is_what_it_would_say(kind: type[Rule[Limits]]) -> None:
    """The heard findings are those without the rule, the hidden ones those that it would add."""
    name = kind.signal.replace(".", "__")
    shadow = every(Detectors(Settings(rules=modes(**{name: "shadow"}))), looping())
    off = every(Detectors(Settings(rules=modes(**{name: "off"}))), looping())
    on = every(Detectors(Settings()), looping())
    assert shown([one for one in shadow if not one.hidden]) == shown(off)
    hidden = [one for one in shadow if one.hidden]
    assert {one.hidden for one in hidden} <= {"shadow"}
    for one in hidden:
        one.hidden = ""
    assert shown(hidden) == shown([one for one in on if one.signal == kind.signal])


def test_a_rule_in_shadow_survives_a_restart_and_its_end() -> None:
    """Its state is dumped with the rest, and dropped when no rule is on trial any more."""
    settings = Settings(rules=modes(loop__exact_repeat="shadow"))
    run = looping()
    expected = shown(every(Detectors(settings), run))
    detectors, saved, found = Detectors(settings), dict[str, bytes](), []
    for happening in in_order(run.steps()):
        fold = detectors.close if happening.phase == CLOSE else detectors.open
        found += fold(happening.step, happening.time)
        saved.update(detectors.dump())
        detectors = Detectors(settings)
        detectors.load({key: data for key, data in saved.items() if data})
        if happening.phase != CLOSE:
            kept = {key: data for key, data in saved.items() if data}
    assert shown(found + detectors.end_trace(run.trace_id, "persisted", run.end)) == expected
    plain = Detectors()
    plain.load(kept)
    gone = plain.dump()
    assert (
        {key for key in kept if key.startswith("shadow/")} == {key for key in gone if not gone[key]} != set()
    )


@pytest.mark.parametrize(
    ("mute", "muted"),
    [
        (Mute(rule="loop.exact_repeat"), {"loop.exact_repeat"}),
        (Mute(rule="loop.*"), {"loop.exact_repeat", "loop.error_repeat"}),
        (Mute(tool="open"), {"loop.error_repeat"}),
        (Mute(rule="loop.exact_repeat", tool="open"), set()),
        (Mute(agent="solv*"), {"loop.exact_repeat", "loop.error_repeat"}),
        (Mute(agent="somebody"), set()),
        (Mute(tool="open", until=date(2026, 9, 22)), {"loop.error_repeat"}),
        (Mute(tool="open", until=date(2026, 9, 21)), set()),
    ],
)
def test_muted_findings_are_recorded(mute: Mute, muted: set[str]) -> None:
    """They are told as hidden and otherwise equal, until the day; the run is on 2026-09-21."""
    rules = modes(**{kind.signal.replace(".", "__"): "off" for kind in RULES})
    rules |= modes(loop__exact_repeat="on", loop__error_repeat="on")
    found = every(Detectors(Settings(mute=(mute,), rules=rules)), looping())
    assert {one.signal for one in found if one.hidden == "muted"} == muted
    for one in found:
        one.hidden = ""
    assert shown(found) == shown(every(Detectors(Settings(rules=rules)), looping()))
    assert final(found)


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"loop.exact_repaet": {}}, "rules.loop.exact_repaet: .* did you mean loop.exact_repeat"),
        ({"loop.exact_repeat": {"limits": {"round": 3}}}, "limits.round: .* did you mean rounds"),
        ({"loop.exact_repeat": {"limits": {"rounds": {"warn": 3}}}}, "rounds.warn: .* did you mean warning"),
        ({"loop.exact_repeat": {"limits": {"rounds": {"warning": "x"}}}}, "Expected `int`"),
    ],
)
def test_a_mistake_is_told_with_its_place(rules: Mapping[str, dict[str, object]], text: str) -> None:
    """The nearest name is told."""
    said = {name: RuleSettings(**value) for name, value in rules.items()}  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=text):
        Signals(Settings(rules=said))


def test_a_mute_of_nothing_that_exists_is_a_mistake() -> None:
    """A misspelt rule would let its alarms through."""
    with pytest.raises(ConfigError, match=r"did you mean loop\.exact_repeat"):
        Signals(Settings(mute=(Mute(rule="loop.exakt_repeat"),)))


def test_other_rules_stand_where_their_family_ends() -> None:
    """And one that is none, or takes another's name, is left out and said."""

    class Twin(Greedy):
        """Has a name that is taken."""

        signal = "loop.exact_repeat"

    class Pretender(Greedy):
        """Has an id like ours."""

        id = "OTX-L999"
        signal = "loop.pretender"

    types, problems = among(RULES, [Greedy, Twin, Pretender, int, Greedy])
    loops = [one for one in types if one.signal.startswith("loop.")]
    assert loops[-1] is Greedy
    assert [one for one in types if one is not Greedy] == list(RULES)
    assert len(problems) == 4
    assert fault(Broken) == ""
