"""Every bound of the detectors, and what a user says of single rules.

Law of this file: nothing here is computed. A rule's thresholds are in its own `Limits`, and no rule holds a
number outside them that a user might want to change; a threshold of 0 means "never".
"""

from datetime import date
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from otel_ext.step import Effect

SECOND: Final = 1_000_000_000
"""ns in a second."""

MINUTE: Final = 60 * SECOND
"""ns in a minute."""

Severity: TypeAlias = Literal["notice", "warning", "error", "critical"]
"""How bad, in the words of the log severities 9, 13, 17 and 21."""

SEVERITIES: Final[tuple[Severity, ...]] = ("notice", "warning", "error", "critical")
"""All severities, mildest first."""


class Levels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which count on a finding has which severity; 0 means never."""

    notice: int = 0
    warning: int = 0
    error: int = 0
    critical: int = 0

    def severity(self, count: int, factor: int = 1) -> Severity | None:
        """The severity of `count`, each threshold taken `factor` times; None below all of them."""
        if self.critical and count >= self.critical * factor:
            return "critical"
        if self.error and count >= self.error * factor:
            return "error"
        if self.warning and count >= self.warning * factor:
            return "warning"
        return "notice" if self.notice and count >= self.notice * factor else None

    def as_dict(self) -> dict[str, int]:
        """The thresholds that are in use, as a finding states them."""
        return {name: value for name in SEVERITIES if (value := getattr(self, name))}


Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
"""An amount of money."""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
AtLeastOne: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]

Mode: TypeAlias = Literal["on", "off", "shadow"]
"""Whether a rule is asked, and whether it is heard: one in shadow is computed and recorded, nothing more."""


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user says of one rule.

    Attributes:
        mode: "off" switches it off; "shadow" has it computed and recorded, and tells nobody.
        limits: thresholds that differ from the defaults, by their names in the rule's `Limits`.
    """

    mode: Mode = "on"
    limits: dict[str, Any] = {}


class Mute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Findings that are recorded and not told. All that is given must agree; at least one must be.

    Attributes:
        rule: the signal, or a pattern ("waste.*").
        tool: the tool's name, or a pattern.
        agent: the agent's name, or a pattern.
        until: the first day (UTC) on which they are told again; for ever when left out.
    """

    rule: str = ""
    tool: str = ""
    agent: str = ""
    until: date | None = None

    def __post_init__(self) -> None:
        if not (self.rule or self.tool or self.agent):
            raise ValueError("say whom to mute: a rule, a tool or an agent")


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model's tokens cost, in the currency of the settings per million tokens.

    Attributes:
        input: tokens in that were neither read from a cache nor written to one.
        output: tokens out.
        cached: tokens in that were read from a cache; as `input` when left out.
        created: tokens in that were written to a cache; as `input` when left out.
    """

    input: Amount
    output: Amount
    cached: Amount | None = None
    created: Amount | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the detectors keep, for how long, and from when on they speak. Durations are ns.

    Attributes:
        lanes: lanes kept; the least recently used one goes first.
        keys: keys that each table of a rule keeps in a lane.
        tracks: keys that all tables of all lanes keep, about 2 kB each at work; beyond it the least recently
            used lane goes.
        ttl: ns; a lane or trace without a step for so long is evicted. An agent that sleeps longer between
            two steps is followed only with a larger value.
        traces: traces whose structure is remembered.
        spans_per_trace: spans of one trace whose parent is remembered.
        pending: steps kept of a lane whose own span has not arrived, so that it can still fold.
        evidence: span ids listed in one finding.
        owned: spans of one lane whose owner is remembered.
        rules: settings of single rules, by signal, e.g. "waste.failed_call".
        effects: what a tool does, by its name; overrides every built-in guess.
        prices: of models, by a pattern of their names ("claude-*"); the first that matches counts. There are
            no built-in ones.
        tool_prices: of one call, by the tool's name.
        currency: of all prices. What producers say that a call cost is in US dollars and is used only
            where this is USD.
        mute: findings that are recorded and not told.
        most_errors: a rule that raised so often is off until the process ends; 0 for never.
        budget: ns of CPU that one hook of a rule may use on average; a rule far beyond it is off until the
            process ends. 0 for no limit.
        baselines: agents and models whose usual cost and pace are remembered beyond one trace.
    """

    lanes: AtLeastOne = 1024
    keys: AtLeastOne = 64
    tracks: AtLeastOne = 65_536
    ttl: AtLeastOne = 2 * 60 * MINUTE
    traces: AtLeastOne = 1024
    spans_per_trace: AtLeastOne = 2048
    pending: Count = 32
    evidence: Annotated[int, msgspec.Meta(ge=3)] = 16
    owned: AtLeastOne = 256
    rules: dict[str, RuleSettings] = {}
    effects: dict[str, Effect] = {}
    prices: dict[str, Price] = {}
    tool_prices: dict[str, Amount] = {}
    currency: str = "USD"
    baselines: AtLeastOne = 2048
    mute: tuple[Mute, ...] = ()
    most_errors: Count = 100
    budget: Count = 1_000_000
