"""Reading sheets of a sample of alarms, for readers who see only the trace and the claim.

    python -m tests.quality.sample [--corpus claude-code-kimi] [--seed 1] [--count 60] --out DIR

The alarms are drawn in turn from each rule, so that rare rules are judged as well. DIR/01.txt.. are the
sheets; DIR/key.json says which finding each is and how many alarms its rule has, for `tests.quality.judged`.
A reader writes one line a sheet: {"sheet": "01", "right": true or false, "why": "one sentence"}.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tests.quality import corpus, reading, tape
from tests.quality.reading import Line
from tests.quality.score import Row, is_alarm

BEFORE: Final = 5
AFTER: Final = 4
"""Steps shown before each counted call and after it."""
MOST: Final = 60
"""Steps on one sheet; around a longer row of calls only its beginning and its end are shown."""


def draw(alarms: Iterable[Row], count: int, seed: int) -> list[Row]:
    """So many alarms, drawn in turn from each signal; all of them when there are no more."""
    chance = random.Random(seed)
    strata: dict[str, list[Row]] = {}
    for row in sorted(alarms, key=lambda row: str(row["id"])):
        strata.setdefault(row["signal"], []).append(row)
    for rows in strata.values():
        chance.shuffle(rows)
    found: list[Row] = []
    while len(found) < count and any(strata.values()):
        for signal in sorted(strata):
            if strata[signal] and len(found) < count:
                found.append(strata[signal].pop())
    chance.shuffle(found)  # so that the order of the sheets says nothing
    return found


def sheet(row: Row, steps: Sequence[Line]) -> str:
    """What a reader sees of one alarm."""
    evidence = set(row["evidence"])
    places = [place for place, line in enumerate(steps) if line.span_id in evidence]
    text = [
        f"CLAIM  {row['signal']}",
        f"  {row['explanation']}",
        f"  The calls that are counted are marked >>>; {len(places)} of {row['evidence_count']} are listed.",
        "",
        "QUESTION  Is the claim about the marked calls true, and is it a real problem of this agent, one",
        "  that a person who watches it should hear about?",
        "",
        f"TRACE  {len(steps)} steps",
    ]
    shown = around(places, len(steps))
    last = -1
    for place in shown:
        if place > last + 1:
            text.append(f"\n... {place - last - 1} steps are not shown ...")
        mark = ">>> " if steps[place].span_id in evidence else ""
        text.append(f"\n{mark}[{place + 1}] {steps[place].text}")
        last = place
    if last + 1 < len(steps):
        text.append(f"\n... {len(steps) - last - 1} steps are not shown ...")
    return "\n".join(text) + "\n"


def around(places: Sequence[int], total: int) -> list[int]:
    """Which steps a sheet shows: the first, the counted ones, and some around each."""
    near = {0} | {at for place in places for at in range(place - BEFORE, place + AFTER + 1)}
    found = sorted(at for at in near if 0 <= at < total)
    return found if len(found) <= MOST else found[: MOST // 2] + found[-(MOST // 2) :]


def write(rows: Sequence[Row], name: str, alarms: Sequence[Row], out: Path) -> None:
    """Write the sheets and their key."""
    wanted = {row["trace_id"] for row in rows}
    traces = dict(reading.read(name, wanted.__contains__))
    out.mkdir(parents=True, exist_ok=True)
    sizes = {
        signal: sum(row["signal"] == signal for row in alarms) for signal in {r["signal"] for r in alarms}
    }
    key = {}
    for number, row in enumerate(rows, 1):
        (out / f"{number:02}.txt").write_text(sheet(row, traces[row["trace_id"]]))
        key[f"{number:02}"] = {
            "signal": row["signal"],
            "trace_id": row["trace_id"],
            "id": row["id"],
            "alarms": sizes[row["signal"]],
        }
    (out / "key.json").write_text(json.dumps(key, indent=1) + "\n")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality.sample", description=__doc__)
    parser.add_argument("--corpus", default="claude-code-kimi")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    files = [path for path in corpus.paths() if corpus.name_of(path) == asked.corpus]
    if not files:
        print(f"no corpus {asked.corpus}", file=sys.stderr)
        return 1
    alarms = list(filter(is_alarm, tape.replay(files).rows))
    rows = draw(alarms, asked.count, asked.seed)
    write(rows, asked.corpus, alarms, asked.out)
    print(f"{len(rows)} of {len(alarms)} alarms in {asked.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
