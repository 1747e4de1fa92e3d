"""Rules of other packages, by the entry point group `otel_ext.rules`, among the built-in ones.

    [project.entry-points."otel_ext.rules"]
    too_many_coffees = "my_package.rules:TooManyCoffees"

Law of this file: somebody else's package cannot keep ours from running. What cannot be loaded, or takes a
built-in rule's name, is left out and said; whoever configures hears it as an error, a guest as a warning.
"""

import importlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final, NamedTuple

from otel_ext.signals.rule import Rule
from otel_ext.signals.rules import RULES

GROUP: Final = "otel_ext.rules"
_OURS: Final = "OTX-"


class Rules(NamedTuple):
    """Rule types by precedence, and what is wrong with those that were left out."""

    types: tuple[type[Rule[Any]], ...]
    problems: tuple[str, ...]


@cache
def every_rule() -> Rules:
    """The built-in rules and those of installed packages; read once a process."""
    found, problems = [], []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            kind = getattr(importlib.import_module(entry.module), entry.attr)
            found.append(kind)
        except Exception as error:  # noqa: BLE001 - whatever somebody else's module raises
            problems.append(f"{entry.value} cannot be loaded: {type(error).__name__}: {error}")
    return among(RULES, found, problems)


def among(built_in: Sequence[type[Rule[Any]]], others: Sequence[Any], problems: Sequence[str] = ()) -> Rules:
    """Put other rules where their family ends, so that they claim spans after the built-in ones of it."""
    types, wrong = list(built_in), list(problems)
    for kind in others:
        if why := fault(kind, types):
            wrong.append(f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', kind)}: {why}")
            continue
        family = kind.signal.partition(".")[0]
        places = [place for place, one in enumerate(types, 1) if one.signal.partition(".")[0] == family]
        types.insert(places[-1] if places else len(types), kind)
    return Rules(tuple(types), tuple(wrong))


def fault(kind: Any, known: Sequence[type[Rule[Any]]] = ()) -> str:
    """Why this is no rule that could be used beside the known ones; "" when it is one."""
    if not (isinstance(kind, type) and issubclass(kind, Rule)):
        return "it is no subclass of otel_ext.signals.Rule"
    own_id, signal = getattr(kind, "id", None), getattr(kind, "signal", None)
    if not isinstance(own_id, str) or not own_id or "/" in own_id:
        return "it needs an `id`, text without a slash"
    if not isinstance(signal, str) or not all(signal.partition(".")):
        return "it needs a `signal`, like family.name"
    if own_id.startswith(_OURS):
        return f"its id {own_id} begins with {_OURS}, as the built-in ones' do"
    for other in known:
        if own_id == other.id or signal == other.signal:
            return f"{other.__module__}.{other.__qualname__} has its id or its signal already"
    return ""
