"""What two readers said of a sample: precision, agreement, and where they differ.

    python -m tests.quality.judged A.jsonl B.jsonl [--key DIR/key.json] [--write]

An alarm counts as right where both readers say so; where they differ it counts half. `--write` puts the text
into `docs/quality.md`.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.quality.__main__ import DOCUMENT
from tests.quality.score import share
from tests.quality.tables import Table, filled, render

WANTED: Final = 0.85
"""The precision that is asked for."""


class Verdict(msgspec.Struct):
    """One reader's word on one sheet."""

    sheet: str
    right: bool
    why: str = ""


def verdicts(path: Path) -> dict[str, Verdict]:
    """A reader's lines by sheet.

    Raises:
        ValueError: a sheet was judged twice.
    """
    found: dict[str, Verdict] = {}
    for line in path.read_text().splitlines():
        if line.strip():
            verdict = msgspec.json.decode(line, type=Verdict)
            if verdict.sheet in found:
                raise ValueError(f"{path}: sheet {verdict.sheet} is judged twice")
            found[verdict.sheet] = verdict
    return found


def kappa(a: Mapping[str, Verdict], b: Mapping[str, Verdict]) -> float:
    """Cohen's kappa: agreement beyond chance; 1 where both always say the same one thing."""
    total = len(a)
    agree = sum(a[sheet].right == b[sheet].right for sheet in a) / total
    yes = [sum(verdict.right for verdict in each.values()) / total for each in (a, b)]
    chance = yes[0] * yes[1] + (1 - yes[0]) * (1 - yes[1])
    return 1.0 if chance == 1.0 else (agree - chance) / (1 - chance)


def report(a: Mapping[str, Verdict], b: Mapping[str, Verdict], key: Mapping[str, Any]) -> str:
    """The text for `docs/quality.md`.

    Raises:
        ValueError: the readers have not judged the same sheets, those of the key.
    """
    if not a.keys() == b.keys() == key.keys():
        odd = sorted((a.keys() ^ key.keys()) | (b.keys() ^ key.keys()))
        raise ValueError(f"not judged by both: {', '.join(odd)}")
    table: Table = [("signal", "alarms", "judged", "reader A right", "reader B right", "precision")]
    strata: dict[str, list[str]] = {}
    for sheet, row in sorted(key.items()):
        strata.setdefault(row["signal"], []).append(sheet)
    weighted = 0.0
    population = sum(key[sheets[0]]["alarms"] for sheets in strata.values())
    for signal, sheets in sorted(strata.items()):
        right = [sum(each[sheet].right for sheet in sheets) for each in (a, b)]
        precision = sum(right) / 2 / len(sheets)
        size = key[sheets[0]]["alarms"]
        weighted += precision * size / population
        table.append((f"`{signal}`", size, len(sheets), *right, f"{precision:.2f}"))
    yes = [sum(verdict.right for verdict in each.values()) for each in (a, b)]
    pooled = share(round(sum(yes) / 2), len(key))
    same = sum(a[sheet].right == b[sheet].right for sheet in key)
    table.append(("all", population, len(key), *yes, f"{sum(yes) / 2 / len(key):.2f}"))
    text = [
        render(table),
        f"Precision over the sample {sum(yes) / 2 / len(key):.2f} [{pooled.low:.2f}, {pooled.high:.2f}], by "
        f"the rules' shares of all alarms {weighted:.2f} (wanted {WANTED}). The readers agree on {same} of "
        f"{len(key)} (Cohen's kappa {kappa(a, b):.2f}).",
        "",
    ]
    for title, sheets in (
        ("The readers differ on", [s for s in sorted(key) if a[s].right != b[s].right]),
        ("Both call wrong", [s for s in sorted(key) if not a[s].right and not b[s].right]),
    ):
        text.append(f"{title}: {'none.' if not sheets else ''}")
        text += [
            f"- {sheet} `{key[sheet]['signal']}` in `{key[sheet]['trace_id'][:8]}`: "
            f"A ({_word(a[sheet])}) {a[sheet].why.strip()} B ({_word(b[sheet])}) {b[sheet].why.strip()}"
            for sheet in sheets
        ]
        text.append("")
    return "\n".join(text)


def _word(verdict: Verdict) -> str:
    return "right" if verdict.right else "wrong"


def main(document: Path = DOCUMENT) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality.judged", description=__doc__)
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--key", type=Path, help="key.json of the sample; beside A unless given")
    parser.add_argument("--write", action="store_true", help="write the text into docs/quality.md")
    asked = parser.parse_args()
    key = json.loads((asked.key or asked.a.parent / "key.json").read_text())
    text = report(verdicts(asked.a), verdicts(asked.b), key)
    print(text)
    if asked.write:
        document.write_text(filled(document.read_text(), {"judged": text}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
