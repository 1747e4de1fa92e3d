"""JSON decoded without loss, or not at all.

Law of this file: what Python's decoder would pass over in silence (a key that stands twice, of which the
last would win; NaN and infinities, which are not JSON; a number beyond a double, which would become one)
is a ValueError.
"""

import json
import math
from typing import Any, Final, NoReturn


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's members; ValueError when a key stands twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has the same key twice")
    return members


def no_constant(name: str) -> NoReturn:
    """Refuse `NaN`, `Infinity` and `-Infinity`."""
    raise ValueError(f"{name} is not a JSON number")


def _double(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number beyond a double")
    return number


STRICT: Final = json.JSONDecoder(
    object_pairs_hook=unique_keys, parse_constant=no_constant, parse_float=_double
)
"""Raises ValueError for all of the above and for what is not JSON, RecursionError for too deep nesting."""
