"""What a shell command does, as far as its words tell.

Law of this file: nothing is run or expanded. A line is cut into simple commands; any write makes the whole
line a write, then any wait makes it a poll, then anything unknown makes it unknown.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from otel_ext.signals.calls.words import words
from otel_ext.step import Effect

LONGEST: Final = 8192
"""Characters of a command that are looked at."""

_READ = words(
    ": [ awk basename cat cd cmp column comm cut date df diff dir dirname du echo egrep env false fgrep file "
    "find fold grep head hexdump hostname id jq ls lsof md5sum nl "
    "od pwd readlink realpath rg sed seq "
    "sha256sum sort stat strings tac tail test tr tree true type uname uniq wc which whoami xxd yq "
    "printenv printf export set source . fd"
)
_WRITE = words(
    "chmod chown cp dd install kill killall ln mkdir mkfifo mv patch pkill rm rmdir rsync shred tee touch "
    "truncate unlink"
)
_POLL = words("jobs nvidia-smi pgrep ps sleep squeue top uptime wait watch")
NOWHERE = ("/dev/null", "/dev/stderr", "/dev/stdout")
_PREFIX = words("builtin command exec ionice nice nohup setsid stdbuf sudo time timeout xargs")

_SUBCOMMANDS: Final[dict[str, tuple[frozenset[str], frozenset[str], frozenset[str]]]] = {
    # program: (reads, writes, polls); any other subcommand is unknown
    "git": (
        words(
            "blame branch cat-file config describe diff grep log ls-files ls-remote ls-tree reflog remote "
            "rev-list rev-parse shortlog show status tag"
        ),
        words(
            "add am apply checkout cherry-pick clean clone commit fetch init merge mv pull push rebase reset "
            "restore revert rm stash switch"
        ),
        frozenset(),
    ),
    "kubectl": (
        words("api-resources config explain version"),
        words("annotate apply create delete drain edit label patch replace scale set"),
        words("describe get logs rollout top wait"),
    ),
    "docker": (
        words("images inspect version info"),
        words("build cp create kill push rm rmi start stop tag"),
        words("logs ps stats wait"),
    ),
    "systemctl": (
        words("cat list-units show"),
        words("disable enable restart start stop"),
        words("is-active status"),
    ),
    "gh": (frozenset(), frozenset(), frozenset(["run"])),
    "pip": (words("freeze list show"), words("install uninstall"), frozenset()),
    "npm": (words("list ls view"), words("ci install uninstall"), frozenset()),
}


_WORD = re.compile(r"""[();<>|&]+|(?:[^ \t\r\n'"();<>|&]+|'[^']*'|"[^"]*")+""")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")


def classify(command: str) -> Effect:
    """The effect of a command line; UNKNOWN for whatever cannot be told."""
    found = {_simple(parts) for parts in simple_commands(command[:LONGEST])}
    for effect in (Effect.WRITE, Effect.POLL, Effect.UNKNOWN, Effect.READ):
        if effect in found:
            return effect
    return Effect.UNKNOWN


@lru_cache(maxsize=128)  # several ask about one command, and agents repeat themselves
def simple_commands(command: str) -> tuple[tuple[str, ...], ...]:
    """The simple commands of a line, in order; ("?",) stands for what follows an open quote.

    A here-document's lines are data; only the line that opens it is a command.
    """
    body = command.find("<<")
    if body >= 0:
        end = command.find("\n", body)
        command = command[: end if end >= 0 else len(command)]
    return tuple(tuple(parts) for parts in _commands(command))


def words_of(text: str) -> Iterable[str]:
    """What `shlex` makes of a text, in a tenth of its time where there is no backslash and no open quote.

    Raises:
        ValueError: a quote is open; while iterating.
    """
    if "\\" not in text and not _WORD.sub("", text).strip(" \t\r\n"):
        found = _WORD.findall(text)
        return [_QUOTED.sub(_unquoted, word) for word in found] if "'" in text or '"' in text else found
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    return lexer


def _unquoted(match: re.Match[str]) -> str:
    return match[0][1:-1]


def _commands(text: str) -> Iterator[list[str]]:
    parts: list[str] = []
    try:
        for word in words_of(text.replace("\\\n", " ").replace("\n", " ; ")):
            if word and not word.strip(";&|()"):
                yield parts
                parts = []
            else:
                parts.append(word)
    except ValueError:  # an open quote
        yield ["?"]
    yield parts


def _simple(parts: Sequence[str]) -> Effect | None:
    if _redirects(parts):
        return Effect.WRITE
    rest = without_prefix(parts)
    if not rest:
        return None
    name, arguments = rest[0].rsplit("/", 1)[-1], rest[1:]
    if name in _SUBCOMMANDS:
        return _subcommand(name, arguments)
    if name in _WRITE or (name == "sed" and any(word.startswith(("-i", "--in-place")) for word in arguments)):
        return Effect.WRITE
    if name == "find" and "-delete" in arguments:
        return Effect.WRITE
    if name == "find" and any(word.startswith(("-exec", "-ok")) for word in arguments):
        return Effect.UNKNOWN
    if name in _POLL or (name == "tail" and {"-f", "-F", "--follow"} & set(arguments)):
        return Effect.POLL
    return Effect.READ if name in _READ else Effect.UNKNOWN


def _subcommand(name: str, arguments: Sequence[str]) -> Effect:
    reads, writes, polls = _SUBCOMMANDS[name]
    skip = False
    for word in arguments:
        if skip or word.startswith("-"):
            # `git -C DIR status`, `kubectl -n NAME get`: the option's value is no subcommand.
            skip = not skip and word in ("-C", "-c", "-n", "--namespace", "--context")
            continue
        if word in writes:
            return Effect.WRITE
        if word in polls:
            return Effect.POLL
        return Effect.READ if word in reads else Effect.UNKNOWN
    return Effect.UNKNOWN


def _redirects(parts: Sequence[str]) -> bool:
    for word, target in pairwise([*parts, ""]):
        if word in (">", ">>", "&>", "&>>", ">|") and target not in NOWHERE:
            return True
    return False


def without_prefix(parts: Sequence[str]) -> list[str]:
    """A simple command without what only says how to run it: assignments, `sudo`, `timeout 5`."""
    rest = list(parts)
    while rest:
        first = rest[0].rsplit("/", 1)[-1]
        assigns = "=" in first and first.split("=")[0].isidentifier()
        if not assigns and first not in _PREFIX and first not in ("!", "{", "then", "do", "if", "while"):
            break
        rest.pop(0)
        while first in _PREFIX and rest and (rest[0].startswith("-") or rest[0][:1].isdigit()):
            rest.pop(0)  # the prefix's own options and durations
    return rest
