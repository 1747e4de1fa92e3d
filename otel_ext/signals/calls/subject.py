"""What a tool call is about: the thing it names, what it wrote there, whether it checks, and its words.

Law of this file: payload goes in, digests come out, and what the usual argument names do not plainly tell
stays untold (L10). A call that asks a question *about* a file (a search, a prompt) does not name it: two
such calls are not two readings of one thing.
"""

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, Final

from otel_ext.signals.calls import commands, words
from otel_ext.signals.calls.classify import LONGEST_NAME, command_of, own_name
from otel_ext.signals.calls.similar import LONGEST, samples, sketch
from otel_ext.signals.calls.written import (
    NO_CHANGE,
    content_of,
    digest_of,
    patched,
    says_unchanged,
    without_record,
)
from otel_ext.step import NOT_CAPTURED, Effect, Observation, Subject

# Names of arguments, the first that is there counts: in order as a list, and asked for at once as a set.
_PATHS: Final = dict.fromkeys(
    ("file_path", "path", "filename", "file_name", "filepath", "absolute_path", "target_file",
     "relative_path", "relative_workspace_path", "notebook_path", "file", "target_notebook", "TargetFile",
     "AbsolutePath")
)  # fmt: skip
_URLS: Final = dict.fromkeys(("url", "uri", "href", "link"))
_FIRST: Final = dict.fromkeys(
    ("offset", "start_line", "line_start", "from_line", "start_line_one_indexed", "StartLine")
)
_LAST: Final = dict.fromkeys(("end_line", "line_end", "to_line", "end_line_one_indexed_inclusive", "EndLine"))
_PAGES: Final = dict.fromkeys(
    ("page", "page_number", "page_num", "pageNumber", "page_index", "offset", "cursor", "start", "skip",
     "page_token", "start_index", "start_line", "from", "startAt")
)  # fmt: skip
_QUESTIONS: Final = frozenset(
    ("pattern", "query", "regex", "search_string", "prompt", "question", "questions", "glob", "selector", "q")
)
_CHECKS: Final = words.words(
    "build compile diagnostics lint linter lints pytest test tests typecheck unittest"
)
_RUN: Final = words.words("check do exec execute get read run start verify") | _CHECKS
_READ, _WRITE, _UNKNOWN = Effect.READ, Effect.WRITE, Effect.UNKNOWN  # looked up once

MOST_MEMBERS: Final = 64
"""Members of a list in the arguments whose words are taken."""

_DEEPEST = 4
_NOTHING = Subject()


def subject_of(seen: Observation, effect: Effect) -> Subject | None:
    """What a tool call is about; None when nothing can be told. Never raises for decoded JSON."""
    arguments: Any = seen.arguments
    name = own_name(seen.name[:LONGEST_NAME])
    if name in words.SHELLS:
        return _shell(seen, effect, command_of(arguments))
    verifies = not _CHECKS.isdisjoint(pieces := name.split("_")) and pieces[0] in _RUN
    if isinstance(arguments, str) and "patch" in name:
        arguments = {"patch": arguments}
    if not isinstance(arguments, Mapping):
        return _made(seen, effect, verifies=verifies)
    if effect is not _WRITE:
        page = _first_number(arguments, _PAGES)
        place = _resource(arguments)
        if not _QUESTIONS.isdisjoint(arguments):
            return _made(seen, effect, verifies=verifies, asks=True, place=place, page=page)
        first, last = _lines(arguments) if place is not None else (-1, -1)
        return _made(seen, effect, verifies=verifies, resource=place, first=first, last=last, page=page)
    path = _named(arguments, _PATHS) or patched(arguments)
    resource = digest_of(_path(path)) if path else None  # a URL or an id is where it goes, not what it makes
    content, partial = content_of(arguments)
    same = (partial and content == NO_CHANGE) or says_unchanged(seen)
    adds = pieces[0] in words.ADDING and not path and name != "submit" and not _once(arguments)
    return _made(
        seen,
        effect,
        verifies=verifies,
        resource=resource,
        content=content,
        partial=partial,
        unchanged=same,
        adds=adds,
    )


def _once(arguments: Mapping[str, Any]) -> bool:
    """Whether the other side can tell the call from one that was made before."""
    return any(str(key).lower() in words.ONCE for key in arguments)


def _shell(seen: Observation, effect: Effect, command: str | None) -> Subject | None:
    if command is None:
        return None
    verifies, target = commands.verifies(command), commands.target(command)
    if target is None:
        return _made(seen, effect, verifies=verifies)
    resource = digest_of(_path(target.path))
    if effect is not _WRITE:
        return _made(seen, effect, verifies=verifies, resource=resource, first=target.first, last=target.last)
    content = digest_of(command) if target.whole else None
    return _made(
        seen,
        effect,
        verifies=verifies,
        resource=resource,
        content=content,
        unchanged=says_unchanged(seen),
    )


def _made(seen: Observation, effect: Effect, **known: Any) -> Subject | None:
    """The subject with its words, which only calls that ask need: writing alike things is how one writes."""
    asked = told = b""
    if (effect is _READ or effect is _UNKNOWN) and seen.arguments is not NOT_CAPTURED:
        text = " ".join(_values(seen.arguments))
        if text and len(text) <= LONGEST:  # of a longer one a sketch would tell the beginning only
            asked = sketch(text)
            if isinstance(seen.result, str):
                told = sketch(samples(without_record(seen.result)))
            elif isinstance(seen.result, Mapping | list):
                told = sketch(samples(" ".join(_values(seen.result))))
    made = Subject(words=asked, result_words=told, **known)
    return None if made == _NOTHING else made


def _resource(arguments: Mapping[str, Any]) -> bytes | None:
    if path := _named(arguments, _PATHS):
        return digest_of(_path(path))
    if url := _named(arguments, _URLS):
        return digest_of(url.strip().partition("#")[0].rstrip("/"))
    ids = [key for key in arguments if key in ("id", "key") or str(key).endswith(("_id", "Id", "ID", "uuid"))]
    if len(ids) == 1 and isinstance(value := arguments[ids[0]], str | int) and value != "":
        return digest_of(f"{ids[0]}\0{value}")
    return None  # none, or several: which of them the call is about is not known


def _named(arguments: Mapping[str, Any], keys: Mapping[str, None]) -> str:
    """The first text under one of the keys, "" when there is none."""
    for key in () if keys.keys().isdisjoint(arguments) else keys:
        if isinstance(value := arguments.get(key), str) and value.strip():
            return value
    return ""


def _path(text: str) -> str:
    return posixpath.normpath(text.strip().removeprefix("file://").replace("\\", "/"))


def _lines(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """The lines asked for, counted as the tool counts; the first is 1 where only a number of them is told."""
    view = arguments.get("view_range")
    if isinstance(view, Sequence) and not isinstance(view, str) and len(view) == 2:
        return _number(view[0]), _number(view[1])
    first, last = _first_number(arguments, _FIRST), _first_number(arguments, _LAST)
    limit = _number(arguments.get("limit"))
    if last < 0 < limit:
        first = 1 if first < 0 else first
        last = first + limit - 1
    elif first < 0 <= last:
        first = 1
    return first, last


def _first_number(arguments: Mapping[str, Any], keys: Mapping[str, None]) -> int:
    """The first number under one of the keys, -1 when there is none."""
    for key in () if keys.keys().isdisjoint(arguments) else keys:
        if (found := _number(arguments.get(key))) >= 0:
            return found
    return -1


def _number(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 16:
        return int(value)
    return value if type(value) is int and 0 <= value < 1 << 53 else -1


def _values(value: Any) -> list[str]:
    """Words and numbers among the values, without the labels that models word anew each time."""
    found: list[str] = []
    _gather(value, 0, found)
    return found


def _gather(value: Any, depth: int, found: list[str]) -> None:
    if isinstance(value, str):
        found.append(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found.append(str(value))
    elif depth < _DEEPEST and isinstance(value, Mapping):
        for key, member in value.items():
            if key not in words.LABELS:
                _gather(member, depth + 1, found)
    elif depth < _DEEPEST and isinstance(value, list | tuple):
        for member in value[:MOST_MEMBERS]:
            _gather(member, depth + 1, found)
