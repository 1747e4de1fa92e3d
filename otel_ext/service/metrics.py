"""Our own metrics: every name there is, in one table, and the Prometheus text that they are shown in.

Law of this file: where the OpenTelemetry Collector has a metric of that meaning, the name and the labels are
its, so that its dashboards work; all others begin with `otel_ext_`. A label never holds anything that a
client sent. What is shown is read when somebody asks; nothing is kept for it. The text is written here,
since a client library would bring a second set of counters, which had to be kept equal to the first
(`docs/operations.md` lists the names; a test compares, another reads the text with Prometheus' own parser).
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from otel_ext.telemetry import ITEMS

Kind = Literal["counter", "gauge", "histogram"]


class Metric(NamedTuple):
    """One name: what it is, in words, and the labels its samples have."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


class Sample(NamedTuple):
    """One value of a metric, its labels in the table's order; `suffix` is for parts of a histogram."""

    name: str
    labels: tuple[str, ...]
    value: float
    suffix: str = ""


_DOOR: Final = ("receiver", "transport")


def _per_item(name: str, help_text: str, labels: tuple[str, ...]) -> Iterable[Metric]:
    for word in ITEMS.values():
        yield Metric(name.format(word), "counter", help_text.format(word.replace("_", " ")), labels)


METRICS: Final = (
    *_per_item("otelcol_receiver_accepted_{}_total", "{} made durable and acknowledged", _DOOR),
    *_per_item(
        "otelcol_receiver_refused_{}_total", "{} rejected one by one in requests that were taken", _DOOR
    ),
    Metric(
        "otelcol_receiver_requests_total",
        "counter",
        "requests at admission by what was answered: success, refused (come again), failure (never)",
        (*_DOOR, "outcome"),
    ),
    Metric(
        "otel_ext_admission_refused_requests_total",
        "counter",
        "requests told to come again, by what was used up: disk, memory, backlog, in_flight, service, "
        "received (bytes), or the turns: queue (too many), wait (too long)",
        ("budget",),
    ),
    Metric("otel_ext_admission_inside", "gauge", "requests being checked and made durable"),
    Metric("otel_ext_admission_waiting", "gauge", "requests that wait for their turn"),
    *_per_item("otelcol_exporter_sent_{}_total", "{} that a destination took", ("exporter",)),
    *_per_item("otelcol_exporter_send_failed_{}_total", "{} that a destination will not get", ("exporter",)),
    Metric("otelcol_exporter_queue_size", "gauge", "bytes of the journal that wait for it", ("exporter",)),
    Metric("otelcol_exporter_queue_capacity", "gauge", "most bytes that may wait for it", ("exporter",)),
    Metric(
        "otel_ext_exporter_outcomes_total",
        "counter",
        "items by what became of them: sent, rejected, quarantined, overflow, expired, refused",
        ("exporter", "outcome"),
    ),
    Metric("otelcol_process_uptime_total", "counter", "seconds since the start"),
    Metric("otelcol_process_cpu_seconds_total", "counter", "seconds of CPU used, user and system"),
    Metric("otelcol_process_memory_rss", "gauge", "resident memory"),
    Metric(
        "otel_ext_ledger_received_total",
        "counter",
        "items received over the life of the data folder",
        ("telemetry",),
    ),
    Metric(
        "otel_ext_ledger_outcomes_total",
        "counter",
        "what became of them: stored, duplicate, rejected, lost; with the reason of the last two",
        ("telemetry", "outcome", "reason"),
    ),
    Metric("otel_ext_ledger_waiting", "gauge", "received, held for their session's id", ("telemetry",)),
    Metric(
        "otel_ext_ledger_imbalance", "gauge", "received less all outcomes; not 0 is a defect", ("telemetry",)
    ),
    Metric("otel_ext_ready", "gauge", "1 when a request would be taken now"),
    Metric("otel_ext_journal_stopped", "gauge", "1 after a failed write or sync, until it is open again"),
    Metric("otel_ext_journal_sync_seconds", "histogram", "how long each sync of the journal took"),
    Metric("otel_ext_journal_unsynced_bytes", "gauge", "bytes not known to be on the disk"),
    Metric(
        "otel_ext_journal_damaged_regions", "gauge", "damage met in the journal since the start, set aside"
    ),
    Metric("otel_ext_disk_free_bytes", "gauge", "free space on the data folder's disk"),
    Metric("otel_ext_pipeline_lag_items", "gauge", "journalled, not processed yet"),
    Metric("otel_ext_pipeline_lag_bytes", "gauge", "the same in bytes, of what came since the start"),
    Metric("otel_ext_pipeline_lag_seconds", "gauge", "age of the oldest of these, to the second"),
    Metric("otel_ext_sessions_open", "gauge", "sessions that have not ended"),
    Metric(
        "otel_ext_sessions_ended_total", "counter", "ends told: completed, interrupted, crashed", ("state",)
    ),
    Metric("otel_ext_findings_total", "counter", "loops and waste found", ("signal",)),
    Metric("otel_ext_detector_errors_total", "counter", "hooks of rules that raised", ("rule",)),
    Metric("otel_ext_detector_off", "gauge", "1: switched off until the process ends", ("rule",)),
    Metric("otel_ext_evictions_total", "counter", "forgotten to stay within a bound", ("what",)),
    Metric("otel_ext_quarantined_files_total", "counter", "session files set aside"),
    Metric(
        "otel_ext_receiver_failures_total",
        "counter",
        "requests refused for good, at a door or behind it",
    ),
    Metric("otel_ext_pipeline_pauses_total", "counter", "failures after which the pipeline began anew"),
    Metric(
        "otel_ext_pipeline_failed_records_total", "counter", "records that could not be processed, set aside"
    ),
)
"""Every metric there is, in the order in which they are shown."""


def exposition(samples: Iterable[Sample]) -> str:
    """Samples as Prometheus text (format 0.0.4), each metric with its help, in the table's order.

    Raises:
        KeyError: a sample of a metric that the table does not have.
    """
    by_name: dict[str, list[Sample]] = {metric.name: [] for metric in METRICS}
    for sample in samples:
        by_name[sample.name].append(sample)
    parts = []
    for metric in METRICS:
        if found := by_name[metric.name]:
            parts += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
            parts += [_line(metric, sample) for sample in found]
    return "\n".join(parts) + "\n"


def _line(metric: Metric, sample: Sample) -> str:
    names = (*metric.labels, "le") if sample.suffix == "_bucket" else metric.labels
    pairs = ",".join(f'{k}="{_escaped(v)}"' for k, v in zip(names, sample.labels, strict=True))
    value = int(sample.value) if float(sample.value).is_integer() else sample.value
    return f"{metric.name}{sample.suffix}{'{' + pairs + '}' if pairs else ''} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def histogram(name: str, bounds: Iterable[float], counts: Iterable[int], total: float) -> Iterable[Sample]:
    """The samples of one histogram; the last count is of what lies beyond all bounds."""
    running = 0
    for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
        running += count
        yield Sample(name, (bound,), running, "_bucket")
    yield Sample(name, (), total, "_sum")
    yield Sample(name, (), running, "_count")


def labelled(name: str, values: Mapping[str, float]) -> Iterable[Sample]:
    """Samples of a metric with one label."""
    return (Sample(name, (label,), value) for label, value in values.items())
