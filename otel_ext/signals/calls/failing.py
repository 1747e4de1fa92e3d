"""What kind of failure it is: one that waiting mends, one that says nothing, one of a file that is not there.

Law of this file: text is believed only where it is a phrase in the failing program's own words. Quoted text
and long arguments of the call are content, and a programming error never passes by waiting (L10).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from otel_ext.signals.calls import words
from otel_ext.signals.calls.classify import LONGEST_NAME, may_hold, own_name
from otel_ext.step import Observation

LONGEST: Final = 4096
"""Characters of a failure that are looked at."""

_MOST_VALUES = 64
_LONG_VALUE = 8

_QUOTED = re.compile(r"'[^'\n]{0,500}'|\"[^\"\n]{0,500}\"|`[^`\n]{0,500}`")
_PROGRAMMING = re.compile(
    r"\b(?:Type|Key|Value|Syntax|Attribute|Name|Index|Indentation|Tab|UnboundLocal|Assertion|Import"
    r"|ModuleNotFound|NotImplemented|ZeroDivision|Recursion|Reference|Range|Lookup|UnicodeDecode"
    r"|UnicodeEncode|JSONDecode|Validation|Overflow)Error\b(?=\s*[:(]|\s*$)|^\W*\w*(?:Type|Key|Value|Syntax"
    r"|Attribute|Name|Index)Error\b",
    re.MULTILINE,
)
_NOT_A_NAME = r"(?!\W{0,2}(?:must|should|is\b|was\b|has\b|needs|value|arg|param|option|setting|=))"
_SERVER = r"(?:408|425|429|50[0234]|52\d)"
_TRANSIENT = re.compile(
    r"too many requests"
    r"|rate[ _-]?limit(?:s|ing)?\W{1,2}(?:\w+ ){0,3}(?:exceeded|reached|hit|error)|rate[ -]limited"
    r"|(?:exceeded|reached|hit) (?:\w+ ){0,4}rate[ -]?limit|\brate_?limit_?(?:error|exceeded|reached)"
    r"|(?:is|was|were|been|being|requests?) throttled|throttl(?:ing|ed)(?:exception|error)"
    r"|quota exceeded.{0,40}retry"
    r"|(?:server|model|service|system|engine|api|currently|temporarily) (?:is )?(?:currently )?overloaded"
    r"|overloaded_error"
    r"|timed[ -]?out"
    rf"|time-?out (?:after|exceeded|expired|error|reached|waiting|while)|timeout of .{{0,30}}exceeded"
    r"|\b(?:read|connect|connection|request|gateway|lock(?: wait)?|operation|response|server|network|socket"
    rf"|query|statement|execution|command) timeout\b{_NOT_A_NAME}"
    r"|(?:\b|read|connect|api|gateway|pool)timeout(?:error|exception|expired)\b|\b(?:read|connect)timeout\b"
    r"|deadline[ _]?exceeded"
    r"|connection (?:was |has been )?(?:reset|aborted|refused|closed|timed)"
    r"|connection(?:reset|aborted|refused)error|\b(?:econnreset|econnrefused|etimedout|eai_again|ebusy)\b"
    r"|temporar(?:y|ily) (?:failure|error|unavailable|overloaded|out of|not available|blocked)"
    r"|service (?:is |temporarily |currently )*unavailable|bad gateway|internal server error"
    r"|(?:try|retry) again (?:later|in|after|shortly)"
    r"|database (?:table )?is locked|could not (?:obtain|acquire) .{0,20}lock|deadlock (?:detected|found)"
    r"|resource busy|write conflict"
    rf"|\bhttp(?:/\d(?:\.\d)?|error| error| status| code)*\W{{0,3}}{_SERVER}\b"
    rf"|\bstatus(?:[ _]?code)?\W{{0,3}}(?:of |is )?{_SERVER}\b|\berror code: {_SERVER}\b"
    rf"|^\W*{_SERVER}(?:\W*$|\W*[:-]| (?:client|server) error)"
    # A failure that is nothing but its class, as `error.type` tells it.
    r"|^\W*(?:error\W+)?(?:timeout|rate_limit|throttled|overloaded)\W*$",
    re.IGNORECASE,
)
# Without one of these the pattern above does not match; of its numbers the first two digits, or 425 and 408.
_TRANSIENT_WORDS: Final = (
    *("rate", "throttl", "many requests", "quota", "overloaded", "timed", "time", "deadline", "connection"),
    *("econn", "again", "busy", "unavailable", "temporar", "gateway", "server error", "lock", "conflict"),
    *("408", "42", "50", "52"),
)
_NO_TOOL = re.compile(
    r"\b(?:unknown|unsupported|nonexistent|no such) (?:tool|function)\b"
    r"|\bno (?:tool|function) (?:named|called)\b"
    r"|\b(?:tool|function)\W{1,3}[\w./:-]{1,80}\W{1,3}(?:was )?(?:not found|does not exist|doesn't exist"
    r"|is not (?:found|available|defined|registered|supported|known|a valid))"
    r"|\btool not found\b|\bis not a valid (?:tool|function)\b|\binvalid tool(?: name)?\b",
    re.IGNORECASE,
)
_NOT_TAKEN = re.compile(
    r"unexpected keyword argument|missing \d+ required (?:positional|keyword)"
    r"|takes \d+ positional arguments? but"
    r"|missing (?:a )?required (?:argument|parameter|property|field|key|input)"
    r"|required (?:argument|parameter|property|field)\W.{0,80}(?:missing|not provided|is required)"
    r"|inputvalidationerror|\binvalid (?:tool )?(?:arguments|parameters|params)\b|schema validation"
    r"|\d+ validation errors? for|(?:does not match|do not match|violates) (?:the )?(?:\w+ )?schema"
    r"|additional properties are not allowed|(?:parse|decode) (?:the )?(?:tool|function)?.?arguments"
    r"|-3260[12]\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"</?\w+>")  # tags, and what `dedup` leaves in place of the call's own words
_WORD = re.compile(r"[^\W\d_]+")
_ABSENT = re.compile(
    r"no such file|not found|does not exist|doesn't exist|not exist|enoent|cannot find|could not find"
    r"|filenotfound|\b404\b",
    re.IGNORECASE,
)
_PATH = re.compile(r"[^\s/\\]*[/\\]\S+|[\w~@+-][\w.~@+-]*\.[A-Za-z]\w{0,7}")


def is_transient(observation: Observation) -> bool:
    """Whether a failure is of a kind that waiting mends (precision rule 5)."""
    if not observation.error:
        return False
    text = observation.error_text
    if not text and isinstance(observation.result, str):
        text = observation.result
    text = text[:LONGEST]
    for value in _values(observation.arguments):
        if len(value) >= _LONG_VALUE:  # a shorter one is a word like others ("timeout" is a common key)
            text = text.replace(value, "''")
    if not text.lstrip().startswith(("{", "[")):  # in JSON everything is quoted
        text = _QUOTED.sub("''", text)
    if not may_hold(_TRANSIENT_WORDS, text):
        return False
    return _TRANSIENT.search(text) is not None and _PROGRAMMING.search(text) is None


def is_invalid(observation: Observation) -> bool:
    """Whether a failure says that there is no such tool, or that it does not take such arguments.

    A tool that runs code may report the same of a function in that code; there only the first counts.
    """
    if not observation.error:
        return False
    text = observation.error_text[:LONGEST]
    if _NO_TOOL.search(text):
        return True
    name = own_name(observation.name[:LONGEST_NAME])
    if name in words.SHELLS or not words.CODE.isdisjoint(name.split("_")):
        return False
    return _NOT_TAKEN.search(text) is not None and "Traceback (most recent call last)" not in text


def is_vague(text: str) -> bool:
    """Whether a failure's whole text says no more than that something failed: two such may differ."""
    return all(word.lower() in words.SAYS_NOTHING for word in _WORD.findall(_MARKUP.sub(" ", text[:LONGEST])))


def absent_path(observation: Observation) -> str:
    """The path which the call named and of which the failure says that it is not there, else ""."""
    text = observation.error_text[:LONGEST]
    if not observation.error or _ABSENT.search(text) is None:
        return ""
    paths = (value for value in _values(observation.arguments) if _PATH.fullmatch(value))
    return next((path for path in paths if path in text), "")


def _values(arguments: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(arguments, str):
        if arguments:
            yield arguments[:LONGEST]
    elif depth > 3:
        return
    elif isinstance(arguments, Mapping):
        for value in list(arguments.values())[:_MOST_VALUES]:
            yield from _values(value, depth + 1)
    elif isinstance(arguments, Sequence) and not isinstance(arguments, bytes | bytearray | memoryview):
        for value in arguments[:_MOST_VALUES]:
            yield from _values(value, depth + 1)
