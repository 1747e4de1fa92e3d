"""A tree of values made to fit the shape: unknown keys refused, values converted, each with its place.

Law of this file: an error names the key's whole path and where it was written, an unknown key the nearest
known one, and no error shows a secret. Null stands for the default, as in the Collector (`grpc:` alone
switches gRPC on); a later layer's null has already taken the key out.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from otel_ext.errors import ConfigError
from otel_ext.service.layers import Leaf, Tree, origin_of
from otel_ext.service.references import SECRET

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)")
_LONGEST: Final = 100 * 365 * 24 * 3600
"""Seconds; twice as many no longer fit the ns of the system's calls."""

_FOREIGN: Final = {
    "batch": "it is not needed, requests are written together in one sync; take it out",
    "check_interval": "it is not needed, memory is looked at twice a second; take it out",
    "spike_limit_mib": "it is not needed, intake goes on a tenth below the limit; take it out",
    "spike_limit_percentage": "it is not needed, intake goes on a tenth below the limit; take it out",
    "ca_file": "TLS comes with a later version",
    "cert_file": "TLS comes with a later version",
    "key_file": "TLS comes with a later version",
    "tls": "TLS comes with a later version",
    "auth": "authentication comes with a later version",
    "storage": "it is not needed, what waits is in the journal; take it out",
}
"""Keys of the Collector that are not ours, and what to do."""

_INSIDE: Final = re.compile(r" - at `\$(.+)`$")
_STRANGER: Final = re.compile(r"Object contains unknown field `(.*)`")
"""How msgspec tells a place within a value, and a key that is not known."""

ShapeT = TypeVar("ShapeT", bound=msgspec.Struct)
Origins = dict[str, Leaf]
"""Every value that was given, by its path."""


class Duration(float):
    """Seconds, written like the Collector's durations: `2s`, `500ms`, `1h30m`."""


class Named(dict[str, msgspec.Struct]):
    """Components of one kind by id, `otlp` or `otlp/name`; the shape's `named` holds the kind's struct."""


def fit(tree: Tree, base: ShapeT, path: str, origins: Origins) -> ShapeT:
    """A struct with what a tree says laid over it.

    Args:
        tree: the values.
        base: the defaults: a struct whose fields are values, structs, or `Named`, and whose `also` has other
            names of these.
        path: where the tree stands, "" at the top.
        origins: gets every value that was given.

    Raises:
        ConfigError: an unknown key or a value that cannot be used.
    """
    fields = {field.name: field.type for field in msgspec.structs.fields(base)}
    if isinstance(tree, Leaf):
        if tree.value is None:
            return base
        what = f"`{path}`" if path else "the configuration"
        raise ConfigError(f"{tree.origin}: {what} must be a mapping with the keys {', '.join(fields)}")
    given: dict[str, Any] = {}
    for key, value in tree.items():
        kind, slash, name = key.partition("/")
        kind = getattr(base, "also", {}).get(kind, kind)
        where = _join(path, key)
        if kind in fields and fields[kind] is Named and bool(slash) == bool(name):
            inner = getattr(base, "named")[kind]  # noqa: B009 - a class variable of those shapes only
            given.setdefault(kind, Named())[key] = fit(value, inner(), where, origins)
        elif key not in fields:
            raise ConfigError(f"{origin_of(value)}{unknown('key', where, key, fields)}")
        elif isinstance(default := getattr(base, key), msgspec.Struct):
            given[key] = fit(value, default, where, origins)
        elif get_origin(fields[key]) is dict:
            given[key] = _mapping(value, fields[key], where, origins)
        elif not _is_nothing(value):
            given[key] = _value(value, fields[key], where, origins)
    return msgspec.structs.replace(base, **given)


def unknown(what: str, where: str, key: str, known: Iterable[str]) -> str:
    """The words for a name that is not known, with the nearest that is."""
    names = list(known)
    if key in _FOREIGN:
        return f"unknown {what} `{where}`: {_FOREIGN[key]}"
    near = difflib.get_close_matches(key, names, 1, 0.4)
    hint = f"did you mean `{near[0]}`?" if near else f"known are: {', '.join(names)}"
    return f"unknown {what} `{where}`; {hint}"


def is_secret(path: str) -> bool:
    """Whether a key's value is not shown, by its name; every header is a secret."""
    return SECRET.search(path.rpartition(".")[2]) is not None or ".headers." in path


def seconds_as_text(value: float) -> str:
    """A duration as it would be written: `1h30m`, `500ms`."""
    rest, parts = round(value * 1e9), []
    for unit, size in (
        ("h", 3600 * 10**9),
        ("m", 60 * 10**9),
        ("s", 10**9),
        ("ms", 10**6),
        ("us", 1000),
        ("ns", 1),
    ):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _mapping(tree: Tree, kind: Any, path: str, origins: Origins) -> dict[str, Any]:
    if isinstance(tree, Leaf):
        if tree.value is None:
            return {}
        raise ConfigError(f"{tree.origin}: `{path}` must be a mapping")
    _, inner = get_args(kind)
    return {key: _member(value, inner, _join(path, key), origins) for key, value in tree.items()}


def _member(tree: Tree, kind: Any, path: str, origins: Origins) -> Any:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        needed = [field.name for field in msgspec.structs.fields(kind) if field.required]
        said = tree if isinstance(tree, dict) else {} if _is_nothing(tree) else None
        missing = [] if said is None else [n for n in needed if n not in said or _is_nothing(said[n])]
        if missing:
            raise ConfigError(f"{origin_of(tree)}`{path}` needs `{'` and `'.join(missing)}`")
        return fit(tree, kind(**dict.fromkeys(needed)), path, origins)  # none of these stays
    if kind is Any and not isinstance(tree, Leaf):  # whose shape is known further in
        return {key: _member(value, Any, _join(path, key), origins) for key, value in tree.items()}
    return _value(tree, kind, path, origins)


def _is_nothing(tree: Tree) -> bool:
    return isinstance(tree, Leaf) and tree.value is None


def _value(tree: Tree, kind: Any, path: str, origins: Origins) -> Any:
    if not isinstance(tree, Leaf):
        raise ConfigError(f"{origin_of(tree)}`{path}` is one value, not a mapping")
    leaf = tree if tree.secret or not is_secret(path) else tree._replace(secret=True)
    origins[path] = leaf
    wants_text = kind is str or (get_origin(kind) is Literal and leaf.text in get_args(kind))
    value = leaf.text if wants_text and leaf.text is not None else leaf.value
    if isinstance(value, bool) and (word := "on" if value else "off") in get_args(kind):
        value = word  # what YAML 1.1 makes of a bare on or off
    try:
        return msgspec.convert(value, kind, strict=False, dec_hook=_duration)
    except msgspec.ValidationError as error:
        if leaf.secret:
            why = f"`{path}`: its value (not shown) cannot be used here"
        else:
            why = _why(str(error), value, kind, path)
        raise ConfigError(f"{leaf.origin}: {why}") from None


def _why(text: str, value: object, kind: Any, path: str) -> str:
    """Which value, and what is wrong with it; inside a list the item is named, not shown with all others."""
    if inside := _INSIDE.search(text):
        path, text, value = path + inside[1], text[: inside.start()], ""
    if stranger := _STRANGER.fullmatch(text):
        items = [
            item for item in get_args(kind) if isinstance(item, type) and issubclass(item, msgspec.Struct)
        ]
        known = [field.name for item in items for field in msgspec.structs.fields(item)]
        return unknown("key", f"{path}.{stranger[1]}", stranger[1], known)
    if text.startswith("Invalid enum value") and isinstance(kind, type) and issubclass(kind, Enum):
        return f"`{path}`: {value!r} is none of {', '.join(one.value for one in kind)}"
    if text.startswith("Invalid enum value") and get_origin(kind) is Literal:
        return f"`{path}`: {value!r} is none of {', '.join(word for word in get_args(kind) if word)}"
    shown = "" if value == "" or repr(value) in text else f", the value is {value!r}"
    if text.startswith("Expected `int`") and isinstance(value, str):
        with suppress(ValueError):
            shown += f"; a time is in ns here: {round(_duration(Duration, value) * 1e9)}"
    return f"`{path}`: {text}{shown}"[:300]


def _duration(kind: type, value: object) -> Duration:
    if kind is not Duration:
        raise NotImplementedError(kind)
    text = f"{value}s" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError(f"{value!r} is not a duration like 2s, 500ms or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds > _LONGEST:
        raise ValueError(f"{value!r} is longer than {_LONGEST / 3600:.0f}h, which no clock here waits for")
    return Duration(seconds)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def at(origins: Mapping[str, Leaf], path: str) -> str:
    """The beginning of an error about a value: where it was written, and its path."""
    leaf = origins.get(path)
    return f"{leaf.origin}: `{path}`" if leaf else f"`{path}`"
