"""Runs the corpora through the engine and prints how good the findings are.

    python -m tests.quality [--ablation] [--write]

`--ablation` adds what changes without each rule; `--write` puts the tables into `docs/quality.md`, between
its marks. Everything is seeded: the same tree prints the same bytes.
"""

import argparse
import sys
from pathlib import Path

from tests.quality import corpus, tape
from tests.quality.tables import Evaluation, all_of, filled
from tests.support import CORPUS, ROOT

DOCUMENT = ROOT / "docs" / "quality.md"


def parts(run: tape.Run, *, ablation: bool) -> tuple[Evaluation, dict[str, str]]:
    """The evaluation of a run, and its tables."""
    whole = Evaluation.of(corpus.load(), corpus.repeats(), run.rows)
    refold = (lambda signal: tape.refold(run.tape, tape.without([signal]))) if ablation else None
    return whole, all_of(whole, refold)


def main(document: Path = DOCUMENT) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality", description=__doc__)
    parser.add_argument("--ablation", action="store_true", help="switch each rule off in turn")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/quality.md")
    asked = parser.parse_args()
    if not corpus.paths():
        print(f"no corpus in {CORPUS}; set OTEL_EXT_CORPUS", file=sys.stderr)
        return 1
    _, tables = parts(tape.replay(corpus.paths()), ablation=asked.ablation)
    for name, text in tables.items():
        print(f"\n{name}\n\n{text}", end="")
    if asked.write:
        document.write_text(filled(document.read_text(), tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
