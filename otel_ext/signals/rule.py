"""The frame of a rule: hooks that the fold calls, and the words a rule needs to answer.

Law of this file: a rule is stateless. What it must remember lives in its lane's tables, under names that
begin with the rule's id, so that it is dumped, bounded and evicted without the rule's help. A rule sees
steps and marks, never spans or payload, and it speaks only through `episodes`.
"""

from collections.abc import Mapping
from typing import ClassVar, Generic, TypeVar, get_args

import msgspec

from otel_ext.signals.findings.finding import Finding, Status
from otel_ext.signals.hears import Hears
from otel_ext.signals.lane.baselines import Baselines
from otel_ext.signals.lane.lanes import Lane, Trace
from otel_ext.signals.lane.rounds import Round
from otel_ext.signals.lane.tracks import Met, Track
from otel_ext.signals.lane.waste import Mark
from otel_ext.signals.settings import Levels, Settings
from otel_ext.signals.watch import Watch
from otel_ext.step import Step

LONGEST_NAME = 200
"""Characters of a name that are kept."""


class Context(msgspec.Struct, gc=False):
    """What a hook may look at and write to: its lane, and where findings go.

    Attributes:
        lane: the lane of the step; the trace's own one in the hook `agent_ended`.
        baselines: what is usual beyond this trace, for rules that compare runs.
        watch: who calls the hooks.
        answer: the newest model step as evidence, made once for all rules.
    """

    settings: Settings
    lane: Lane
    trace: Trace
    found: list[Finding]
    counters: dict[str, int]
    baselines: Baselines
    watch: Watch
    answer: "Call | None" = None

    def count(self, name: str) -> None:
        """Add one to a counter."""
        self.counters[name] = self.counters.get(name, 0) + 1


class Call(msgspec.Struct, gc=False):
    """A tool call on its way through the rules, most serious rule first; also a model step as evidence.

    Attributes:
        tool: the tool's name, cut to a bounded length.
        key: tool and arguments; empty when the arguments were not captured.
        relaxed: tool and arguments without free-text labels; equal to `key` when they hold none.
        mark: what it costs, worked out when a rule first counts it; each track takes a copy.
        met: the call as what was met once remembers it, made when a rule first asks.
        outcome: 16 bytes for the arguments and what came of them, made when a rule first asks (`outcome_of`).
    """

    step: Step
    round: Round
    tool: str
    key: bytes = b""
    relaxed: bytes = b""
    mark: Mark | None = None
    met: Met | None = None
    outcome: bytes = b""


def call_of(step: Step, at: Round) -> Call:
    """A tool step as the rules see it."""
    tool = step.name[:LONGEST_NAME]
    if step.arguments_hash is None:
        return Call(step, at, tool)
    key = key_of(tool, step.arguments_hash)
    return Call(step, at, tool, key, key_of(tool, step.relaxed_hash) if step.relaxed_hash else key)


def evidence(context: Context, step: Step) -> Call:
    """A step that is no tool call, to be counted as evidence."""
    answer = context.answer
    if answer is None or answer.step is not step:
        recent = context.lane.rounds.recent
        answer = context.answer = Call(step, recent[-1] if recent else Round(0), "")
    return answer


def key_of(tool: str, digest: bytes) -> bytes:
    """A table's key for a tool and a digest; a digest has a fixed length, so this is injective."""
    return tool.encode("utf-8", "surrogatepass") + b"\0" + digest


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The thresholds of one rule: every number of it that a user might want to change. 0 means never.

    A subclass says in its `Attributes` what each means and in which unit; the catalogue prints that.
    """


LimitsT = TypeVar("LimitsT", bound=Limits)


class Rule(Generic[LimitsT]):
    """One detector: `class MyRule(Rule[MyLimits])`. Subclasses override the hooks they need.

    The docstring is the definition that the catalogue prints.

    Args:
        limits: the thresholds; the defaults unless given.

    Attributes:
        id: stable id, e.g. "OTX-L001"; also the prefix of the rule's tables.
        signal: the signal's name in the taxonomy, also the place of the file: `rules/<family>/<name>.py`.
        react: what to do about a finding, a sentence or two.
        guards: what keeps it from speaking wrongly, each a short clause.
        origin: who else knows the rule and where ours differs.
        costs: whose cost an explanation tells, e.g. "the retries".
        version: grows when the same steps may give different findings.
        per_turn: a genuine user turn ends what is open (precision rule 9).
        counts: it counts repetition, which says nothing about exempt tools (precision rule 10).
        hears: which calls `call` is called for; `hears_model` which model steps `model` is. All unless said.
        owns: what it finds is waste, so it owns its evidence (rule 14); one that does not only looks on, and
            must speak no sooner than in `ended` or `closing`.
        deaf: without limits that a user sets it never speaks, so it is not called.
        alone: one occurrence is enough for one of its levels; of the instance, by its limits.
    """

    id: ClassVar[str]
    signal: ClassVar[str]
    react: ClassVar[str] = ""
    guards: ClassVar[tuple[str, ...]] = ()
    origin: ClassVar[str] = ""
    costs: ClassVar[str] = "the repeats"
    version: ClassVar[int] = 1
    per_turn: ClassVar[bool] = True
    counts: ClassVar[bool] = True
    hears: ClassVar[Hears] = Hears()
    hears_model: ClassVar[Hears] = Hears()
    owns: ClassVar[bool] = True
    deaf: bool = False
    limits_type: ClassVar[type[Limits]] = Limits

    def __init_subclass__(cls) -> None:
        """Learn the type of the limits from `Rule[...]`."""
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(base):
                if isinstance(argument, type) and issubclass(argument, Limits):
                    cls.limits_type = argument

    def __init__(self, limits: LimitsT | None = None) -> None:
        self.limits: LimitsT = limits if limits is not None else self.limits_type()  # type: ignore[assignment]
        each = (getattr(self.limits, name) for name in self.limits.__struct_fields__)
        self.alone = any(isinstance(value, Levels) and value.severity(1) is not None for value in each)

    def call(self, context: Context, call: Call) -> None:
        """A tool call happened."""

    def model(self, context: Context, step: Step) -> None:
        """A model was called; the round has advanced already."""

    def wrote(self, context: Context, call: Call) -> None:
        """A successful write changed the world: what was learned before it may be asked again."""

    def ended(self, context: Context, status: Status) -> None:
        """The lane ends; what it still has open is closed after this."""

    def agent_ended(self, context: Context, step: Step) -> None:
        """An agent ended, be it one without any step; the context's lane is the trace's own."""

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """A track is about to go, by the lane's end or by eviction."""

    def thresholds(self, track: Track) -> Mapping[str, int]:
        """The thresholds that this track's finding states."""
        return {}

    def missing(self, context: Context, track: Track) -> list[str]:
        """What was not captured, beyond what the frame knows itself."""
        return []

    def explain(self, context: Context, track: Track) -> str:
        """What happened and what to do, as one sentence without the cost; ends without a full stop."""
        return f"{track.tool} matched {self.signal} {track.count} times"
