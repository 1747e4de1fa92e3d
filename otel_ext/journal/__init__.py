"""Durable append-only segments of opaque bytes; knows nothing of spans.

Laws of this room: success is answered only after the bytes are on the disk (L1); a reader never passes the
durable end (L2); names are never reused and bytes never changed or cut (L5); a failed write or sync ends
the segment, and only a new one whose header states where the old one ends goes on (L6).

`frame.py` and `header.py` draw the format, `recovery.py` says what the bytes mean after a crash,
`tail.py` and `writer.py` append, `reader.py` reads, `verify.py` looks without touching and
`lock.py` keeps a second process out.
"""

from otel_ext.journal.frame import Position, Record
from otel_ext.journal.journal import SEGMENT_BYTES, SYNC_INTERVAL, Journal
from otel_ext.journal.lock import FolderLock, folder_error
from otel_ext.journal.recovery import Recovery
from otel_ext.journal.segment import DamagedRegion
from otel_ext.journal.verify import ScanReport, SegmentReport, scan
from otel_ext.journal.watch import syncs, unsynced_bytes
from otel_ext.journal.writer import SyncMode

__all__ = [
    "SEGMENT_BYTES",
    "SYNC_INTERVAL",
    "DamagedRegion",
    "FolderLock",
    "Journal",
    "Position",
    "Record",
    "Recovery",
    "ScanReport",
    "SegmentReport",
    "SyncMode",
    "folder_error",
    "scan",
    "syncs",
    "unsynced_bytes",
]
