"""The rules as a collection: where they live, and that none repeats another."""

import pkgutil

from otel_ext.signals import RULES, rules


def test_a_rule_lives_where_its_signal_says() -> None:
    """`loop.exact_repeat` is the one rule in `rules/loop/exact_repeat.py`, and every such file is a rule."""
    places = {f"{rules.__name__}.{kind.signal}" for kind in RULES}
    assert places == {kind.__module__ for kind in RULES}
    found = {
        module.name
        for module in pkgutil.walk_packages(rules.__path__, f"{rules.__name__}.")
        if not module.ispkg
    }
    assert found == places


def test_no_two_rules_share_an_id() -> None:
    """The id is the prefix of a rule's tables."""
    assert len({kind.id for kind in RULES}) == len(RULES) == len({kind.signal for kind in RULES})
