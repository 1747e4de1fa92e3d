"""What a command line is about: the one file it reads or writes, and whether it verifies.

Law of this file: nothing is run or expanded. A file is named only where the whole line is about that one
file; a line that asks something of it (`grep`) or leads on (`cat x | sort`) names none (L10).
"""

import posixpath
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from otel_ext.signals.calls.shell import LONGEST, NOWHERE, simple_commands, without_prefix
from otel_ext.signals.calls.words import words

_CHECKERS: Final = words(
    "ava bandit bazel biome black checkov clang-tidy clippy coqc cppcheck ctest eslint flake8 g++ gcc clang "
    "clang++ ghc golangci-lint gradle gradlew isort jasmine javac jest karma ktlint make meson mocha mvn "
    "mvnw mypy ninja nose2 nosetests nox phpstan phpunit pre-commit py.test pylint pyright pytest rspec "
    "rubocop ruff rustc scalac shellcheck standard stylelint swiftlint tox tsc vet vitest vulture xcodebuild"
)
"""Programs that test, build, lint or check types, whatever follows."""

_RUNNERS: Final[dict[str, frozenset[str]]] = {
    "npm": words("build check lint t test tsc typecheck type-check"),
    "pnpm": words("build check lint t test tsc typecheck type-check vitest jest eslint"),
    "yarn": words("build check lint test tsc typecheck type-check vitest jest eslint"),
    "bun": words("build check lint test tsc typecheck type-check"),
    "npx": _CHECKERS | words("playwright cypress"),
    "bunx": _CHECKERS,
    "go": words("build test vet"),
    "cargo": words("bench build check clippy nextest test"),
    "dotnet": words("build test"),
    "swift": words("build test"),
    "deno": words("check lint test"),
    "mix": words("compile credo dialyzer test"),
    "rake": words("lint spec test"),
    "dune": words("build runtest test"),
    "zig": words("build test"),
    "cabal": words("build test"),
    "stack": words("build test"),
    "lake": words("build test"),
    "sbt": words("compile test"),
}
"""Programs that do so by their first words; `run` and options before it are skipped."""

_MODULES: Final = words(
    "build compileall doctest flake8 mypy nose2 pylint py_compile pyright pytest ruff tox unittest"
)
_LAUNCHERS: Final = words("uv poetry hatch pdm pipenv pipx bundle rye")
_ASIDE: Final = words("cd echo export pwd set source true date ls mkdir")
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*\Z")
_LINES = re.compile(r"(\d{1,9})(?:,(\d{1,9}|\$))?p\Z")


class Target(NamedTuple):
    """The file that a command line reads or writes; `first` and `last` as in `Subject`.

    Attributes:
        whole: it was written anew by this line, so the line tells its content.
    """

    path: str
    first: int = -1
    last: int = -1
    whole: bool = False


def verifies(command: str) -> bool:
    """Whether a command line runs tests, a build, a linter or a type checker."""
    return any(_verifies(without_prefix(parts)) for parts in simple_commands(command[:LONGEST]))


def _verifies(parts: Sequence[str]) -> bool:
    if not parts:
        return False
    name, rest = parts[0].rsplit("/", 1)[-1], parts[1:]
    if name in _CHECKERS:
        return "--version" not in rest and "--help" not in rest and rest[:1] != ["install"]
    if name in _LAUNCHERS:
        return rest[:1] in (["run"], ["exec"]) and _verifies(_words_of(rest[1:]))
    if _PYTHON.match(name):
        at = rest.index("-m") if "-m" in rest else len(rest)
        return at + 1 < len(rest) and rest[at + 1] in _MODULES
    if name in ("node", "ruby", "php", "perl", "bash", "sh"):
        return any(option in ("--check", "--test", "-c", "-l", "-n") for option in rest[:1]) and (
            name not in ("bash", "sh") or rest[0] == "-n"
        )
    if name == "cmake":
        return "--build" in rest
    after = _words_of(rest)
    if after[:1] == ["run"]:
        after = after[1:]
    return name in _RUNNERS and bool(after) and after[0].split(":")[0] in _RUNNERS[name]


def _words_of(parts: Sequence[str]) -> list[str]:
    rest = list(parts)
    while rest and rest[0].startswith("-"):
        rest.pop(0)
    return rest


def target(command: str) -> Target | None:
    """The one file that a command line reads or writes as a whole, or by lines; None when there is none."""
    where, rest = "", []
    for parts in simple_commands(command[:LONGEST]):
        bare = without_prefix(parts)
        if bare[:1] == ["cd"] and len(bare) == 2:
            where = posixpath.join(where, bare[1])
        elif bare and (bare[0] not in _ASIDE or ">" in bare or ">>" in bare):
            rest.append(bare)
    found = _written(rest) if any(_REDIRECTS.intersection(parts) for parts in rest) else _read(rest)
    return found and found._replace(path=posixpath.join(where, found.path))


_REDIRECTS = frozenset((">", ">>", ">|"))


def _written(commands: Sequence[Sequence[str]]) -> Target | None:
    if len(commands) != 1:
        return None
    parts = commands[0]
    redirects = [(word, to) for word, to in pairwise(parts) if word in _REDIRECTS and to not in NOWHERE]
    if not redirects:
        return _read(commands)
    if len(redirects) > 1 or parts[0] not in ("cat", "echo", "printf"):
        return None
    return Target(redirects[0][1], whole=redirects[0][0] != ">>")


def _read(commands: Sequence[Sequence[str]]) -> Target | None:
    if not 1 <= len(commands) <= 2:
        return None
    name, *rest = commands[0]
    names = _names(rest)
    if len(commands) == 2:
        # `cat FILE | head -50`; what else may follow asks something of the file.
        if name not in ("cat", "nl") or len(names) != 1 or commands[1][0] != "head":
            return None
        count = _count(commands[1][1:])
        return Target(names[0], 1, count) if count > 0 and not _names(commands[1][1:], count) else None
    if name in ("cat", "nl", "less", "more", "bat") and len(names) == 1:
        return Target(names[0])
    if name == "head":
        count = _count(rest) if any(word.startswith("-") for word in rest) else 10
        names = _names(rest, count)
        return Target(names[0], 1, count) if count > 0 and len(names) == 1 else None
    if name == "sed" and "-n" in rest and len(names) == 2 and (lines := _LINES.match(names[0])):
        first = int(lines[1])
        last = first if lines[2] is None else -1 if lines[2] == "$" else int(lines[2])
        return Target(names[1], first, last)
    if name == "sed" and len(names) == 2 and any(word.startswith(("-i", "--in-place")) for word in rest):
        return Target(names[1])
    return None


def _names(parts: Sequence[str], count: int = -1) -> list[str]:
    """The words that are no options, no redirections and no option's number."""
    found: list[str] = []
    skip = False
    for at, word in enumerate(parts):
        if skip:
            skip = False
        elif word.strip("<>&|") == "":
            skip = True
            if found and found[-1].isdigit() and at and parts[at - 1] == found[-1]:
                found.pop()  # the 2 of `2>/dev/null`
        elif word == "-n" and count >= 0:
            skip = True
        elif not word.startswith("-"):
            found.append(word)
    return found


def _count(parts: Sequence[str]) -> int:
    """How many lines `head` was told to give; -1 when that is not plain."""
    for at, word in enumerate(parts):
        number = word.removeprefix("-n").removeprefix("-")
        if word in ("-n", "--lines") and at + 1 < len(parts):
            number = parts[at + 1]
        if word.startswith("-") and number.isdecimal() and len(number) < 10:
            return int(number)
    return -1
