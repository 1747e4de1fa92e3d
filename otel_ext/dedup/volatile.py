"""Parts of a text that differ between two tellings of the same thing.

Law of this file: only what is recognisable as volatile is removed (an instant, a uuid, an address, a
duration, a process or request id). Plain digits stay: `test_0` and `test_1` are two things.
"""

import re
from typing import Final

# Each pattern begins with a literal or a character class, for then the engine skips ahead fast; "not inside
# a word" is therefore asserted after the first character, by looking back over it. The words beside a
# pattern are cheap to look for: without one of them the pattern is not run.
_PATTERNS: Final[tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...]] = tuple(
    (name, re.compile(pattern, re.ASCII), words)
    for name, pattern, words in (
        ("<uuid>", r"[0-9a-fA-F](?<!\w.)[0-9a-fA-F]{7}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", ("-",)),
        ("<address>", r"0x(?<!\w0x)[0-9a-fA-F]+\b", ("0x",)),
        # ISO 8601 instants, with and without zone.
        (
            "<time>",
            r"\d(?<!\w.)\d{3}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?",
            (":",),
        ),
        ("<time>", r"\d(?<!\w.)\d:\d\d:\d\d(?:[.,]\d+)?\b", (":",)),
        (
            "<duration>",
            r"\d(?<![\w.].)\d*(?:\.\d+)?\s?(?:[nuµμm]?s|secs?|seconds?|mins?|minutes?)\b",
            ("s", "min"),
        ),
        ("<pid>", r"[PpTt](?<!\w.)(?:[Ii][Dd]|rocess(?: [Ii][Dd])?|hread(?: [Ii][Dd])?)[ :=#]{1,2}\d+\b",
         ("pid", "PID", "Pid", "rocess", "hread")),
        ("<request>", r"[XxRr](?<!\w.)(?:-?[Rr])?equest[ _-]?[Ii][Dd]\"?[ :=]{1,2}\"?[\w-]+", ("equest",)),
        ("<request>", r"req_(?<!\wreq_)[0-9A-Za-z]{8,}\b", ("req_",)),
    )
)  # fmt: skip


def without_volatile(text: str) -> str:
    """The text with each volatile part replaced by its kind's name."""
    for name, pattern, words in _PATTERNS:
        if any(word in text for word in words):
            text = pattern.sub(name, text)
    return text
