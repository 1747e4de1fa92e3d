"""Vectors of `waste.*`."""

from otel_ext.testing import AgentRun
from tests.signals.vectors import Vector


def one_failure(run: AgentRun) -> None:
    """A tool fails, and works the next time."""
    run.fail("convert", {"from": "EUR"}, "ValueError: say what to convert to")
    run.call("convert", {"from": "EUR", "to": "USD"}, "1.1")


MUST = [Vector(one_failure, "waste.failed_call")]


def failures_that_pass(run: AgentRun) -> None:
    """What waiting mends is nobody's fault."""
    run.fail("fetch", {"url": "https://example.org"}, "503 Service Unavailable")
    run.wait(5)
    run.call("fetch", {"url": "https://example.org"}, "page")


MUST_NOT = [Vector(failures_that_pass, "waste.failed_call")]
