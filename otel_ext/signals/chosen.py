"""The rules that run: those that are not switched off, each with the user's thresholds.

Law of this file: a user who names a rule or a threshold that is not there hears which one is meant.
"""

import difflib
from collections.abc import Sequence
from typing import Any

import msgspec

from otel_ext.errors import ConfigError
from otel_ext.signals.rule import Rule
from otel_ext.signals.settings import Settings


def chosen(types: Sequence[type[Rule[Any]]], settings: Settings) -> list[Rule[Any]]:
    """The rules by precedence, ready to run.

    Raises:
        ConfigError: the settings name a rule or a threshold that does not exist, or give a wrong value.
    """
    known = {kind.signal for kind in types}
    for name in settings.rules:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}"
            raise ConfigError(f"signals.rules.{name}: there is no such rule{hint}")
    return [kind(_limits(kind, settings)) for kind in types if _runs(kind, settings)]


def _over(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What was given laid over the defaults, level by level."""
    inner = {
        name: _over(defaults[name], value)
        for name, value in given.items()
        if isinstance(value, dict) and isinstance(defaults.get(name), dict)
    }
    return {**defaults, **given, **inner}


def _runs(kind: type[Rule[Any]], settings: Settings) -> bool:
    said = settings.rules.get(kind.signal)
    return said is None or said.mode != "off"


def _limits(kind: type[Rule[Any]], settings: Settings) -> Any:
    said = settings.rules.get(kind.signal)
    if said is None:
        return None
    try:
        return msgspec.convert(_over(msgspec.to_builtins(kind.limits_type()), said.limits), kind.limits_type)
    except msgspec.ValidationError as wrong:
        raise ConfigError(f"signals.rules.{kind.signal}.limits: {wrong}") from None
