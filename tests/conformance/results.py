"""What came of each item in this run, the Collector's results as last taken, and the document made of both.

Law of this file: otel_ext's column is not stored anywhere, because the suite fails where it is not `pass` and
the item is not excused. The Collector's is kept in `collector.json` with the version it is of, since not
every machine has one; where that version is at hand the suite compares.
"""

import functools
import json
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.conformance.items import EXCUSED, GROUPS, ITEMS, NOT_RUN, REMARKS


class Result(NamedTuple):
    """`pass`, `fail`, `partly` (a MUST kept, a SHOULD not) or `not seen`; and what was done instead."""

    outcome: str
    did: str


RESULTS: Final[dict[tuple[int, str], Result]] = {}
"""Item number and target -> result, filled as tests run."""

PUBLISHING: Final = "OTEL_EXT_PUBLISHING"
"""Variable that is set while the Collector's results are taken anew, so they are not compared."""

HERE: Final = Path(__file__).parent
COLLECTOR: Final = HERE / "collector.json"
DOCUMENT: Final = HERE.parents[1] / "docs/otlp-conformance.md"

_TEST: Final = re.compile(r"^def (test_item_(\d+)_\w+)", re.MULTILINE)


def names_by_item() -> dict[int, list[str]]:
    """Names of the tests of each item, as they stand in this folder."""
    found: dict[int, list[str]] = {}
    for path in sorted(HERE.glob("test_*.py")):
        for name, number in _TEST.findall(path.read_text()):
            found.setdefault(int(number), []).append(name)
    return found


@functools.cache
def published() -> tuple[str, dict[int, Result]]:
    """The Collector's version and results as stored; "" and nothing when there are none."""
    if not COLLECTOR.exists():
        return "", {}
    tree: dict[str, Any] = json.loads(COLLECTOR.read_text())
    return tree["version"], {int(number): Result(*row) for number, row in tree["items"].items()}


def publish(version: str, found: dict[int, Result]) -> None:
    """Store the Collector's results."""
    rows = [f'    "{number}": {json.dumps(found[number])}' for number in sorted(found)]
    head = f'{{\n  "version": "{version}",\n  "items": {{\n'
    COLLECTOR.write_text(head + ",\n".join(rows) + "\n  }\n}\n")
    published.cache_clear()


def document() -> str:
    """The text of `docs/otlp-conformance.md`."""
    version, theirs = published()
    named = names_by_item()
    counts = {level: sum(item.level == level for item in ITEMS.values()) for level in "MSmP"}
    lines = [
        _HEAD.format(
            version=version or "not run",
            excused=len(EXCUSED),
            ours=sum(number not in EXCUSED for number in ITEMS),
            theirs=sum(r.outcome == "pass" for r in theirs.values()),
            partly=sum(r.outcome == "partly" for r in theirs.values()),
            failed=sum(r.outcome == "fail" for r in theirs.values()),
            unseen=sum(r.outcome == "not seen" for r in theirs.values()),
            not_run=len(ITEMS) - len(theirs),
            **counts,
        )
    ]
    for number, item in ITEMS.items():
        if number in GROUPS:
            lines += ["", f"## {GROUPS[number]}", "", *_TABLE]
        ours = f"excused: {EXCUSED[number]}" if number in EXCUSED else "pass"
        result = theirs.get(number, Result("not run", ""))
        remarks = [REMARKS[number]] if number in REMARKS else []
        if result.did:
            remarks.append(f"Collector: {result.did}")
        elif result.outcome == "not run" and number in NOT_RUN:
            remarks.append(f"Collector: {NOT_RUN[number]}")
        row = (
            f"{number}",
            item.level,
            f"{item.rule} ({item.source})",
            f"`{named[number][0]}`",
            ours,
            result.outcome,
        )
        lines.append("| " + " | ".join(_cell(text) for text in (*row, "; ".join(remarks))) + " |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


_TABLE: Final = [
    "| item | level | rule (where it is written) | test | otel_ext | Collector | remark |",
    "|---|---|---|---|---|---|---|",
]

_HEAD: Final = """# OTLP conformance

What a receiver and forwarder of OTLP has to do, as 75 items, each a test over the wire with independent
clients: raw gRPC calls, raw HTTP, raw sockets, the stock OpenTelemetry exporters, and scripted far sides for
the client half. The same tests run against `otel-ext serve` and against the OpenTelemetry Collector
(version {version}: otlp receiver, file exporter, its own otlp exporters for the client half).

Levels: M = MUST ({M}), S = SHOULD ({S}), m = MAY or plain prudence ({m}), P = a promise of this project on
top, which nobody else has to keep ({P}). Sections are those of the OTLP specification 1.11 unless another
document is named.

* otel_ext: {ours} pass, {excused} excused. The suite fails where this is not so.
* Collector {version}: {theirs} pass, {partly} partly (what MUST be is kept, what SHOULD be is not),
  {failed} do not, {unseen} could not be seen because what the rule is about never came, {not_run} not run.
  What it did is in the remark, as the test saw it first. Its defaults are used throughout, so a rule that a
  setting would fulfil may be among them (its request limits, for one).

This page is generated, do not edit it: `python -m tests.conformance` runs the suite and writes it (it needs
a Collector: `.ci/collector` builds one, `OTELCOL_BIN` names one); with `--write` it only writes, from the
Collector's stored results. `python -m pytest tests/conformance` runs the tests."""
