"""When a request that is replayed was sent, by what it says itself."""

from otel_ext import otlp, timestamps
from otel_ext.pipeline import time_of
from otel_ext.telemetry import Telemetry


def latest_end(body: bytes, telemetry: Telemetry, now: int) -> int:
    """The latest plausible time of a request's log records, or end time of its spans, in ns; else 0."""
    latest = 0
    for group in otlp.split(body) if telemetry is not Telemetry.METRICS else ():
        for raw in group.items:
            if telemetry is Telemetry.LOGS:
                time = time_of(otlp.parse_log(raw), now)
                latest = max(latest, time if time <= now else 0)
                continue
            span = otlp.parse(raw)
            start, end = span.start_time_unix_nano, span.end_time_unix_nano
            repair = timestamps.repair(start, end, now)
            if repair is not None:
                start, end = repair.start, repair.end
            latest = max(latest, *(t for t in (start, end) if t <= now), 0)
    return latest
