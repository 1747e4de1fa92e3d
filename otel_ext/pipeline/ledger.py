"""The conservation ledger: every span received ends in exactly one counted outcome (law L4)."""

from typing import Any

import msgspec


class Ledger(msgspec.Struct, kw_only=True):
    """Counts of spans over the life of a data folder, written with each checkpoint.

    Attributes:
        received: counted from the journal's records alone, independently of the outcomes below.
        stored: written to session files.
        duplicate: re-deliveries, dropped.
        rejected: by reason, refused one by one and told to the sender.
        lost: by reason, received but not kept.
        waiting: held for their session id; they are neither stored nor lost yet.
        derived: our own spans, which nobody sent.
        unfinished: of the stored, those that had begun and whose end never came.
        conflicts: of the stored, those that had the ids of another span with other content.
        findings: how many findings there were, by signal; revisions of one are one.
    """

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: dict[str, int] = {}
    lost: dict[str, int] = {}
    waiting: int = 0
    derived: int = 0
    unfinished: int = 0
    conflicts: int = 0
    findings: dict[str, int] = {}

    def reject(self, reasons: dict[str, int]) -> None:
        """Count rejected spans by reason."""
        for reason, count in reasons.items():
            self.rejected[reason] = self.rejected.get(reason, 0) + count

    def lose(self, reason: str, count: int) -> None:
        """Count lost spans."""
        if count:
            self.lost[reason] = self.lost.get(reason, 0) + count

    def find(self, signal: str) -> None:
        """Count a finding."""
        self.findings[signal] = self.findings.get(signal, 0) + 1

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain data."""
        counts: dict[str, Any] = msgspec.to_builtins(self)
        return counts

    @property
    def balance(self) -> int:
        """Received less all outcomes; anything but 0 is a defect of this program."""
        outcomes = self.stored + self.duplicate + sum(self.rejected.values()) + sum(self.lost.values())
        return self.received - outcomes - self.waiting
