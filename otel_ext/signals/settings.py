"""Every threshold and every bound of the detectors, in one place.

Law of this file: nothing here is computed, and no rule holds a number of its own that a user might
want to change. The defaults are those of the taxonomy in `docs/signals` (measured where they could be);
a threshold of 0 means "never".
"""

from typing import Final, Literal, TypeAlias

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


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the detectors keep, for how long, and from when on they speak. Durations are ns.

    Attributes:
        lanes: lanes kept; the least recently used one goes first.
        keys: keys that each table of a rule keeps in a lane.
        ttl: a lane or trace without a step for so long is evicted. An agent that sleeps longer between two
            steps is followed only with a larger value.
        traces: traces whose structure is remembered.
        spans_per_trace: spans of one trace whose parent is remembered.
        pending: steps kept of a lane whose own span has not arrived, so that it can still fold.
        evidence: span ids listed in one finding.
        owned: spans of one lane whose owner is remembered.
        exact_repeat: rounds with the same call and the same result.
        error_repeat: rounds with the same call and the same failure.
        transient_repeat: the same for failures that waiting mends (precision rule 5).
        transient_after: so long a row of transient failures (3 or more) is a loop as well.
        error_variants: rounds in which one tool failed alike with two or more sets of arguments.
        error_across: failures alike among the last `error_across_window`, over two or more tools.
        error_across_window: how many failures of a lane are looked back at.
        poll_stalled: unchanged answers to a poll.
        poll_after: so long without a change (3 polls or more) is stalled as well.
        disabled: signals that are switched off, e.g. "waste.failed_call".
        effects: what a tool does, by its name; overrides every built-in guess.
    """

    lanes: int = 1024
    keys: int = 64
    ttl: int = 2 * 60 * MINUTE
    traces: int = 1024
    spans_per_trace: int = 2048
    pending: int = 32
    evidence: int = 16
    owned: int = 256
    exact_repeat: Levels = Levels(notice=3, warning=5, error=10, critical=20)
    error_repeat: Levels = Levels(notice=2, warning=3, error=4)
    transient_repeat: Levels = Levels(warning=6, error=12)
    transient_after: int = 5 * MINUTE
    error_variants: Levels = Levels(warning=3)
    error_across: Levels = Levels(warning=5)
    error_across_window: int = 6
    poll_stalled: Levels = Levels(notice=10, warning=20, error=30)
    poll_after: int = 10 * MINUTE
    disabled: tuple[str, ...] = ()
    effects: dict[str, Effect] = {}
