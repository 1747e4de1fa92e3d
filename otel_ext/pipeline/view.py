"""How a running engine stands: sizes and counts for probes and self-metrics.

Law of this file: it is asked from other threads, takes no lock of the pipeline, changes nothing and holds no
content of any span. A number may be of a moment ago.
"""

from typing import Any, NamedTuple

from otel_ext.errors import Retryable
from otel_ext.journal import Journal, syncs, unsynced_bytes
from otel_ext.pipeline.intake import Intake
from otel_ext.pipeline.process import Processor
from otel_ext.stats import Histogram


class View(NamedTuple):
    """How an engine stands.

    Attributes:
        refusal: why a request would be refused now; None when it would be taken.
        stopped: whether the journal is stopped.
        ledger: see `Ledger`.
        open_sessions: sessions whose silence is waited for.
        evictions: what was forgotten to stay within a bound, by what it was.
        rule_errors: how often each rule raised since the start.
        rules_off: rules that were switched off for it, or for being slow.
        lag_items: items in the journal that wait to be processed.
        lag_bytes, lag_seconds: bytes of what came since the start and waits, and the age of its oldest.
        free_bytes: free disk space as last looked at.
        unsynced_bytes: bytes of the journal that are not known to be on the disk.
        syncs: how long each sync of the journal took.
        damaged_regions: damage that was met in the journal and set aside.
    """

    refusal: Retryable | None
    stopped: bool
    ledger: dict[str, Any]
    open_sessions: int
    evictions: dict[str, int]
    rule_errors: dict[str, int]
    rules_off: list[str]
    lag_items: int
    lag_bytes: int
    lag_seconds: float
    free_bytes: int
    unsynced_bytes: int
    syncs: Histogram
    damaged_regions: int


def look(journal: Journal, intake: Intake, processor: Processor) -> View:
    """The engine of these parts, now."""
    refusal = intake.refusal()  # first: it looks at the disk
    ledger = processor.ledger.as_dict()
    watch = processor._detection.watch
    received = sum(counts["received"] for counts in (ledger, ledger["logs"], ledger["metrics"]))
    return View(
        refusal=refusal,
        stopped=journal.stopped is not None,
        ledger=ledger,
        open_sessions=len(processor.members._open),
        evictions={"detectors": processor._detection.evictions, "dedup": processor._window.evicted},
        rule_errors=dict(watch.errors),
        rules_off=list(watch.off),
        lag_items=max(0, journal.items - received),
        lag_bytes=intake.waiting,
        lag_seconds=intake.lag,
        free_bytes=intake.free,
        unsynced_bytes=unsynced_bytes(journal),
        syncs=syncs(journal),
        damaged_regions=len(journal.recovery.damaged_regions),
    )
