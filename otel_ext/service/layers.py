"""Where configuration comes from: files, environment, command line; laid over one another.

Law of this file: every value knows where it was written. Of two layers the later wins: mappings merge key by
key, everything else is replaced, and null takes a key out again (the Collector's rules for `--config`).
No error quotes a line of the text, because secrets may stand in it.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import yaml

from otel_ext.errors import ConfigError

DEEPEST: Final = 64
"""Levels of mappings in a file."""
MOST: Final = 100_000
"""Values in a file, each counted as often as aliases repeat it."""


class Leaf(NamedTuple):
    """A value as it was written: a scalar, a list, or nothing.

    Attributes:
        value: plain data.
        origin: where it was written, for people: `otel.yaml:12`, `env:NAME`, `--grpc`.
        text: the characters that a reference gave, for keys that want a string ("0123" is not 123); where it
            is set the value is final, None where references may still stand in it.
        secret: it must not be shown.
    """

    value: Any
    origin: str
    text: str | None = None
    secret: bool = False


Tree: TypeAlias = "dict[str, Tree] | Leaf"


class Source(NamedTuple):
    """A text in YAML and its name; `paths` says that a key may be a path, `a::b::c: value`."""

    text: str
    name: str
    paths: bool = False


def source_of(reference: str) -> Source:
    """What one `--config` means: a file's name, `file:NAME`, `env:NAME` or `yaml:TEXT`.

    Raises:
        ConfigError: there is no such file or variable.
    """
    scheme, _, rest = reference.partition(":")
    if scheme == "yaml":
        return Source(rest, "yaml", paths=True)
    if scheme == "env":
        text = os.environ.get(rest)
        if text is None:
            raise ConfigError(f"--config={reference}: the environment variable is not set")
        return Source(text, reference)
    name = rest if scheme == "file" else reference
    try:
        return Source(Path(name).read_text(encoding="utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {name} cannot be read: {_why(error)}") from error


def read(source: Source) -> Tree:
    """A text as a tree whose leaves know their line.

    Raises:
        ConfigError: it is not YAML, or a key stands twice in one mapping.
    """
    name = source.name or "the configuration"
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(source.text)
        node = loader.get_single_node()
        if node is None:
            return Leaf(None, name)
        _check(loader, node, {})
        # Constructed first: that is what resolves merge keys (`<<`).
        loader.construct_document(node)
        tree = _tree(loader, node, name, 0)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{name}{line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{name}: not YAML: {type(error).__name__}") from None
    finally:
        if loader is not None:
            loader.dispose()
    return _unfold(tree, name) if source.paths and isinstance(tree, dict) else tree


def overlay(path: str, value: str, origin: str) -> Tree:
    """A tree that holds one final value, for the command line."""
    tree: Tree = Leaf(value, origin, value)
    for key in reversed(path.split(".")):
        tree = {key: tree}
    return tree


def merge(layers: Sequence[Tree]) -> Tree:
    """All layers as one, later ones over earlier ones."""
    result: Tree = {}
    for layer in layers:
        if isinstance(layer, dict) or layer.value is not None:  # an empty file changes nothing
            result = _over(result, layer)
    return result


def leaves(tree: Tree) -> Iterator[Leaf]:
    """All leaves of a tree, in order."""
    if isinstance(tree, Leaf):
        yield tree
    else:
        for inner in tree.values():
            yield from leaves(inner)


def origin_of(tree: Tree) -> str:
    """The beginning of an error about a tree: where it begins; nothing where it holds no value to know it."""
    return next((f"{leaf.origin}: " for leaf in leaves(tree)), "")


def _over(below: Tree, above: Tree) -> Tree:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    result = dict(below)
    for key, value in above.items():
        if key in result and isinstance(value, Leaf) and value.value is None:
            del result[key]
        else:
            result[key] = _over(result[key], value) if key in result else value
    return result


def _check(loader: yaml.SafeLoader, node: yaml.Node, sizes: dict[yaml.Node, int]) -> int:
    """How many values a node stands for, aliases followed.

    Raises:
        ConstructorError: too many, a node that holds itself, or a key twice in one mapping, of which YAML
            lets the last win in silence.
    """
    if node in sizes:
        if not sizes[node]:
            raise yaml.constructor.ConstructorError(None, None, "an alias holds itself", node.start_mark)
        return sizes[node]
    sizes[node], size = 0, 1
    if isinstance(node, yaml.MappingNode):
        known = set[str]()
        for key, value in node.value:
            # A merge key has a tag of its own; what is merged in yields to what stands there.
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                word = str(loader.construct_object(key))
                if word in known:
                    problem = f"the key {word!r} stands twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
                known.add(word)
            size += _check(loader, key, sizes) + _check(loader, value, sizes)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_check(loader, item, sizes) for item in node.value)
    if size > MOST:
        problem = f"more than {MOST} values, aliases followed"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    sizes[node] = size
    return size


def _tree(loader: yaml.SafeLoader, node: yaml.Node, name: str, depth: int) -> Tree:
    origin = f"{name}:{node.start_mark.line + 1}"
    if depth > DEEPEST:
        raise ConfigError(f"{origin}: deeper than {DEEPEST} levels")
    if not isinstance(node, yaml.MappingNode):
        return Leaf(loader.construct_object(node, deep=True), origin)
    return {
        str(loader.construct_object(key, deep=True)): _tree(loader, value, name, depth + 1)
        for key, value in node.value
    }


def _unfold(tree: dict[str, Tree], name: str) -> Tree:
    """`a::b: value` as `a: {b: value}`."""
    layers = list[Tree]()
    for key, value in tree.items():
        inner = _unfold(value, name) if isinstance(value, dict) else value
        for part in reversed(key.split("::")):
            inner = {part: inner}
        layers.append(inner)
    return merge(layers)


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8"
