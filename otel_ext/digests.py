"""What a Step keeps of payload that rules compare: a call's subject, a model's words.

Law of this file: digests and numbers only. What is not known has the default, which never equals a value.
"""

import msgspec


class Subject(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """What a tool call is about, as far as its arguments and its result say; digests are 16 bytes.

    Attributes:
        resource: digest of the one path, URL or id that the call names, normalised; of a write a path only;
            None when it names none, several, or asks a question about it.
        first, last: the lines (or bytes) of it that were asked for, -1 when it was asked for whole.
        content: digest of what was written to it; None when nothing was, or when it is not known.
        partial: the content is only what an edit changed: a number of 128 bits to be added, modulo 2^128, to
            what was there before; an edit and its reverse add up to nothing.
        unchanged: the result says that the write changed nothing.
        place: where a call that asks a question looks (a path, URL or id); None when it says nowhere.
        asks: the call asks a question (a query, a pattern, a prompt).
        adds: a write that does its work anew each time it is made (send, pay, create), not once for all.
        verifies: the call runs tests, a build, a linter or a type checker.
        page: the value of a page, offset or cursor argument when it is a number, -1 when there is none.
        words: MinHash of the arguments' words, b"" when not computed.
        result_words: MinHash of the result's words, b"" when not captured.
    """

    resource: bytes | None = None
    first: int = -1
    last: int = -1
    content: bytes | None = None
    partial: bool = False
    unchanged: bool = False
    place: bytes | None = None
    asks: bool = False
    adds: bool = False
    verifies: bool = False
    page: int = -1
    words: bytes = b""
    result_words: bytes = b""


class Said(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """What a model answered, digested.

    Attributes:
        hash: digest of the text, blanks and letter case evened out; None when the answer had no text.
        words: how many words it had.
        sketch: 64-bit SimHash of its word pairs, 0 for a short answer.
        repeats: how often its end repeats one passage, 0 when it does not.
        finish: why the model stopped, "" when unknown.
        captured: the answer's text was recorded, be it an empty one; else only `finish` is known.
        code: digest of the code that it asks to run, None when it holds none.
    """

    hash: bytes | None = None
    words: int = 0
    sketch: int = 0
    repeats: int = 0
    finish: str = ""
    captured: bool = False
    code: bytes | None = None
