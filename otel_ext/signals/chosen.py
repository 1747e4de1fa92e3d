"""The rules that run: those that are not switched off, each with the user's thresholds.

Law of this file: a user who names a rule or a threshold that is not there hears which one is meant, and
where it stands.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import msgspec

from otel_ext.errors import ConfigError
from otel_ext.signals.findings.terminal import ENDS
from otel_ext.signals.rule import Rule
from otel_ext.signals.settings import Settings


class Mistake(NamedTuple):
    """What is wrong with settings: the keys that lead to it, and the words for it."""

    path: tuple[str, ...]
    text: str


def chosen(types: Sequence[type[Rule[Any]]], settings: Settings, *, shadow: bool = False) -> list[Rule[Any]]:
    """The rules by precedence, ready to run.

    Args:
        types: all there are, by precedence.
        settings: what the user says of them.
        shadow: also those in shadow.

    Raises:
        ConfigError: the settings name a rule or a threshold that does not exist, or give a wrong value.
    """
    for path, text in mistakes(types, settings):
        raise ConfigError(f"signals.{'.'.join(path)}: {text}")
    modes = ("on", "shadow") if shadow else ("on",)
    return [
        kind(_limits(kind, said.limits)) if (said := settings.rules.get(kind.signal)) else kind()
        for kind in types
        if kind.signal not in settings.rules or settings.rules[kind.signal].mode in modes
    ]


def mistakes(types: Sequence[type[Rule[Any]]], settings: Settings) -> Iterator[Mistake]:
    """Everything that is wrong with what a user says of rules."""
    by_signal = {kind.signal: kind for kind in types}
    for name, said in settings.rules.items():
        path: tuple[str, ...] = ("rules", name)
        if name not in by_signal:
            yield Mistake(path, f"there is no such rule{_near(name, by_signal)}")
            continue
        path, kind = (*path, "limits"), by_signal[name]
        unknown = [*_unknown(msgspec.to_builtins(kind.limits_type()), said.limits, path)]
        yield from unknown
        if unknown:
            continue
        try:
            _limits(kind, said.limits)
        except (msgspec.ValidationError, ValueError, TypeError) as wrong:
            text, _, place = str(wrong).partition(" - at `$.")
            yield Mistake((*path, *place.rstrip("`").split(".")) if place else path, text)
    names = [*by_signal, *ENDS]
    for mute in settings.mute:
        if mute.rule and not any(fnmatchcase(name, mute.rule) for name in names):
            yield Mistake(("mute",), f"there is no such rule as {mute.rule}{_near(mute.rule, names)}")


def _unknown(known: Mapping[str, Any], given: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Mistake]:
    for name, value in given.items():
        inner = known.get(name)
        if name not in known:
            yield Mistake((*path, name), f"there is no such threshold{_near(name, known)}")
        elif isinstance(value, Mapping) and isinstance(inner, Mapping):
            yield from _unknown(inner, value, (*path, name))


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known)) or 'none'}"


def _over(defaults: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given laid over the defaults, level by level."""
    inner = {
        name: _over(defaults[name], value)
        for name, value in given.items()
        if isinstance(value, dict) and isinstance(defaults.get(name), dict)
    }
    return {**defaults, **given, **inner}


def _limits(kind: type[Rule[Any]], given: Mapping[str, Any]) -> Any:
    return msgspec.convert(_over(msgspec.to_builtins(kind.limits_type()), given), kind.limits_type)
