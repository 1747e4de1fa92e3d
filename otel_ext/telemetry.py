"""The three kinds of telemetry that OTLP carries, each with a service, a path and files of its own.

Law of this file: OpenTelemetry calls them signals; here a signal is what a detector found, so they have
another name.
"""

import enum
from typing import Final


class Telemetry(enum.Enum):
    """Traces, logs or metrics; the value is its word in paths and file names."""

    TRACES = "traces"
    LOGS = "logs"
    METRICS = "metrics"


ITEMS: Final = {
    Telemetry.TRACES: "spans",
    Telemetry.LOGS: "log_records",
    Telemetry.METRICS: "metric_points",
}
"""The Collector's word, in the names of its metrics, for what is counted of each."""
