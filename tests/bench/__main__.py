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
from collections.abc import Callable
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
ALL = (*USUAL, "large")
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
    options = parser.parse_args()
    if unknown := set(filter(None, options.parts.split(","))) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return options


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parts(options: argparse.Namespace) -> list[str]:
    asked = [part for part in options.parts.split(",") if part]
    return asked or [part for part in PARTS if options.compare is None or part != "scale"]


def _receiving(options: argparse.Namespace, part: str, scale: float) -> Session:
    """Parts `receive` and `scale`: cases put to servers, by turns."""
    asked = tuple(name for name in options.suites.split(",") if name)
    who: list[Make] = [Ours]
    if part == "scale":
        cases, runs = chosen(asked or SCALE, options.quick, scale), min(options.runs, GROWTH_RUNS)
    else:
        guard = options.compare is not None
        cases, runs = chosen(asked or (GUARD_SUITES if guard else ALL), options.quick, scale), options.runs
        others = rivals(tuple(name for name in options.rivals.split(",") if name not in {"", "none"}))
        who = [Bare, Ours, *([] if guard else others)]
    return run_all(cases, who, runs, samples=options.samples, say=_say)


def _measured(options: argparse.Namespace, scale: float, keep: Callable[[Session], None]) -> Session:
    """All parts; what there is so far is given to `keep` after each, so that a failure costs one part."""
    session = run_all((), (), 0)
    short = scale / (12 if options.quick else 1)
    session.machine |= {"runs": options.runs, "scale": short}
    for part in _parts(options):
        begun = time.monotonic()
        if part in {"receive", "scale"}:
            found = _receiving(options, part, scale)
            session.runs += found.runs
            session.skipped |= found.skipped
            session.promises |= found.promises
        else:
            # A restart is about how long the journal is: that is shortened for a quick look only.
            measured, size = (
                (restart.measured, short if options.quick else 1.0)
                if part == "restart"
                else (inprocess.measured, short)
            )
            for server, cases in measured(options.runs, size, _say).items():
                session.more.setdefault(server, {}).update(cases)
        _say(f"{part}: {(time.monotonic() - begun) / 60:.1f} minutes")
        keep(session)
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

    def keep(session: Session) -> None:
        if options.write:
            store(_joined(baseline(session)), KEPT)

    session = _measured(options, options.scale or kept, keep)
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
        _say(f"written: {', '.join(page.write(read(KEPT)))}")
    return 1 if worse else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OtelExtError, Refused, KeyError) as error:
        _say(str(error.args[0] if error.args else error))
        sys.exit(2)
