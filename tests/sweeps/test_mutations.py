"""The table of mutations is about the code that there is."""

import pytest

from tests.mutations import MUTATIONS, ROOT, Mutation, misfits


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mutation_still_applies(mutation: Mutation) -> None:
    """Its text stands exactly once in the package, so that `python -m tests.mutations` means something."""
    assert list(misfits(mutation, ROOT / "otel_ext")) == []
    assert all((ROOT / name).exists() for name in mutation.tests)
