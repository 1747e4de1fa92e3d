"""Why a session crashed, in words.

Law of this file: the first failure is the reason. What fails after it, while it is handled or cleaned up, is
recorded beside it, never instead: "primary; cleanup failed: secondary". `raise X from Y` is a translation: X
is the reason and Y its cause. A text is at most `LONGEST` characters and never raises.
"""

from collections.abc import Iterator
from typing import Final

LONGEST: Final = 500
"""Characters of a reason."""

DEFAULT: Final = "the process exited before the session completed"
"""The reason when none was given."""

_MOST = 16
"""Links of a chain of exceptions that are followed."""


def type_name(error: BaseException) -> str:
    """The exception's type as the SDK records it: with its module, unless that is `builtins`."""
    kind = type(error)
    module = kind.__module__
    return f"{module}.{kind.__qualname__}" if module and module != "builtins" else kind.__qualname__


def chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, and those that it was raised from or while handling."""
    each: BaseException | None = error
    for _ in range(_MOST):
        if each is None:
            return
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def reason_of(error: BaseException) -> str:
    """What to record as the reason of a crash."""
    late: list[BaseException] = []
    primary = error
    for _ in range(_MOST):
        if primary.__cause__ is not None or primary.__suppress_context__ or primary.__context__ is None:
            break
        late.append(primary)
        primary = primary.__context__
    text = _words(primary)
    if primary.__cause__ is not None:
        text += f" (caused by {_words(primary.__cause__)})"
    text += "".join(f"; cleanup failed: {_words(each)}" for each in reversed(late))
    return cut(text)


def cut(text: str) -> str:
    """The text within its bound."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _words(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a stranger's __str__
        text = ""
    return f"{type_name(error)}: {text}" if text else type_name(error)
