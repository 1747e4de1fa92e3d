"""`docs/signals.md` says what the rules are."""

import pytest

from otel_ext.signals import RULES
from tests.signals.page import PAGE, example, page
from tests.signals.vectors import must


def test_the_page_is_what_the_rules_say() -> None:
    """Made anew by `python -m tests.signals.page`."""
    assert PAGE.read_text() == page(), "run python -m tests.signals.page"


SPOKEN = {name for vector in must() for name in vector.signal.split("|")}


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.signal in SPOKEN])
def test_a_vector_is_an_example(rule: type) -> None:
    """One of its vectors gives a finding that the page shows; that each has one is a test of its own."""
    assert example(rule) is not None
