"""The published tables are what the suite says."""

from tests.conformance import bad_input
from tests.conformance.items import EXCUSED, ITEMS
from tests.conformance.results import DOCUMENT, document, names_by_item


def test_every_item_has_one_test() -> None:
    """75 items, 75 tests, each with its number."""
    assert sorted(ITEMS) == list(range(1, 76))
    assert {number: len(names) for number, names in names_by_item().items()} == dict.fromkeys(ITEMS, 1)


def test_excuses_are_few_and_for_no_must() -> None:
    """At most five, none of them an [M], each with its reason."""
    assert len(EXCUSED) <= 5
    assert all(ITEMS[number].level != "M" and len(reason.split()) >= 4 for number, reason in EXCUSED.items())


def test_the_documents_are_up_to_date() -> None:
    """`python -m tests.conformance --write` would change nothing."""
    assert DOCUMENT.read_text() == document()
    assert bad_input.DOCUMENT.read_text() == bad_input.document()
