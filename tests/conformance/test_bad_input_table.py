"""Every cell of our columns in `docs/bad-input.md`, observed."""

from collections.abc import Iterator

import pytest

from tests.conformance.bad_input import ROWS, Row
from tests.conformance.targets import Target, running
from tests.conformance.wire import Door
from tests.support import objects, run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One server for the whole table, whose ledger balances in the end."""
    folder = tmp_path_factory.mktemp("bad")
    with running("otel_ext", folder) as made:
        yield made
        made.stop(kill=False)
    (report,) = objects(run("verify", folder / "data", "--json"))
    assert report["ok"], report


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_what_we_do_is_what_is_published(server: Target, row: Row) -> None:
    """The answer, what is stored, and what it cost are those of the table, on each door."""

    def observed(door: Door, published: str) -> str:
        return published if published == "-" else row.observe(server, door)

    cells = (row.grpc, row.http, row.json)
    found = tuple(observed(door, cell) for door, cell in zip(server.doors, cells, strict=True))
    assert found == cells
