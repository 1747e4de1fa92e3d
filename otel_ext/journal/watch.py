"""What can be seen of a journal from outside, for self-metrics.

Law of this file: it takes no lock and changes nothing, so a number may be of a moment ago.
"""

from otel_ext.journal.journal import Journal
from otel_ext.stats import Histogram


def syncs(journal: Journal) -> Histogram:
    """How long each sync took, in seconds."""
    return journal._writer.syncs


def unsynced_bytes(journal: Journal) -> int:
    """Bytes written and not known to be on the disk."""
    segment, offset = journal.durable_end
    later = [each for each in list(journal._table.alive()) if each.sequence >= segment]
    return sum(max(0, each.end - (offset if each.sequence == segment else 0)) for each in later)
