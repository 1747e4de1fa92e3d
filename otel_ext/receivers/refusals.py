"""Requests that a door refuses, before or behind admission: counted, and told where they will never be taken.

Law of this file: the kind of a refusal is told, never what the request held (law L12).
"""

import logging

from otel_ext.errors import OtelExtError, Retryable
from otel_ext.stats import Stats

log = logging.getLogger(__name__)


def count_refused(stats: Stats, transport: str, error: OtelExtError) -> None:
    """Count a refusal; one for good is a mistake of its sender that somebody has to hear of."""
    if isinstance(error, Retryable):
        stats.add("otel_ext.receiver.retryable")
        return
    stats.add("otel_ext.receiver.permanent")
    log.info("a request over %s is refused for good: %s", transport, type(error).__name__)
