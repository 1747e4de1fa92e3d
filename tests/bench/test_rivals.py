"""Each rival's adapter still fits what its makers publish: a tiny run through all of it."""

import pytest

from otel_ext.bench.cases import Case
from otel_ext.bench.session import run_all
from tests.bench.rivals import USUAL, rivals


@pytest.mark.peers
@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize("door", ["grpc", "http"])
def test_a_rival_takes_what_is_sent(name: str, door: str) -> None:
    """Everything is acknowledged and, where the server says so, processed."""
    case = Case(size=100_000, door="http" if door == "http" else "grpc", total=64, clients=2)
    session = run_all([("size", case)], rivals((name,)), 1)
    if session.skipped:
        pytest.skip(str(session.skipped))
    (one,) = session.runs
    assert one.spans == case.requests * case.clients * case.spans
    assert one.refused == 0
    assert (one.processed is None) == (name == "rotel")
    assert session.promises[one.server]
