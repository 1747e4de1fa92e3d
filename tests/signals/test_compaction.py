"""When a lane's history was made smaller."""

import pytest

from otel_ext.signals.lane.compaction import MODELS, Contexts
from tests.signals.builders import Run


def after(*inputs: int | None, model: str = "model") -> Contexts:
    """The contexts after model steps with these inputs, in rounds 1, 2, ..."""
    run, contexts = Run(), Contexts()
    for number, given in enumerate(inputs, 1):
        contexts.model(run.think(name=model, input_tokens=given), number)
    return contexts


@pytest.mark.parametrize(
    ("inputs", "compacted"),
    [
        ((100_000, 20_000, 25_000), 2),
        ((100_000, 20_000), 0),  # not yet
        ((100_000, 20_000, 101_000), 0),  # a question aside
        ((100_000, 60_000, 61_000), 0),
        ((5_000, 1_000, 1_500), 0),
        ((100_000, None, 0, 20_000, 25_000), 4),
        ((100_000, 20_000, 25_000, 90_000, 30_000, 31_000), 5),
    ],
)
def test_a_fall_that_lasts(inputs: tuple[int | None, ...], compacted: int) -> None:
    """Half or less of what it was, and no return to it."""
    assert after(*inputs).compacted == compacted


def test_models_are_told_apart() -> None:
    """A small model asked in between is no compaction of the large one's history, however often."""
    run, contexts = Run(), Contexts()
    for number in range(20):
        contexts.model(run.think(name="large", input_tokens=100_000 + number), 2 * number)
        contexts.model(run.think(name=f"small {number % 6}", input_tokens=300), 2 * number + 1)
    assert contexts.compacted == 0
    assert len(contexts.inputs) <= MODELS
