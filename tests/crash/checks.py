"""What must hold of a data folder after whatever happened to its server.

Law of this file: it believes only what `otel-ext` commands print of the folder, and checks the laws as
they are written in the design: acknowledged is stored (L1), stored once (L3), the ledger balances (L4).
"""

import subprocess
from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from tests.crash.load import Id
from tests.support import PATIENCE, objects, run, serve


def count(lines: Iterable[dict[str, Any]]) -> tuple[Counter[Id], Counter[Id]]:
    """How often each (trace id, span id) stands in OTLP JSON lines: received spans, our own derived ones."""
    counts: tuple[Counter[Id], Counter[Id]] = (Counter(), Counter())
    for line in lines:
        for resource in line["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                ours = scope["scope"].get("name") == "otel_ext"
                counts[ours].update((span["traceId"], span["spanId"]) for span in scope["spans"])
    return counts


def span_ids(data: Path) -> tuple[Counter[Id], Counter[Id]]:
    """`count` of everything that is stored."""
    return count(objects(run("cat", data)))


def verified(data: Path) -> dict[str, Any]:
    """The report of `otel-ext verify`, which must be ok, balanced and without any loss."""
    (report,) = objects(run("verify", data, "--json"))
    assert report["ok"], report
    assert not report["lost"], report
    assert not report["rejected"], report
    assert report["received"] == report["stored"] + report["duplicate"] + report["waiting"], report
    return report


def check(
    data: Path, acknowledged: AbstractSet[Id], attempted: AbstractSet[Id] | None = None
) -> dict[str, Any]:
    """After the server stopped cleanly: acknowledged ⊆ stored ⊆ attempted, each once; all in order.

    Args:
        data: the data folder.
        acknowledged: ids of spans whose request was answered OK.
        attempted: ids of spans that were sent at all; None when every one of them was acknowledged.

    Returns:
        The figures of `otel-ext verify`.
    """
    report = verified(data)
    stored, derived = span_ids(data)
    twice = {each: n for each, n in (stored + derived).items() if n > 1}
    assert not twice, f"stored more than once: {twice}"
    lost = acknowledged - stored.keys()
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged spans are lost: {sorted(lost)[:5]}"
    assert stored.keys() <= (acknowledged if attempted is None else attempted)
    assert report["stored"] == len(stored)
    assert report["waiting"] == 0
    assert len(derived) == len(objects(run("signals", data, "--json", "--revisions")))
    return report


def refused_start(data: Path) -> str:
    """Start a server that must refuse with exit code 2 and one line of explanation; that line."""
    done = subprocess.run(
        serve(data),
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line
