"""What a writing call wrote: digests that can be compared and added up, and whether it changed anything.

Law of this file: a result is believed that nothing changed only where that is what it says as a whole, or
where its own record of the change is empty (L10).
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from otel_ext.step import Observation

_CONTENTS: Final = ("content", "contents", "file_text", "new_content", "file_content", "new_source", "text")
_OLD: Final = ("old_string", "old_str", "old_text", "old", "search", "oldText")
_NEW: Final = ("new_string", "new_str", "new_text", "new", "replace", "newText")
_PATCHES: Final = ("patch", "diff", "input", "patch_text", "patchText")

MOST_EDITS: Final = 64
"""Replacements of one call that are looked at; with more its content is not known."""

LONGEST_PATCH: Final = 65_536
"""Characters of a patch in which file names are looked for."""

LONGEST_SAYING: Final = 300
"""Characters of a result that may as a whole mean "nothing changed"; longer ones are content."""

NO_CHANGE: Final = bytes(16)
"""The content of edits that add up to nothing."""

_MODULUS = 1 << 128
_TOUCHED = re.compile(r"^(?:\*\*\* (?:Update|Add|Delete) File: |\+\+\+ (?:b/)?)([^\t\n]+)", re.MULTILINE)
_SAME = re.compile(
    r"\bno changes? (?:to|made|was|were|needed|necessary|required|detected|applied)|\bno changes?\.?\s*\Z"
    r"|\bnothing (?:to change|changed|to update)|\b(?:file|contents?) (?:is |are |was |were )?unchanged"
    r"|\balready (?:up[ -]to[ -]date|has this|contains (?:this|the)|matches)"
    r"|\bnew_string are exactly the same|\bidentical (?:to|content)|\b0 (?:replacements|changes|edits)\b",
    re.IGNORECASE,
)
# Claude Code appends its own record of the call: an update that changed no line.
_RECORD = "\n[metadata] {"
_NO_LINES = re.compile(r'"structuredPatch":\s?\[\]')
_CREATED = re.compile(r'"originalFile":\s?null')


def digest_of(text: str) -> bytes:
    """16 bytes that stand for a text."""
    return sha256(text.encode("utf-8", "replace")).digest()[:16]


def content_of(arguments: Mapping[str, Any]) -> tuple[bytes | None, bool]:
    """(`Subject.content`, `Subject.partial`) of a writing call."""
    for key in _CONTENTS:
        if isinstance(value := arguments.get(key), str):
            return digest_of(value), False
    edits = arguments.get("edits", [arguments])
    if not isinstance(edits, list) or not 0 < len(edits) <= MOST_EDITS:
        return None, False
    changed = 0
    for edit in edits:
        if not isinstance(edit, Mapping):
            return None, False
        old = next((edit[key] for key in _OLD if isinstance(edit.get(key), str)), None)
        new = next((edit[key] for key in _NEW if isinstance(edit.get(key), str)), None)
        if old is None or new is None:
            return None, False
        changed += _weight(new) - _weight(old)
    return (changed % _MODULUS).to_bytes(16, "big"), True


def _weight(text: str) -> int:
    # An edit is worth what it puts in less what it takes out, so that edits add up.
    return int.from_bytes(digest_of(text), "big")


def together(before: bytes, edit: bytes) -> bytes:
    """A content after an edit (`Subject.partial`) was made to it."""
    total = int.from_bytes(before, "big") + int.from_bytes(edit, "big")
    return (total % _MODULUS).to_bytes(16, "big")


def patched(arguments: Mapping[str, Any]) -> str:
    """The one file that a patch touches, else ""."""
    for key in _PATCHES:
        if isinstance(value := arguments.get(key), str):
            names = set(_TOUCHED.findall(value[:LONGEST_PATCH])) - {"/dev/null"}
            return names.pop() if len(names) == 1 else ""
    return ""


def without_record(result: str) -> str:
    """A result without the record of the call that Claude Code appends to it."""
    at = result.rfind(_RECORD) if "{" in result else -1  # one character is found much faster
    return result if at < 0 else result[:at].rstrip("\n")


def says_unchanged(seen: Observation) -> bool:
    """Whether a writing call's result, or its failure, says that nothing was changed."""
    result = seen.result
    if isinstance(result, Mapping):
        return result.get("changed") is False or result.get("modified") is False
    if not isinstance(result, str):
        return seen.error and _SAME.search(seen.error_text[:LONGEST_SAYING]) is not None
    said = without_record(result)
    record = result[len(said) :]
    if record and _NO_LINES.search(record) and not _CREATED.search(record):
        return True
    return len(said) <= LONGEST_SAYING and _SAME.search(said) is not None
