"""The environment variables, each named by itself.

Law of this file: only names that start with `OTEL_EXT_` and are read by `settings` or `entry`. The entry
point `opentelemetry_environment_variables` names this module, so `opentelemetry-instrument` takes each name
as a flag: `OTEL_EXT_DATA` is `--ext_data`.
"""

from typing import Final

OTEL_EXT_ENABLED: Final = "OTEL_EXT_ENABLED"
"""`true` lets `opentelemetry-instrument` add the span processor; anything else leaves the process alone."""

OTEL_EXT_DATA: Final = "OTEL_EXT_DATA"
"""The data folder; `$XDG_STATE_HOME/otel-ext` or `~/.local/state/otel-ext` when not set."""

OTEL_EXT_SYNC: Final = "OTEL_EXT_SYNC"
"""`interval` (default), `always` or `never`: when a span is on the disk and not only in the page cache."""

OTEL_EXT_SESSION: Final = "OTEL_EXT_SESSION"
"""Session id given to root spans of this process that carry none."""

OTEL_EXT_IDLE_TIMEOUT: Final = "OTEL_EXT_IDLE_TIMEOUT"
"""Seconds of silence after which a session has ended."""

OTEL_EXT_CRASH_HOOKS: Final = "OTEL_EXT_CRASH_HOOKS"
"""`false` leaves `sys.excepthook` and `threading.excepthook` alone."""

OTEL_EXT_CRASH_SIGNALS: Final = "OTEL_EXT_CRASH_SIGNALS"
"""Signals whose default action kills, e.g. `SIGTERM,SIGHUP`: sessions are marked before it does."""

OTEL_EXT_QUEUE_MIB: Final = "OTEL_EXT_QUEUE_MIB"
"""MiB of memory for spans that the disk does not take now; beyond it the oldest are dropped."""

OTEL_EXT_MIN_FREE_MIB: Final = "OTEL_EXT_MIN_FREE_MIB"
"""MiB of free disk space that are left alone; below it spans wait in memory."""

OTEL_EXT_SHUTDOWN_TIMEOUT: Final = "OTEL_EXT_SHUTDOWN_TIMEOUT"
"""Seconds that the end of the process may wait for the last spans to be processed."""

OTEL_EXT_SIGNALS: Final = "OTEL_EXT_SIGNALS"
"""What the detectors are told, as JSON: `{"rules": {"loop.exact_repeat": {"mode": "off"}}}`."""
