"""All runs of one session, by turns, and every sample kept.

Law of this file: turns go over all servers before the next run of any of them begins, so that what changes on
the machine meanwhile changes all of them. A server that is not to be had is left out, and why is told.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from otel_ext.bench.cases import Case
from otel_ext.bench.figures import Middle, middle
from otel_ext.bench.machine import described
from otel_ext.bench.measure import Run, measure
from otel_ext.bench.server import CannotBeMeasuredError, Server

Make: TypeAlias = Callable[[], Server]
"""Makes a server that was not started."""

Figures: TypeAlias = dict[str, dict[str, dict[str, Middle | None]]]
"""Medians by server, case and figure."""

_FIGURES = tuple(
    field.name for field in msgspec.structs.fields(Run) if field.name not in {"server", "case", "latencies"}
)


class Session(msgspec.Struct, kw_only=True):
    """What was measured, when and where."""

    machine: dict[str, Any]
    runs: list[Run] = []
    skipped: dict[str, str] = {}
    """Why not, by server and case."""

    promises: dict[str, str] = {}
    """What an OK means, by server."""

    more: Figures = {}
    """Medians of what is no run of a receiver."""

    def figures(self) -> Figures:
        """Medians of all runs of a kind, in the order in which they were measured."""
        grouped: dict[tuple[str, str], list[Run]] = {}
        for run in self.runs:
            grouped.setdefault((run.server, run.case), []).append(run)
        found: Figures = {}
        for (server, case), runs in grouped.items():
            found.setdefault(server, {})[case] = {
                name: middle(getattr(run, name) for run in runs) for name in _FIGURES
            }
        for server, cases in self.more.items():
            found.setdefault(server, {}).update(cases)
        return found

    def marks(self, server: str, case: str) -> str:
        """What to know of a row: `!` others used the machine, `c` the clients' core was full."""
        runs = [run for run in self.runs if (run.server, run.case) == (server, case)]
        disturbed = sum(run.disturbed for run in runs) * 2 > len(runs)
        saturated = sum(run.client_busy > SATURATED for run in runs) * 2 > len(runs)
        return "!" * disturbed + "c" * saturated


SATURATED = 0.9
"""Share of its core from which on the clients may be what limits."""


def run_all(
    cases: Sequence[tuple[str, Case]],
    servers: Iterable[Make],
    runs: int,
    *,
    samples: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Session:
    """Measure every case `runs` times with every server that takes it.

    Args:
        cases: each with its suite's name.
        servers: what makes each of them.
        runs: of each pair.
        samples: a file to which every run is added as a JSON line, each latency in it.
        say: is told what happens.
    """
    session = Session(machine=described(Path(__file__).parents[1]))
    makes, wrong = list(servers), dict[tuple[int, str], str]()
    for suite, case in cases:
        for turn in range(runs):
            for place, make in enumerate(makes):
                server = make()
                if not server.takes(case) or (place, case.name) in wrong:
                    continue
                if server.most is not None and turn >= server.most:
                    continue
                try:
                    run = measure(server, case)
                except (CannotBeMeasuredError, OSError) as error:
                    wrong[place, case.name] = session.skipped[f"{server.name}: {case.name}"] = str(error)
                    say(f"{server.name:>14}  {case.name}: skipped, {error}")
                    continue
                say(
                    f"{server.name:>14}  {case.name}, run {turn + 1}/{runs}: {run.acknowledged:,.0f} spans/s"
                    + (f", others used {run.others:.0%} of the machine" if run.disturbed else "")
                )
                if samples is not None:
                    line = {"suite": suite, "turn": turn, **msgspec.to_builtins(run)}
                    with samples.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")
                session.promises[server.name] = server.promise
                run.latencies = []
                session.runs.append(run)
    return session
