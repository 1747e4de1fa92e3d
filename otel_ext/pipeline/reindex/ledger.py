"""The ledger made anew of what was told and what was found.

Law of this file: what was received stays what was counted from records; where files and totals disagree,
spans are lost, not forgotten.
"""

from typing import NamedTuple

from otel_ext.pipeline.ledger import Ledger


class Found(NamedTuple):
    """What was found of the spans of a folder; `marked`, `again`, `damaged`: see `Unread` and `Retold`."""

    stored: int
    derived: int
    unfinished: int
    conflicts: int
    marked: int
    again: int
    damaged: int


def balance(ledger: Ledger, found: Found) -> None:
    """Make the last totals, with what came behind them, the ledger as of the journal's end."""
    stored, unfinished, duplicate = ledger.stored, ledger.unfinished, ledger.duplicate
    ledger.stored, ledger.derived = found.stored, found.derived
    ledger.lose("damage", max(found.damaged, stored - found.stored))
    ledger.unfinished = max(unfinished, found.unfinished)
    ledger.conflicts = max(ledger.conflicts, found.conflicts)
    # Unfinished spans of a death behind the totals count as received when they are written.
    ledger.received += max(0, ledger.unfinished - unfinished - found.marked)
    ledger.waiting, ledger.duplicate = found.again, 0
    left = ledger.balance
    ledger.duplicate = max(left, duplicate)
    ledger.received += ledger.duplicate - left
