"""`check_detector`: whether a rule keeps what all rules promise; shipped, to check one of your own.

    def test_my_rule() -> None:
        check_detector(MyRule, must=[coffee_forever], must_not=[one_coffee, coffee_and_work])

Law of this file: everything is tried with the rule alone and with the rule among all others, from seeds, so a
failure comes again; what is wrong is told all at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final, TypeAlias

import msgspec

from otel_ext import otlp
from otel_ext.signals import RULES, SCOPE_NAME, Finding, Rule, Settings, Signals, derived_span, finding_of
from otel_ext.signals.findings.episodes import EVICTIONS
from otel_ext.signals.installed import fault
from otel_ext.signals.settings import SECOND, RuleSettings
from otel_ext.step import Kind, Step
from otel_ext.testing.agentrun import AgentRun
from otel_ext.testing.arbitrary import FIELDS, TRACES, any_steps, busy_steps
from otel_ext.testing.arrivals import Order, arrived, detect

Story: TypeAlias = Callable[[AgentRun], None]
"""Writes an agent's run."""

ROOMY: Final = Settings(most_errors=0, budget=0)
SMALL: Final = msgspec.structs.replace(
    ROOMY, lanes=3, keys=3, tracks=40, pending=3, evidence=4, owned=6, spans_per_trace=24, ttl=40 * SECOND
)
"""Bounds so narrow that every one of them is met."""

_ORDERS: Final[tuple[Order, ...]] = ("ended", "late", "reversed", "shuffled")
_FINAL: Final = ("recovered", "persisted", "terminated", "evicted")


def check_detector(
    rule: type[Rule[Any]],
    *,
    must: Sequence[Story] = (),
    must_not: Sequence[Story] = (),
    limits: Mapping[str, Any] | None = None,
    runs: int = 30,
) -> None:
    """Check a rule.

    It says what it is; speaks about every `must` and no `must_not` story, in every order of arrival; never
    raises, whatever the steps; says the same again, also when its state is dumped and loaded at any point;
    keeps bounded tables; ends every finding once, evicted ones included, and gives each evidence and an
    explanation; and does not hear findings that are fed back.

    Args:
        rule: the class.
        must: stories about which it must speak.
        must_not: stories about which it must be silent.
        limits: thresholds that differ from the rule's defaults, as in `Settings.rules`.
        runs: how many arbitrary sequences of steps are tried.

    Raises:
        AssertionError: it breaks a promise; the text names every one.
    """
    wrong = list(dict.fromkeys(_wrong(rule, (must, must_not), limits or {}, runs)))
    if wrong:
        raise AssertionError(f"{rule.__qualname__}:\n  " + "\n  ".join(wrong[:40]))


def _wrong(
    rule: type[Rule[Any]], stories: tuple[Sequence[Story], ...], own: Mapping[str, Any], runs: int
) -> Iterator[str]:
    if why := fault(rule) if rule not in RULES else "":
        yield why
        return
    for name in ("react", "guards", "origin", "__doc__"):
        if not getattr(rule, name):
            yield f"it says nothing of its `{name}`"
    set_so = {rule.signal: RuleSettings(limits=dict(own))} if own else {}
    small, roomy = (msgspec.structs.replace(one, rules=set_so) for one in (SMALL, ROOMY))
    others = [one for one in RULES if one is not rule]
    among = list(RULES) if rule in RULES else [*others, rule]
    for story in stories[0]:
        yield from _fires(rule, story, roomy)
        yield from _fed_back(rule, story, roomy)
    for story in stories[1]:
        yield from _silent(rule, story, among, roomy)
    for seed in range(runs):
        chance = Random(seed)  # noqa: S311 - repeatable on purpose
        steps = any_steps(chance, 60) if seed % 3 == 0 else busy_steps(chance, 60 + seed * 2)
        for settings in (small, roomy):
            for rules in ([rule], among):
                yield from (
                    f"seed {seed}: {text}" for text in _survives(rule, rules, settings, steps, chance)
                )
    yield from _bounded(rule, small)


def written(story: Story, wrapped: bool = False) -> AgentRun:
    """A story's run."""
    run = AgentRun(getattr(story, "__name__", "story"), wrapped=wrapped)
    story(run)
    return run


def _fires(rule: type[Rule[Any]], story: Story, roomy: Settings) -> Iterator[str]:
    for wrapped in (False, True):
        run = written(story, wrapped)
        direct = _shown(run.findings(Signals(roomy, [rule])))
        if not direct:
            yield f"it is silent about {run.seed}{' with step spans' * wrapped}"
        for order in _ORDERS:
            found = _shown(arrived(run.requests(order, seed=7), Signals(roomy, [rule])))
            if not found:
                yield f"it is silent about {run.seed}, {order}{' with step spans' * wrapped}"
            elif order in ("reversed", "shuffled") and found != direct:
                yield f"of {run.seed}, {order}, it says {found}, not {direct}"


def _silent(
    rule: type[Rule[Any]], story: Story, among: Sequence[type[Rule[Any]]], roomy: Settings
) -> Iterator[str]:
    for wrapped in (False, True):
        for order in _ORDERS:
            run = written(story, wrapped)
            told = arrived(run.requests(order, seed=7), Signals(roomy, among))
            if found := [one for one in told if one.signal == rule.signal]:
                where = f"{run.seed}, {order}{' with step spans' * wrapped}"
                yield f"it speaks about {where}: {found[-1].explanation}"


def _fed_back(rule: type[Rule[Any]], story: Story, roomy: Settings) -> Iterator[str]:
    run = written(story)
    found = run.findings(Signals(roomy, [rule]))
    own = []
    for number, finding in enumerate(found * 20):
        raw = otlp.parse(derived_span(finding))
        span_id = (1 << 60 | number).to_bytes(8, "big")
        own.append(
            Step(
                kind=Kind.OTHER, trace_id=raw.trace_id, span_id=span_id, parent_id=raw.parent_span_id,
                start=raw.start_time_unix_nano, end=raw.end_time_unix_nano, name=SCOPE_NAME,
            )
        )  # fmt: skip
    again = detect([*run.steps(), *own], Signals(roomy, [rule]))
    if _shown(again) != _shown(found):
        yield f"of {run.seed} it says something else when its own findings are fed back"


def _play(
    signals: Signals, steps: Iterable[Step], restarts: frozenset[int] = frozenset()
) -> tuple[Any, Signals]:
    found, saved = list[Finding](), dict[str, bytes]()
    now = 0
    for number, step in enumerate(steps):
        now = number * SECOND
        found += signals.tick(now) + signals.open(step, now)
        if step.kind is Kind.AGENT and step.end:
            found += signals.close(step, now)
        if number in restarts:
            saved.update(signals.dump())
            loaded = Signals(signals.settings, [type(rule) for rule in signals.rules])
            loaded.watch, signals = signals.watch, loaded
            signals.load({key: data for key, data in saved.items() if data})
    for trace_id in TRACES:
        found += signals.end_trace(trace_id, "persisted", now)
    return found, signals


def _survives(
    rule: type[Rule[Any]],
    rules: Sequence[type[Rule[Any]]],
    settings: Settings,
    steps: Sequence[Step],
    chance: Random,
) -> Iterator[str]:
    found, signals = _play(Signals(settings, rules), steps)
    if count := signals.watch.errors.get(rule.signal):
        yield f"it raises ({count} times)"
        return
    if any(one.status == "evicted" for one in found) and not signals.counters.get(EVICTIONS):
        yield "a finding was evicted and nobody counted it"
    again, _ = _play(Signals(settings, rules), steps)
    if found != again:
        yield "the same steps give other findings the second time"
    restarts = frozenset(chance.sample(range(len(steps)), 5))
    restarted, _ = _play(Signals(settings, rules), steps, restarts)
    if found != restarted:
        yield f"a dump and a load after steps {sorted(restarts)} change what is found"
    known = {one for step in steps for one in (step.span_id, step.within)}  # a record's is its span
    yield from _lives([one for one in found if one.signal == rule.signal], known, settings)


def _lives(found: Sequence[Finding], known: set[bytes], settings: Settings) -> Iterator[str]:
    lives: dict[str, list[Finding]] = {}
    for one in found:
        lives.setdefault(one.id, []).append(one)
        if not one.evidence or not set(one.evidence) <= known:
            yield "a finding has no evidence, or evidence that nobody sent"
        if len(one.evidence) > settings.evidence:
            yield f"a finding lists {len(one.evidence)} spans where {settings.evidence} are the bound"
        if len(one.explanation) < 20 or one.explanation.lstrip()[0] in ",;." or one.explanation[-1] != ".":
            yield f"an explanation explains nothing: {one.explanation!r}"
        if one.revision > 0 and finding_of(derived_span(_homed(one))) != one:
            yield "a finding is not what its span says"
    for life in lives.values():
        if [one.revision for one in life] != list(range(1, len(life) + 1)):
            yield "a finding's revisions are not 1, 2, 3, ..."
        if [one.status in _FINAL for one in life] != [False] * (len(life) - 1) + [True]:
            yield f"a finding does not end once: {[one.status for one in life]}"


def _homed(finding: Finding) -> Finding:
    finding.session_id = finding.session_id or finding.trace_id.hex()  # as whoever writes them does
    return finding


def _bounded(rule: type[Rule[Any]], small: Settings) -> Iterator[str]:
    """Its state is as large after long as after twice as long."""
    signals, state = Signals(small, [rule]), dict[str, bytes]()
    chance, sizes = Random(1), list[int]()  # noqa: S311 - as above
    for number, step in enumerate(_different(chance, 2400)):
        signals.open(step, number * SECOND)
        if number % 100 == 99:
            state.update(signals.dump())
            sizes.append(sum(map(len, state.values())))
    half = len(sizes) // 2
    if max(sizes[half:]) > max(sizes[:half]) * 1.3 + 1500:
        yield f"its state grows without bound: {max(sizes[:half])} bytes, then {max(sizes[half:])}"


_VARYING: Final = ("name", "error_text", "user_turns", "user_turn", "view", "call_id", "issued")
_PLAIN: Final = tuple(name for name in FIELDS if name not in _VARYING)
"""Fields that make no step longer, shorter or void."""


def _different(chance: Random, count: int) -> Iterator[Step]:
    """Steps of few lanes and one long turn, most of which have not been seen before."""
    for number in range(0, count, 100):
        for step in busy_steps(chance, 100, _PLAIN):
            step.span_id = number.to_bytes(4, "big") + step.span_id[4:]
            step.start, step.end = step.start + number * SECOND, step.end + number * SECOND
            for name in ("arguments_hash", "result_hash", "error_hash"):
                if getattr(step, name) is not None and chance.random() < 0.7:
                    setattr(step, name, chance.randbytes(16))
            yield step


def _shown(found: Iterable[Finding]) -> list[tuple[Any, ...]]:
    last = {one.id: one for one in found}.values()
    return sorted((one.signal, one.lane, one.count, one.status, tuple(one.evidence)) for one in last)
