"""The effective configuration as YAML: every key, its value, and where that comes from as a comment.

Law of this file: what it prints can be loaded again and gives the same configuration, but for secrets, which
it never shows: headers, whatever came by `${file:...}`, and keys or variables with a secret's name.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import yaml

from otel_ext.service.config import Loaded
from otel_ext.service.fit import Duration, Named, seconds_as_text

HIDDEN: Final = "[REDACTED]"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./:+-]*")
_CREDENTIALS: Final = re.compile(r"//[^/@\s]*@")


def effective(loaded: Loaded) -> str:
    """A configuration as text, defaults included."""
    sources = {path: _clean(leaf.origin) for path, leaf in loaded.origins.items()}
    sources.setdefault("exporters.file.path", _clean(f"default: {loaded.config.data}"))
    for each in loaded.config.forward:
        path = f"exporters.{each.name}"
        if f"{path}.endpoint" not in sources:  # `destinations` took what is not given from the environment
            told = {"endpoint": each.traces_endpoint or each.endpoint, "compression": each.compression}
            told |= {"timeout": seconds_as_text(each.timeout), "headers": ", ".join(each.headers)}
            for key, text in told.items():
                shown = _clean(_CREDENTIALS.sub(f"//{HIDDEN}@", text))
                sources.setdefault(f"{path}.{key}", f"OTEL_EXPORTER_OTLP_*: {shown}")
    secrets = {path for path, leaf in loaded.origins.items() if leaf.secret}
    return "".join(f"{line}\n" for line in _Writer(sources, secrets).struct(loaded.shape, "", ""))


class _Writer:
    """Writes structs as YAML; `sources` has a value's comment, `secrets` the paths that are not shown."""

    def __init__(self, sources: dict[str, str], secrets: set[str]) -> None:
        self._sources, self._secrets = sources, secrets

    def struct(self, shape: msgspec.Struct, path: str, indent: str) -> Iterator[str]:
        """The lines of a struct's fields."""
        for field in msgspec.structs.fields(shape):
            value = getattr(shape, field.name)
            # A component stands beside its kind, not below it.
            for key, inner in value.items() if field.type is Named else [(field.name, value)]:
                yield from self._entry(key, inner, f"{path}.{key}" if path else key, indent)

    def _entry(self, key: str, value: Any, path: str, indent: str) -> Iterator[str]:
        head = f"{indent}{_text(key, escape=False)}:"
        if isinstance(value, msgspec.Struct):
            inner = list(self.struct(value, path, indent + "  "))
        elif isinstance(value, Mapping) and value:
            inner = [
                line for k, v in value.items() for line in self._entry(k, v, f"{path}.{k}", indent + "  ")
            ]
        else:
            shown = HIDDEN if path in self._secrets else value
            yield f"{head} {_scalar(shown)}  # {self._sources.get(path, 'default')}"
            return
        told = f"  # {self._sources[path]}" if path in self._sources else ""
        yield head if inner else f"{head} {{}}{told}"
        yield from inner


def _scalar(value: Any) -> str:
    if isinstance(value, Duration):
        return seconds_as_text(value)
    if isinstance(value, str):
        return _text(_CREDENTIALS.sub(f"//{HIDDEN}@", value), escape=True)
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(msgspec.to_builtins(value)).replace("$", "$$")
    return json.dumps(value)


def _text(text: str, *, escape: bool) -> str:
    text = text.replace("$", "$$") if escape else text
    if _PLAIN.fullmatch(text) and not text.endswith(":") and yaml.safe_load(text) == text:
        return text
    return json.dumps(text)


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
