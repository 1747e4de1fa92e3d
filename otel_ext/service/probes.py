"""What the sidecar says of itself: samples for `/metrics`, and what probes ask for.

Law of this file: it only reads. Counts of doors are those of `admission`; counts that must survive a restart
come from the ledger, which lies with the data that it speaks of.
"""

import json
import resource
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from otel_ext import memory
from otel_ext.clock import Clock
from otel_ext.exporters import Forwarder
from otel_ext.pipeline import BUDGETS, REFUSED, View
from otel_ext.receivers import Budget
from otel_ext.service.admission import Doorkeeper
from otel_ext.service.metrics import Sample, exposition, histogram, labelled
from otel_ext.service.web import Answer, Routes
from otel_ext.signals import ENDS
from otel_ext.stats import Stats
from otel_ext.telemetry import ITEMS, Telemetry
from otel_ext.turns import WHY, Turns

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_COUNTED: Final = {
    "otel_ext_quarantined_files_total": "otel_ext.sessions.quarantined_files",
    "otel_ext_receiver_failures_total": "otel_ext.receiver.permanent",
    "otel_ext_pipeline_pauses_total": "otel_ext.pipeline.pauses",
    "otel_ext_pipeline_failed_records_total": "otel_ext.pipeline.failed_records",
}
"""Metrics that are counters of `Stats`."""


class SelfTelemetry:
    """Answers for the side doors.

    Args:
        view: how the engine stands.
        doors: what came in.
        stats: the process's counters.
        ready: whether requests are wanted; it says no as soon as a drain begins.
        alive: whether all doors are served.
        forwarders: what goes out.
        turns, budget: what requests wait for, and what those being received use.
    """

    def __init__(
        self,
        view: Callable[[], View],
        doors: Doorkeeper,
        stats: Stats,
        clock: Clock,
        *,
        ready: Callable[[], bool],
        alive: Callable[[], bool],
        forwarders: Sequence[Forwarder],
        turns: Turns,
        budget: Budget,
    ) -> None:
        self._view, self._doors, self._stats, self._clock, self._ready = view, doors, stats, clock, ready
        self._forwarders, self._alive = forwarders, alive
        self._turns, self._budget = turns, budget
        self._since, self._began = clock.now(), clock.monotonic()

    def health(self) -> Routes:
        """The paths of the health door."""
        return {"/": self._collector, "/livez": self._live, "/readyz": self._readyz}

    def metrics(self) -> Routes:
        """The path of the metrics door."""
        return {"/metrics": lambda: Answer(200, _TEXT, exposition(self.samples()))}

    def _live(self) -> Answer:
        if self._alive():
            return Answer(200, "text/plain", "ok\n")
        return Answer(503, "text/plain", "a door is not served any more\n")

    def _readyz(self) -> Answer:
        return (
            Answer(200, "text/plain", "ok\n") if self._ready() else Answer(503, "text/plain", "not ready\n")
        )

    def _collector(self) -> Answer:
        """What the Collector's health_check extension answers at `/`."""
        up = (self._clock.monotonic() - self._began) / 1e9
        if self._ready():
            text = {"status": "Server available", "upSince": _rfc3339(self._since), "uptime": f"{up:.9f}s"}
            return Answer(200, "application/json", json.dumps(text))
        return Answer(503, "application/json", json.dumps({"status": "Server not available"}))

    def samples(self) -> Iterator[Sample]:
        """Every sample there is now."""
        yield from self._doors.samples()
        yield from self._admission()
        for forwarder in self._forwarders:
            yield from _exporter(forwarder)
        view = self._view()
        yield Sample("otel_ext_ready", (), int(self._ready()))
        yield from self._process()
        yield from _ledger(view.ledger)
        yield Sample("otel_ext_journal_stopped", (), int(view.stopped))
        syncs = view.syncs
        yield from histogram("otel_ext_journal_sync_seconds", syncs.bounds, list(syncs.counts), syncs.total)
        yield Sample("otel_ext_journal_unsynced_bytes", (), view.unsynced_bytes)
        yield Sample("otel_ext_journal_damaged_regions", (), view.damaged_regions)
        yield Sample("otel_ext_disk_free_bytes", (), view.free_bytes)
        yield Sample("otel_ext_pipeline_lag_items", (), view.lag_items)
        yield Sample("otel_ext_pipeline_lag_bytes", (), view.lag_bytes)
        yield Sample("otel_ext_pipeline_lag_seconds", (), view.lag_seconds)
        yield Sample("otel_ext_sessions_open", (), view.open_sessions)
        yield from labelled("otel_ext_detector_errors_total", view.rule_errors)
        yield from labelled("otel_ext_detector_off", dict.fromkeys(view.rules_off, 1))
        yield from labelled("otel_ext_evictions_total", view.evictions)
        for name, counter in _COUNTED.items():
            yield Sample(name, (), self._stats.get(counter))

    def _admission(self) -> Iterator[Sample]:
        turns = self._turns.state
        refused = {budget: self._stats.get(f"{REFUSED}.{budget}") for budget in BUDGETS}
        refused |= {"received": self._budget.refused, **dict.fromkeys(WHY, 0), **turns.refused}
        yield from labelled("otel_ext_admission_refused_requests_total", refused)
        yield Sample("otel_ext_admission_inside", (), turns.inside)
        yield Sample("otel_ext_admission_waiting", (), turns.waiting)

    def _process(self) -> Iterator[Sample]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        up = (self._clock.monotonic() - self._began) / 1e9
        yield Sample("otelcol_process_uptime_total", (), up)
        yield Sample("otelcol_process_cpu_seconds_total", (), used.ru_utime + used.ru_stime)
        yield Sample("otelcol_process_memory_rss", (), memory.resident())


def _exporter(forwarder: Forwarder) -> Iterator[Sample]:
    name, feed = forwarder.settings.name, forwarder.feed
    for telemetry in Telemetry:
        word = ITEMS[telemetry]
        yield Sample(f"otelcol_exporter_sent_{word}_total", (name,), forwarder.sent[telemetry])
        yield Sample(f"otelcol_exporter_send_failed_{word}_total", (name,), forwarder.failed[telemetry])
    yield Sample("otelcol_exporter_queue_size", (name,), feed.queue_bytes)
    yield Sample("otelcol_exporter_queue_capacity", (name,), feed.budget)
    for outcome, count in msgspec.structs.asdict(feed.cursor.tally).items():
        if outcome != "received":
            yield Sample("otel_ext_exporter_outcomes_total", (name, outcome), count)


def _ledger(ledger: dict[str, Any]) -> Iterator[Sample]:
    yield from _balance("traces", ledger, {("duplicate", ""): ledger["duplicate"]})
    for kind in ("logs", "metrics"):
        yield from _balance(kind, ledger[kind], {})
    found: dict[str, int] = ledger["findings"]
    ends = {name.rpartition(".")[2]: count for name, count in found.items() if name in ENDS}
    yield from labelled("otel_ext_sessions_ended_total", ends)
    yield from labelled(
        "otel_ext_findings_total",
        {name: count for name, count in found.items() if name not in ENDS},
    )


def _balance(kind: str, counts: dict[str, Any], more: dict[tuple[str, str], int]) -> Iterator[Sample]:
    outcomes = {("stored", ""): counts["stored"], **more}
    for outcome in ("rejected", "lost"):
        outcomes.update({(outcome, reason): count for reason, count in counts[outcome].items()})
    yield Sample("otel_ext_ledger_received_total", (kind,), counts["received"])
    for (outcome, reason), count in outcomes.items():
        yield Sample("otel_ext_ledger_outcomes_total", (kind, outcome, reason), count)
    yield Sample("otel_ext_ledger_waiting", (kind,), counts["waiting"])
    rest = counts["received"] - sum(outcomes.values()) - counts["waiting"]
    yield Sample("otel_ext_ledger_imbalance", (kind,), rest)


def _rfc3339(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09d}Z"
