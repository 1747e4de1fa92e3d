"""Tables of measurements in `docs/operations.md`, each between a mark of its name and one of its end."""

from collections.abc import Sequence
from typing import Final

from tests.support import ROOT

DOCUMENT: Final = ROOT / "docs/operations.md"


def filled(text: str, name: str, lines: Sequence[str]) -> str:
    """A document with these lines in the place of that name.

    Raises:
        ValueError: it has no such place.
    """
    begin, end = f"<!-- {name} -->\n", "<!-- end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"no place for {name}")
    return before + begin + "\n".join(["", *lines, "", ""]) + end + after


def write(name: str, lines: Sequence[str]) -> None:
    """Put them into the document."""
    DOCUMENT.write_text(filled(DOCUMENT.read_text(), name, lines))
