"""Speed, beside others, on one machine: every figure of `docs/performance.md` in one command.

    python -m tests.bench                        # everything, medians of five; hours on a quiet machine
    python -m tests.bench --write --scale 0.25   # in under an hour, then the page, its plots and its baseline
    python -m tests.bench --compare              # the base cases against the baseline; exit 1 when worse
    python -m tests.bench --quick --runs 1       # to see that it works

Servers run on the first core, clients on the last; `otel-ext bench` is the same engine for operators.
"""

import argparse
import sys
import time
from pathlib import Path

from otel_ext.bench.baseline import Baseline, baseline, read, store
from otel_ext.bench.cases import SCALE, USUAL, chosen
from otel_ext.bench.servers import Bare, Ours
from otel_ext.bench.session import Make, Session, run_all
from otel_ext.cli.bench import judge, report
from otel_ext.cli.refused import Refused
from otel_ext.errors import OtelExtError
from tests.bench import inprocess, page, restart
from tests.bench.goals import goals
from tests.bench.rivals import KNOWN, rivals
from tests.bench.rivals import USUAL as USUAL_RIVALS
from tests.support import ROOT

KEPT = ROOT / "docs/performance.json"
PARTS = ("receive", "scale", "restart", "inprocess")
GROWTH_RUNS = 3
"""Medians of so many are enough for a curve; each takes long."""

GUARD_SUITES = ("size", "latency")
"""What a regression is looked for in."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--parts", default="", help=f"of {','.join(PARTS)}; all, or the guarded ones")
    parser.add_argument("--suites", default="", help="of these parts; see `otel-ext bench --list`")
    parser.add_argument("--rivals", default=",".join(USUAL_RIVALS), help=f"of {','.join(KNOWN)}; or none")
    parser.add_argument("--runs", type=int, default=5, help="the median is told")
    parser.add_argument("--quick", action="store_true", help="a twelfth of the load")
    parser.add_argument("--scale", type=float, help="longer or shorter runs; as the baseline's, or 1")
    parser.add_argument("--samples", type=Path, help="add every run and latency to this file, as JSON lines")
    parser.add_argument("--baseline", type=Path, help="keep the medians in this file")
    parser.add_argument(
        "--compare", type=Path, nargs="?", const=KEPT, help="with a baseline; exit 1 when worse"
    )
    parser.add_argument("--write", action="store_true", help=f"{page.PAGE.name}, its plots and {KEPT.name}")
    parser.add_argument("--write-only", action="store_true", help="write from what is kept; measure nothing")
    return parser.parse_args()


def _timed(part: str, begun: float) -> None:
    _say(f"{part}: {(time.monotonic() - begun) / 60:.1f} minutes")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _measured(options: argparse.Namespace, scale: float) -> Session:
    guard = options.compare is not None
    part_of = scale / (12 if options.quick else 1)
    parts = [part for part in options.parts.split(",") if part] or [
        p for p in PARTS if not guard or p != "scale"
    ]
    asked = tuple(name for name in options.suites.split(",") if name)
    usual = GUARD_SUITES if guard else (*USUAL, "large")
    others = rivals(tuple(name for name in options.rivals.split(",") if name not in {"", "none"}))
    session = run_all((), (), 0)
    ours: list[Make] = [Ours]
    session.machine |= {"runs": options.runs, "scale": part_of}
    for part, suites, who in (
        ("receive", asked or usual, [Bare, *ours, *([] if guard else others)]),
        ("scale", asked or SCALE, ours),
    ):
        if part in parts:
            begun = time.monotonic()
            cases = chosen(suites, options.quick, scale)
            runs = min(options.runs, GROWTH_RUNS) if part == "scale" else options.runs
            part_session = run_all(cases, who, runs, samples=options.samples, say=_say)
            session.runs += part_session.runs
            session.skipped |= part_session.skipped
            session.promises |= part_session.promises
            _timed(part, begun)
    # How long the journal is is what a restart is about: it is shortened for a quick look only.
    length = part_of if options.quick else 1.0
    for part, measured, size in (
        ("restart", restart.measured, length),
        ("inprocess", inprocess.measured, part_of),
    ):
        if part in parts:
            begun = time.monotonic()
            for server, cases_ in measured(options.runs, size, _say).items():
                session.more.setdefault(server, {}).update(cases_)
            _timed(part, begun)
    return session


def _joined(new: Baseline) -> Baseline:
    """The kept figures with the new ones over them, where both are of one machine and commit."""
    if KEPT.exists():
        old = read(KEPT)
        if all(old.machine.get(key) == new.machine[key] for key in ("cpu", "cores", "python", "commit")):
            for server, cases in new.figures.items():
                old.figures.setdefault(server, {}).update(cases)
            return Baseline(
                machine=new.machine,
                figures=old.figures,
                marks={**old.marks, **new.marks},
                promises={**old.promises, **new.promises},
            )
    return new


def main() -> int:
    """Measure and tell; the exit code."""
    options = _arguments()
    old = read(options.compare) if options.compare else None
    if options.write_only:
        _say(f"written: {', '.join(page.write(read(KEPT)))}")
        return 0
    # Runs of another length are another measurement.
    kept = float(old.machine.get("scale", 1.0)) if old is not None and not options.quick else 1.0
    session = _measured(options, options.scale or kept)
    if session.runs:
        print(report(session))
    new = baseline(session)
    for goal in goals(new.figures, new.marks):
        if goal.met is not None:
            told = f"{goal.what}: {goal.value:,.3g}, aim {goal.bound} {goal.mark}"
            print(f"{'met' if goal.met else 'MISSED':>7}  {told}")
    if options.baseline:
        store(new, options.baseline)
    worse = 0
    if old is not None:
        worse = judge(old, new, print)
    if options.write:
        new = _joined(new)
        store(new, KEPT)
        _say(f"written: {', '.join(page.write(new))}")
    return 1 if worse else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OtelExtError, Refused, KeyError) as error:
        _say(str(error.args[0] if error.args else error))
        sys.exit(2)
