"""Latency: models that become slow, and what only looks like it. Each story has a model of its own."""

from otel_ext.testing import AgentRun
from tests.signals.vectors import Vector


def _calls(
    run: AgentRun, model: str, count: int, lasts: float, tokens: int = 200, first: float = 0.4
) -> None:
    for _ in range(count):
        run.think(
            f"thought at {run.time}",
            usage=(1000, tokens),
            lasts=lasts,
            gen_ai__request__model=model,
            gen_ai__response__time_to_first_chunk=first or None,
        )


def slow_tokens(run: AgentRun) -> None:
    """200 tokens take 20 seconds, four times in a row, where they took 2."""
    _calls(run, "model of slow tokens", 20, 2.0)
    _calls(run, "model of slow tokens", 4, 20.0)


def late_first_token(run: AgentRun) -> None:
    """The first token comes after 9 seconds instead of 0.4."""
    _calls(run, "model of late first tokens", 20, 2.0)
    _calls(run, "model of late first tokens", 4, 10.6, first=9.0)


def longer_answers(run: AgentRun) -> None:
    """Ten times the tokens take ten times as long."""
    _calls(run, "model of longer answers", 20, 2.0)
    _calls(run, "model of longer answers", 4, 16.4, tokens=2000)


def one_slow_call(run: AgentRun) -> None:
    """One call in between is slow: weather."""
    for _ in range(3):
        _calls(run, "model with one slow call", 12, 2.0)
        _calls(run, "model with one slow call", 1, 30.0)


def always_uneven(run: AgentRun) -> None:
    """A model whose pace always was uneven."""
    for index in range(30):
        _calls(run, "uneven model", 1, (2.0, 9.0, 4.0, 14.0, 6.0)[index % 5])
    _calls(run, "uneven model", 3, 14.0)


def too_few(run: AgentRun) -> None:
    """Ten calls do not tell what is usual."""
    _calls(run, "hardly known model", 10, 2.0)
    _calls(run, "hardly known model", 4, 20.0)


def queued(run: AgentRun) -> None:
    """Six calls at once, which wait for one another."""
    model = "queued model"
    _calls(run, model, 20, 2.0)
    for _ in range(3):
        began = run.time
        for index in range(6):
            run.time = began + index
            run.think(usage=(1000, 200), lasts=2.0 * (index + 1), gen_ai__request__model=model)


MUST = [
    Vector(slow_tokens, "latency.model_slowdown"),
    Vector(late_first_token, "latency.model_slowdown"),
]

MUST_NOT = [
    Vector(longer_answers, "latency."),
    Vector(one_slow_call, "latency."),
    Vector(always_uneven, "latency."),
    Vector(too_few, "latency."),
    Vector(queued, "latency."),
]
