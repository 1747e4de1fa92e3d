"""References in values: `${env:NAME}`, `${env:NAME:-default}`, `${NAME}`, `${file:PATH}`; `$$` is a dollar.

Law of this file: only values are expanded, never keys. A value that is one reference takes the type that the
referenced text has in YAML, and keeps the text for keys that want a string; among other characters a
reference is text. What a reference gives may hold references again, at most `NESTED` deep, and is otherwise
taken as it is. A variable that is not set and has no default is an error: the Collector goes on with
nothing, and `${env:MY_POD_IP}:4317` then listens on every interface.
"""

import os
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

from otel_ext.errors import ConfigError
from otel_ext.service.layers import Leaf, Source, Tree, leaves, read

NESTED: Final = 100
"""How deep references may stand in one another, as in the Collector."""
_LONGEST: Final = 1 << 20
"""Characters of a file that is referred to."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET: Final = re.compile(
    r"secret|token|passw|passphrase|credential|api[_-]?key|private[_-]?key|authori[sz]ation|cookie",
    re.IGNORECASE,
)
"""Names of keys and variables whose values are not shown."""


class _Found(NamedTuple):
    """What a reference stands for."""

    text: str
    origin: str
    secret: bool


class _Text(NamedTuple):
    """An expanded text; `whole` when it was exactly one reference."""

    text: str
    found: list[_Found]
    whole: bool


def expand(tree: Tree) -> Tree:
    """A tree with every reference replaced.

    Raises:
        ConfigError: an unset variable, an unreadable file, an unknown scheme, or references without end.
    """
    if isinstance(tree, dict):
        return {key: expand(value) for key, value in tree.items()}
    if isinstance(tree.value, str) and tree.text is None:
        return _leaf(tree.value, tree.origin, tree.secret)
    if isinstance(tree.value, list):
        parts = list[Leaf]()
        value = _items(tree.value, tree.origin, parts)
        origin = ", ".join(dict.fromkeys([tree.origin, *(part.origin for part in parts)]))
        return Leaf(value, origin, secret=tree.secret or any(part.secret for part in parts))
    return tree


def _leaf(value: str, origin: str, secret: bool) -> Tree:
    if "$" not in value:
        return Leaf(value, origin, value, secret)
    expanded = _Reader(value, origin, 0).all()
    secret = secret or any(found.secret for found in expanded.found)
    if not expanded.whole:
        where = ", ".join(dict.fromkeys([origin, *(found.origin for found in expanded.found)]))
        return Leaf(expanded.text, where, expanded.text, secret)
    found = expanded.found[-1]
    if not found.text:
        return Leaf("", found.origin, "", secret)
    try:
        tree = read(Source(found.text, found.origin))
    except ConfigError:  # characters that are no YAML are a string
        return Leaf(found.text, found.origin, found.text, secret)
    if isinstance(tree, Leaf):
        return Leaf(tree.value, found.origin, found.text, secret)
    return _hidden(tree) if secret else tree


def _hidden(tree: Tree) -> Tree:
    if isinstance(tree, dict):
        return {key: _hidden(value) for key, value in tree.items()}
    return tree._replace(secret=True)


def _items(value: Any, origin: str, parts: list[Leaf]) -> Any:
    """A list's plain data, expanded; `parts` collects what its references gave."""
    if isinstance(value, list):
        return [_items(item, origin, parts) for item in value]
    if isinstance(value, dict):
        return {key: _items(item, origin, parts) for key, item in value.items()}
    if not isinstance(value, str) or "$" not in value:
        return value
    tree = _leaf(value, origin, secret=False)
    parts += leaves(tree)
    return _plain(tree)


def _plain(tree: Tree) -> Any:
    return tree.value if isinstance(tree, Leaf) else {key: _plain(value) for key, value in tree.items()}


class _Reader:
    """Reads one text from left to right; a reference's inside is read by the same rules."""

    def __init__(self, text: str, origin: str, depth: int) -> None:
        if depth > NESTED:
            raise ConfigError(f"{origin}: references stand in one another more than {NESTED} deep")
        self._text, self._origin, self._depth = text, origin, depth
        self._at = 0
        self._found: list[_Found] = []

    def all(self) -> _Text:
        """The whole text."""
        text, only = self._until_end(inside=False)
        return _Text(text, self._found, only)

    def _until_end(self, *, inside: bool) -> tuple[str, bool]:
        """`(text, whether it is exactly one reference)`, up to the brace that closes it."""
        parts, references, others = list[str](), 0, 0
        text = self._text
        while self._at < len(text):
            if text.startswith("$$", self._at):
                parts.append("$")
                self._at, others = self._at + 2, others + 1
            elif text.startswith("${", self._at):
                self._at, references = self._at + 2, references + 1
                parts.append(self._reference())
            elif inside and text[self._at] == "}":
                self._at += 1
                return "".join(parts), False
            else:
                parts.append(text[self._at])
                self._at, others = self._at + 1, others + 1
        if inside:
            raise ConfigError(
                f"{self._origin}: a reference `${{` is not closed; write `$${{` for the characters"
            )
        return "".join(parts), references == 1 and not others

    def _reference(self) -> str:
        inner = _Reader(self._text, self._origin, self._depth + 1)
        inner._at = self._at
        body, _ = inner._until_end(inside=True)
        self._at = inner._at
        found = self._look_up(body, hidden=any(part.secret for part in inner._found))
        if "${" in found.text:
            again = _Reader(found.text, found.origin, self._depth + 1).all()
            secret = found.secret or any(part.secret for part in again.found)
            found = _Found(again.text, found.origin, secret)
        self._found.append(found)
        return found.text

    def _look_up(self, body: str, *, hidden: bool) -> _Found:
        scheme, colon, rest = body.partition(":")
        if scheme == "file" and colon:
            shown = "(not shown)" if hidden else rest
            # As it is mounted from a secret: the newline that ends the file is not part of it.
            text = self._file(rest, shown).removesuffix("\n").removesuffix("\r")
            return _Found(text, f"file:{shown}", secret=True)
        name, default_given, default = (rest if scheme == "env" and colon else body).partition(":-")
        if not _NAME.fullmatch(name):
            shown = "" if hidden else f" {body!r}"
            raise ConfigError(
                f"{self._origin}: the reference{shown} is none of ${{env:NAME}}, ${{env:NAME:-default}}, "
                f"${{NAME}} and ${{file:PATH}}"
            )
        value, shown = os.environ.get(name), "(not shown)" if hidden else name
        if value is None and not default_given:
            raise ConfigError(
                f"{self._origin}: the environment variable {shown} is not set; set it, or give a default: "
                f"${{env:{shown}:-}}"
            )
        # As in the Collector an empty variable is set; only an unset one takes the default.
        secret = hidden or SECRET.search(name) is not None
        origin = f"env:{shown}" if value is not None else f"{self._origin} (default of env:{shown})"
        return _Found(default if value is None else value, origin, secret)

    def _file(self, name: str, shown: str) -> str:
        try:
            with Path(name).open(encoding="utf-8") as file:
                text = file.read(_LONGEST + 1)
        except (OSError, ValueError) as error:  # bytes that are no UTF-8, a name with NUL
            why = error.strerror if isinstance(error, OSError) else "its name or content is not UTF-8"
            raise ConfigError(f"{self._origin}: ${{file:{shown}}} cannot be read: {why}") from None
        if len(text) > _LONGEST:
            raise ConfigError(f"{self._origin}: ${{file:{shown}}} has more than {_LONGEST} characters")
        return text
