"""`docs/signals.md`, made from the rules and their vectors: `python -m tests.signals.page` writes it.

Law of this file: what a rule says of itself is taken from the rule, an example from a run of its first
vector, and a mark in the comparison from a vector or a test that is there.
"""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from otel_ext.signals import RULES, Finding, Levels, Rule, Settings, Signals
from otel_ext.signals.findings.explain import lasting
from otel_ext.signals.settings import SECOND, SEVERITIES
from otel_ext.testing import AgentRun
from tests.signals.vectors import CONFIGURED, Vector, must, must_not
from tests.support import ROOT

PAGE: Final = ROOT / "docs/signals.md"
PARTS: Final = Path(__file__).with_name("pages")
"""What no rule can say: the beginning, and the other products' rows of the comparison."""

FAMILIES: Final = {
    "risk": "what may do harm",
    "loop": "no progress by repetition",
    "waste": "resources spent for nothing",
    "latency": "models that have become slow",
    "behavior": "how an agent works",
    "termination": "how a run ends",
}


TAXONOMY: Final = {
    "loop": "exact_repeat repeat_unverified error_repeat error_variants cycle cycle_unverified near_duplicate"
    " same_result low_novelty tool_streak edit_test_thrash noop_edit state_oscillation state_stagnation"
    " poll_stalled text_chant text_streak reasoning_repeat monologue empty_response invalid_tool"
    " handoff_ping_pong delegation_recursion gate replan_stall compaction_thrash compaction_persisted",
    "waste": "redundant_read subsumed_read compaction_reread duplicate_fanout cross_agent_duplicate"
    " unused_result failed_call retry_storm retry_no_backoff retry_amplification cache_bust"
    " cache_write_unread context_growth oversized_result truncated_output sleep_poll no_batch"
    " over_delegation abandoned_subagent post_completion cost_spike cost_velocity shadowed_write",
    "risk": "duplicate_side_effect",
    "termination": "premature dead_end limit_hit stalled silent_tool_error",
    "behavior": "no_verification blind_edit single_tool_dependency output_decay input_growth",
}
"""Every signal of the taxonomy that this project began with."""

NOT_COMPUTED: Final = {
    "waste.unused_result": "it needs the text of every later input of the agent beside the result; steps"
    " hold digests, and a digest of a passage cannot be found inside a longer text. Looking only for the"
    " call's id would need every input parsed whole, which costs more than all rules together",
    "loop.gate": "a hook, verifier or guardrail that rejects says so in no convention; where its rejection is"
    " a call's failure, `loop.error_repeat`, `loop.error_variants` and `loop.error_streak` tell it",
    "termination.stalled": "it needs to know that an agent is still open while nothing comes; a sidecar"
    " hears of spans when they end. A session that falls silent with a root missing is told as"
    " `termination.interrupted`",
}
"""Signals that telemetry does not allow, and why."""

NO: Final = "\N{EN DASH}"

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "exact repeat": ("must:loop.exact_repeat",),
    "uses RESULT": ("must_not:pagination",),
    "period ≥2": ("must:loop.cycle",),
    "error repeat": ("must:loop.error_repeat",),
    "error variants": ("must:loop.error_variants",),
    "near-dup": ("must:loop.near_duplicate",),
    "same result / varied args": ("must:loop.same_result",),
    "text/monologue": ("must:loop.text_streak", "must:loop.monologue"),
    "poll guard": ("must_not:poll_nine", "must_not:waiting_nine"),
    "parallel-aware": ("must_not:fan_out",),
    "write guard": ("must_not:read_edit_read",),
    "compaction": ("must:loop.compaction_thrash",),
    "no-progress state": ("must:loop.state_stagnation",),
    "waste/cost": ("must:waste.failed_call", "test:tests/signals/test_waste.py"),
    "emits telemetry": ("test:tests/signals/test_derived.py", "test:tests/signals/test_vectors.py"),
}
"""What proves each mark of our row: a signal's first vector, a story that must stay silent, a test file."""


def page() -> str:
    """The whole page."""
    parts = [(PARTS / "head.md").read_text(), "\n".join(_bounds())]
    for family, words in FAMILIES.items():
        rules = [rule for rule in RULES if rule.signal.partition(".")[0] == family]
        if rules:
            parts.append(f"## `{family}.*`: {words}\n")
            parts += ["\n".join(_rule(rule)) for rule in sorted(rules, key=lambda rule: rule.id)]
    parts += ["\n".join(_absent()), "\n".join(_matrix())]
    return "\n".join(parts)


def example(rule: type[Rule[Any]]) -> Finding | None:
    """The last word of a rule about its first vector, among all rules or else alone."""
    ruled = {name: told for name, told in CONFIGURED.items() if name == rule.signal}
    for vector in _of(rule.signal):
        for rules in (RULES, (rule,)):
            run = AgentRun(vector.story.__name__)
            vector.story(run)
            told = run.findings(Signals(Settings(rules=ruled), rules))
            found = [one for one in told if one.signal == rule.signal]
            if found:
                return found[-1]
    return None


def _bounds() -> Iterator[str]:
    meanings, settings = _meanings(Settings), Settings()
    yield "| key of `processors.signals` | default | |\n|---|---|---|"
    for field in msgspec.structs.fields(Settings):
        shown = _number(getattr(settings, field.name), meanings[field.name])
        yield f"| `{field.name}` | {shown} | {_plain(meanings[field.name])} |"
    yield ""


def _number(value: object, meaning: str) -> str:
    """A default as people read it."""
    if isinstance(value, Levels):
        named = [f"{name} {getattr(value, name)}" for name in SEVERITIES if getattr(value, name)]
        return ", ".join(named) or "never"
    if isinstance(value, int) and re.match(r"ns\b", meaning) and value >= SECOND // 1000:
        return f"{value} ({lasting(value)})"
    return f"`{json.dumps(value)}`" if isinstance(value, str | dict | tuple) else str(value)


def _of(signal: str) -> list[Vector]:
    return [vector for vector in must() if signal in vector.signal.split("|")]


def _rule(rule: type[Rule[Any]]) -> Iterator[str]:
    yield f"### {rule.signal}\n"
    yield f"{_plain(inspect.getdoc(rule) or '')}\n"
    if rule.react:
        yield f"**What to do.** {_plain(rule.react)}\n"
    if shown := example(rule):
        yield f"> {_plain(shown.explanation)}\n"
        yield f"(`{_of(rule.signal)[0].story.__name__}`: {shown.severity}, {shown.confidence})\n"
    thresholds = list(_thresholds(rule))
    if thresholds:
        yield "| threshold | default | |\n|---|---|---|"
        yield from thresholds
        yield ""
    if rule.guards:
        yield "Guards: " + "; ".join(_plain(guard) for guard in rule.guards) + ".\n"
    counts = "" if rule.counts else ", exempt tools included"
    turns = "a person's next turn ends it" if rule.per_turn else "it outlasts a person's turns"
    yield f"Rule `{rule.id}`, version {rule.version}; {turns}{counts}."
    yield f"Origin: {_plain(rule.origin)}\n" if rule.origin else ""


def _thresholds(rule: type[Rule[Any]]) -> Iterator[str]:
    meanings = _meanings(rule.limits_type)
    limits = rule.limits_type()
    for field in msgspec.structs.fields(rule.limits_type):
        meaning = meanings.get(field.name, "")
        shown = _number(getattr(limits, field.name), meaning)
        yield f"| `{field.name}` | {shown} | {_plain(meaning)} |"


def _meanings(kind: type) -> dict[str, str]:
    """What a docstring's `Attributes:` say, by name."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in (inspect.getdoc(kind) or "").partition("Attributes:\n")[2].splitlines():
        if match := re.match(r" {4}([a-z_, ]+): (.*)", line):
            names = match[1].split(", ")
            found |= dict.fromkeys(names, match[2])
        elif line.startswith(" " * 8):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            break
    return found


def _absent() -> Iterator[str]:
    known = {rule.signal for rule in RULES}
    names = [f"{family}.{name}" for family, text in TAXONOMY.items() for name in text.split()]
    yield "## What is not told\n"
    yield "Of the taxonomy that the rules were taken from, and why:\n"
    for name in names:
        if name not in known:
            yield f"- `{name}`: {NOT_COMPUTED.get(name, 'there is no rule yet')}."
    yield ""


def _matrix() -> Iterator[str]:
    head, rule, *rows = (PARTS / "peers.md").read_text().splitlines()
    columns = [cell.strip() for cell in head.strip("|").split("|")][1:]
    assert columns == [*COLUMNS], "the comparison has other columns now"
    yield "## Beside others\n"
    yield f"As read from their sources (● yes, ◐ partial, {NO} no; a number is a threshold). Each mark of"
    yield "ours is proven below.\n"
    yield from (head, rule, *rows)
    proofs = {column: [_proof(one) for one in wanted] for column, wanted in COLUMNS.items()}
    marks = {column: "●" if all(found) else NO for column, found in proofs.items()}
    yield "| **otel_ext** | " + " | ".join(marks.values()) + " |\n"
    for column, found in proofs.items():
        if all(found):
            yield f"- {column}: {', '.join(found)}"


def _proof(wanted: str) -> str:
    """Where a mark is proven, "" where it is not."""
    kind, _, name = wanted.partition(":")
    if kind == "test":
        return f"`{name}`" if (ROOT / name).exists() else ""
    if kind == "must_not":
        stories = [one.story.__name__ for one in must_not() if one.story.__name__ == name]
        return f"`{stories[0]}` stays silent" if stories else ""
    found = _of(name) if name in {rule.signal for rule in RULES} else []
    return f"`{found[0].story.__name__}` is told as `{name}`" if found else ""


def _plain(text: str) -> str:
    """One paragraph a blank line apart, no line breaks inside, nothing that a table takes for its own."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE}: {len(RULES)} rules")
