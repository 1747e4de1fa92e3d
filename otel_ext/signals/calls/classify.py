"""What a call does and whether it still waits: read from the raw observation.

Law of this file: a declared class beats a guess, a guess is made only from plain words, and what cannot be
told is UNKNOWN or False (L10). Every look at payload is bounded.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from otel_ext.signals.calls import shell, words
from otel_ext.step import NOT_CAPTURED, Effect, Kind, Observation

LONGEST_STATUS: Final = 4096
"""Characters of a result in which a status field is looked for."""

LONGEST_PHRASE: Final = 400
"""Characters of a result that may as a whole mean "still running"; longer ones are content."""

LONGEST_NAME: Final = 256
"""Characters of a tool's name in which words are looked for."""

_TOOL = Kind.TOOL
_PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_COMMANDS = ("command", "cmd", "script", "commands")
_EDITOR = {
    "view": Effect.READ,
    "create": Effect.WRITE,
    "str_replace": Effect.WRITE,
    "insert": Effect.WRITE,
    "undo_edit": Effect.WRITE,
}

_WAITING_FIELD = re.compile(
    r"""["']?\b(?:status|state|phase)["']?\s*[:=]\s*["']?([a-z_-]+)["']?(?=\s*(?:[,}\n]|$))""", re.IGNORECASE
)
_WAITING_PHRASE = re.compile(
    r"still (?:running|waiting|in progress|processing|pending)"
    r"|not (?:yet )?(?:ready|finished|complete)(?: yet)?|\bin progress\b"
    r"|process running with session|please wait|running in (?:the )?background",
    re.IGNORECASE,
)
# Words without which the patterns above do not match, in lower case.
_FIELDS = ("status", "state", "phase")
_PHRASES = (
    "still ",
    "not ",
    "in progress",
    "process running with session",
    "please wait",
    "running in ",
)


def effect_of(observation: Observation, overrides: Mapping[str, Effect] | None = None) -> Effect:
    """What a tool call does to the world: overrides by tool name, then its name, then its command."""
    if observation.kind is not _TOOL:
        return Effect.UNKNOWN
    if overrides and observation.name in overrides:
        return overrides[observation.name]
    if observation.handoff:
        return Effect.UNKNOWN  # "transfer_to_billing" moves nothing but the talk
    name = own_name(observation.name[:LONGEST_NAME])
    arguments = observation.arguments
    if name in words.SHELLS:
        command = command_of(arguments)
        return Effect.UNKNOWN if command is None else shell.classify(command)
    if name == "write_stdin" and isinstance(arguments, Mapping):
        return Effect.WRITE if arguments.get("chars") or arguments.get("input") else Effect.POLL
    if "edit" in name and isinstance(arguments, Mapping) and str(arguments.get("command")) in _EDITOR:
        return _EDITOR[str(arguments["command"])]
    return _by_name(name)


def is_waiting(observation: Observation) -> bool:
    """Whether a successful result says that something is still going on (precision rule 6)."""
    result = observation.result
    if observation.error or result is NOT_CAPTURED or observation.kind is not _TOOL:
        return False
    if not isinstance(result, str) and isinstance(result, Mapping):
        states = (result.get(key) for key in ("status", "state", "phase"))
        return any(isinstance(state, str) and state.lower() in words.WAITING_STATES for state in states)
    if not isinstance(result, str) or len(result) > LONGEST_STATUS:
        return False
    # Beyond ASCII there are letters whose lower case is not what `re` takes them for (`may_hold`).
    lower = result.lower() if result.isascii() else None
    phrase = len(result) <= LONGEST_PHRASE and (lower is None or _any(_PHRASES, lower))
    if phrase and _WAITING_PHRASE.search(result):
        return True
    if (":" not in result and "=" not in result) or (lower is not None and not _any(_FIELDS, lower)):
        return False
    return any(state.lower() in words.WAITING_STATES for state in _WAITING_FIELD.findall(result))


def may_hold(words: Sequence[str], text: str) -> bool:
    """Whether a text may hold one of these words, given in lower case; surely so beyond ASCII."""
    # Looking for a word costs a twentieth of a search for a pattern in any letter case. Beyond ASCII there
    # are letters whose lower case is not what `re` takes them for, so there the pattern itself has to tell.
    return not text.isascii() or _any(words, text.lower())


def _any(words: Sequence[str], text: str) -> bool:
    for word in words:  # noqa: SIM110 - a generator costs more than the search
        if word in text:
            return True
    return False


@lru_cache(maxsize=4096)
def _by_name(name: str) -> Effect:
    if name in words.EXEMPT:
        return Effect.EXEMPT
    pieces = name.split("_")
    noun = pieces[0] in words.AMBIGUOUS
    if pieces[0] in words.WRITE and not noun:
        return Effect.WRITE
    if name in words.POLL_NAMES or not words.POLL.isdisjoint(pieces):
        return Effect.POLL
    for piece in pieces[noun:]:
        if piece in words.READ:
            return Effect.READ
        if piece in words.WRITE:
            return Effect.WRITE
    if not words.READ_NOUNS.isdisjoint(pieces):
        return Effect.READ
    return Effect.WRITE if noun else Effect.UNKNOWN


@lru_cache(maxsize=4096)
def own_name(name: str) -> str:
    """The tool's own name in snake case; it comes last: "mcp__server__tool", "server.tool"."""
    own = re.split(r"__|[./:]", name)[-1] or name
    return "_".join(piece.lower() for piece in _PIECES.findall(own))


def command_of(arguments: Any) -> str | None:
    """The command line in a shell tool's arguments; None when there is none."""
    if isinstance(arguments, str):
        return arguments
    if isinstance(arguments, Mapping):
        for key in _COMMANDS:
            if key in arguments:
                return command_of(arguments[key])
        return None
    if isinstance(arguments, Sequence) and arguments and all(isinstance(word, str) for word in arguments):
        if len(arguments) >= 3 and arguments[1] in ("-c", "-lc"):
            return str(arguments[2])
        return " ".join(arguments)
    return None
