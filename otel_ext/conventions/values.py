"""Attribute values as the producer meant them: JSON text decoded, envelopes off, sentinels recognised.

Law of this file: nothing here raises, and a value that cannot be decoded without loss (a duplicate key,
NaN, a cut text, a number too large for a double) stays the text it was. Two such texts may then be called
different although they mean the same; they are never called equal although they differ.
"""

import ast
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from otel_ext.span import Value
from otel_ext.step import NOT_CAPTURED
from otel_ext.strictjson import STRICT

MAX_LEVELS = 3
"""JSON in a string in a string: producers nest at most this deep (research of 30 emitters)."""

MAX_REPR = 16_384
"""Longest text that is tried as a Python literal; the parser is slow and needs much memory."""

_SENTINELS = frozenset(
    (
        "<redacted>", "[redacted]", "__redacted__",  # OpenLLMetry, Gemini CLI; OpenInference HIDE_* settings
        "<not specified>", "<not serializable>", "n/a",  # Google ADK
        "<null>",
    )
)  # fmt: skip
_LONGEST_SENTINEL = max(map(len, _SENTINELS))
# What a sentinel, or blanks before one, can begin with: nearly every value is told apart by its first letter.
_OPENINGS = frozenset(
    {s[0] for s in _SENTINELS} | {"N"} | {c for c in map(chr, range(0x3001)) if c.isspace()}
)

# `ast` warns (it does not raise) about these, and a warning on the host's stderr is not ours to give.
_WARNS = re.compile(r"\\[^\n\\'\"abfnrtv0-7xNuU]|\d(?:and|else|for|if|in|is|not|or)", re.ASCII)


# `JSONDecoder.decode` without its search for blanks at both ends: what is scanned here has none.
_SCAN = STRICT.scan_once  # type: ignore[attr-defined] # typeshed leaves it out


def is_sentinel(value: object) -> bool:
    """Whether the value only says that something was not recorded (redacted, not serializable)."""
    return (
        isinstance(value, str)
        and value[:1] in _OPENINGS
        and len(value) <= _LONGEST_SENTINEL
        and value.strip().lower() in _SENTINELS
    )


_CUT = re.compile(r"(\.\.\.|…) ?\[(TRUNCATED|truncated)[^\]]{0,64}\]\s*$")
_ENVELOPES = ('{"', "{'", '[{"', '["')
_ADK = frozenset(("id", "name", "response", "will_continue", "scheduling", "parts"))


_WORDS: Final = ("true", "false", "null", "NaN", "Infinity", "-Infinity")
"""What JSON may hold without quotes and is no number; a cut number ends in "-" or is one."""


def is_cut(value: object) -> bool:
    """Whether a text was cut on its way: it says so (Gemini CLI), or is JSON that ends in the middle.

    OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT cuts in silence. Two cut texts may be equal although what was cut
    off them was not.
    """
    if not isinstance(value, str):
        return False
    text = value.strip()
    if text[-64:].endswith("]") and _CUT.search(text[-160:]):
        return True
    if not text.startswith(_ENVELOPES) or text[-1] == ("}" if text[0] == "{" else "]"):
        return False
    try:
        _SCAN(text, 0)
    except StopIteration as end:
        rest = text[end.value :]  # nothing, or the beginning of a word
        return any(word.startswith(rest) for word in _WORDS)
    except json.JSONDecodeError as error:
        return error.pos >= len(text) - 6 or error.msg.startswith("Unterminated string")  # in an escape
    except (ValueError, RecursionError):
        return False
    return False


def captured(value: Any) -> Any:
    """The value, or `NOT_CAPTURED` for an AnyValue with nothing set and for a sentinel."""
    return NOT_CAPTURED if value is None or is_sentinel(value) else value


def decode(value: Any) -> Any:
    """JSON text decoded up to `MAX_LEVELS` deep, a Python literal as a last resort, else the value itself.

    Semantic conventions 1.38 allow `gen_ai.tool.call.arguments` as structure or as JSON text, OpenInference
    always writes text, and OpenLLMetry's LangChain writes a Python repr.
    """
    for _ in range(MAX_LEVELS):
        if not isinstance(value, str):
            break
        text = value.strip()
        if not text or text[0] not in '{["':
            break
        try:
            decoded, end = _SCAN(text, 0)
        except (ValueError, RecursionError, StopIteration):
            return _literal(value, text)
        if end != len(text):
            return _literal(value, text)
        value = decoded
    return value


def _literal(value: str, text: str) -> Any:
    """A Python repr of a dict or a list; a mere string literal is left alone."""
    if len(text) > MAX_REPR or text[0] == '"' or "'" not in text or text[-1] not in "]}":
        return value
    if _WARNS.search(text):
        return value
    try:
        tree = ast.parse(text, mode="eval")
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict) and len({ast.dump(k) for k in node.keys if k}) != len(node.keys):
                return value
        return ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value


def unwrap(value: Any) -> Any:
    """Call arguments without the instrumentation's envelope around them.

    * smolagents and OpenLLMetry decorators: `{"args": [..], "kwargs": {..}}` (and
      `sanitize_inputs_outputs`) is the kwargs alone, or the args alone, or both in order.
    * OpenLLMetry LangChain: `{"input_str", "inputs", "metadata", "tags", "kwargs"}`; its metadata holds run
      ids that would make every call look new.
    """
    if not isinstance(value, Mapping):
        return value
    args, kwargs = value.get("args"), value.get("kwargs")
    if isinstance(args, list) and isinstance(kwargs, Mapping):
        if all(k in {"args", "kwargs", "sanitize_inputs_outputs"} for k in value):
            if not args:
                return kwargs
            return {"args": args, "kwargs": kwargs} if kwargs else args
    elif "input_str" in value and any(k in value for k in ("metadata", "kwargs", "tags", "inputs")):
        inputs = value.get("inputs")
        return inputs if isinstance(inputs, Mapping) and inputs else decode(value["input_str"])
    return value


def call_arguments(value: Any) -> Any:
    """`captured`, `decode` and `unwrap` in one: what the model passed to the tool."""
    if captured(value) is NOT_CAPTURED:
        return NOT_CAPTURED
    text, value = value, decode(value)
    if isinstance(value, str) and is_cut(text):
        return NOT_CAPTURED
    if type(value) is dict and "args" not in value and "input_str" not in value:
        return value  # no envelope, which is how most producers write
    return captured(unwrap(value))


def call_result(value: Any) -> Any:
    """A tool's result: kept as it was written, without an envelope whose ids make every result look new.

    * OpenLLMetry LangChain: `{"output", "kwargs"}`.
    * OpenInference for Google ADK: Gemini's function response, `{"id", "name", "response"}`.

    Text stays text, because a strict comparison of results must see the bytes that the model saw.
    """
    if isinstance(value, str) and value.startswith(_ENVELOPES):
        decoded = decode(value)
        if isinstance(decoded, Mapping):
            if set(decoded) == {"output", "kwargs"}:
                value = decoded["output"]
            elif {"id", "name", "response"} <= set(decoded) <= _ADK:
                value = decoded["response"]
        elif is_cut(value):
            return NOT_CAPTURED
    return captured(value)


def looks_like_schema(value: Any) -> bool:
    """Whether `tool.parameters` holds the tool's declaration, not a call's arguments.

    OpenInference for smolagents, crewai and openai-agents writes the schema there, for google-adk, agno,
    autogen, strands and beeai the arguments. An empty object is a tool without parameters.
    """
    if not isinstance(value, Mapping) or not value:
        return True
    if isinstance(value.get("properties"), Mapping) or value.get("type") == "object":
        return True
    return all(isinstance(v, Mapping) and ("type" in v or "description" in v) for v in value.values())


def text_of(value: Any) -> str:
    """An identifying attribute as text: a string, an int in decimal; "" for a sentinel and the rest."""
    if isinstance(value, str):
        return "" if value[:1] in _OPENINGS and is_sentinel(value) else value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def first_text(attributes: Mapping[str, Value], *keys: str) -> str:
    """The first of the attributes that has a text; "" when none has."""
    for key in keys:
        if (value := attributes.get(key)) is not None and (text := text_of(value)):
            return text
    return ""


_MOST_COUNTED = 10**15


def count_of(value: Any) -> int | None:
    """A token count: an int, a whole double or either as text; None for negative, NaN and the rest."""
    if type(value) is int and 0 <= value < _MOST_COUNTED:
        return value
    if isinstance(value, str):
        if len(value) > 24:
            return None
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MOST_COUNTED:
        return None
    return int(value)


def first_count(attributes: Mapping[str, Value], *keys: str) -> int | None:
    """The first of the attributes that holds a token count."""
    for key in keys:
        if (value := attributes.get(key)) is not None and (count := count_of(value)) is not None:
            return count
    return None


def storable(text: str) -> str:
    """The text with lone surrogates, which JSON can spell and no encoder takes, as backslash escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def may_start(attributes: Mapping[str, Value], prefix: str) -> bool:
    """Whether some key may start so; one search in all keys is cheaper than one look at each."""
    return prefix in "\n".join(attributes)
