"""Whether the compiled helper or Python reads the spans, the folder holds the same."""

import random
from pathlib import Path

import pytest

from otel_ext import otlp
from otel_ext.otlp import native
from tests.pipeline.test_exactly_once import Run, requests

HELPER = native._helper
"""The compiled one, before any test does without it."""


def run(folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch, how: str) -> Run:
    """An engine whose spans are read by "C", by "Python", or by the one and the other after each kill."""
    chance = random.Random(seed)
    monkeypatch.setattr(native, "_helper", None if how == "Python" else HELPER)
    engine = Run(folder)
    for body in requests(seed):
        engine.accept(body)
        if chance.random() < 0.3:
            engine.process()
        if how == "both" and chance.random() < 0.2:
            monkeypatch.setattr(native, "_helper", chance.choice((None, HELPER)))
            engine.kill()
    engine.finish()
    return engine


@pytest.mark.skipif(not otlp.COMPILED, reason="the helper is not compiled, or not wanted")
@pytest.mark.parametrize("seed", range(3))
def test_who_reads_the_spans_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Files, sessions and ledger are the same, also when a folder goes from the one to the other and back."""
    expected = run(tmp_path / "python", seed, monkeypatch, "Python")
    for how in ("C", "both"):
        found = run(tmp_path / how, seed, monkeypatch, how)
        assert found.files() == expected.files()
        assert found.sessions() == expected.sessions()
        assert found.ledger() == expected.ledger()
