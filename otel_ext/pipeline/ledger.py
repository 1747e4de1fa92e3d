"""The conservation ledger: everything received ends in exactly one counted outcome (law L4)."""

from typing import Any

import msgspec

from otel_ext.telemetry import Telemetry


class Counts(msgspec.Struct, kw_only=True):
    """Counts of log records or data points, which balance on their own.

    They have no identity, so none is ever a re-delivery: what was sent twice is stored twice.

    Attributes:
        received: counted from the journal's records alone, independently of the outcomes below.
        stored: written to files.
        rejected: by reason, refused one by one and told to the sender.
        lost: by reason, received but not kept.
        waiting: neither stored nor lost yet: spans held for their session id; of the others, what `reindex`
            found in the journal only.
    """

    received: int = 0
    stored: int = 0
    rejected: dict[str, int] = {}
    lost: dict[str, int] = {}
    waiting: int = 0

    def reject(self, reasons: dict[str, int]) -> None:
        """Count what was rejected, by reason."""
        for reason, count in reasons.items():
            self.rejected[reason] = self.rejected.get(reason, 0) + count

    def lose(self, reason: str, count: int) -> None:
        """Count what was lost."""
        if count:
            self.lost[reason] = self.lost.get(reason, 0) + count

    @property
    def balance(self) -> int:
        """Received less all outcomes; anything but 0 is a defect of this program."""
        outcomes = self.stored + sum(self.rejected.values()) + sum(self.lost.values())
        return self.received - outcomes - self.waiting


class Ledger(Counts, kw_only=True):
    """Counts over the life of a data folder, written with each checkpoint; those of `Counts` are of spans.

    Attributes:
        duplicate: re-deliveries, dropped.
        derived: our own spans, which nobody sent.
        unfinished: of the stored, those that had begun and whose end never came.
        conflicts: of the stored, those that had the ids of another span with other content.
        findings: how many findings there were, by signal; revisions of one are one.
        logs, metrics: the counts of log records and of data points.
    """

    duplicate: int = 0
    derived: int = 0
    unfinished: int = 0
    conflicts: int = 0
    findings: dict[str, int] = {}
    logs: Counts = msgspec.field(default_factory=Counts)
    metrics: Counts = msgspec.field(default_factory=Counts)

    def of(self, telemetry: Telemetry | None) -> Counts:
        """The counts of spans, log records or data points."""
        return {Telemetry.LOGS: self.logs, Telemetry.METRICS: self.metrics}.get(
            telemetry or Telemetry.TRACES, self
        )

    def damaged(self, items: int) -> None:
        """Count what was lost with damaged records; of what it was nobody can tell, so it counts as spans."""
        self.received += items
        self.lose("journal_damage", items)

    def find(self, signal: str) -> None:
        """Count a finding."""
        self.findings[signal] = self.findings.get(signal, 0) + 1

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain data."""
        counts: dict[str, Any] = msgspec.to_builtins(self)
        return counts

    @property
    def balance(self) -> int:
        """As of `Counts`; of spans."""
        return super().balance - self.duplicate
