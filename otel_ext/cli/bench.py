"""`otel-ext bench`: how fast this machine receives.

Law of this file: what it starts it ends, what it writes it removes, but for the files that were asked for. A
regression is exit code 1. What the figures rest on (cores, warm-up, load by others) is printed with them.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from otel_ext.bench import baseline as kept
from otel_ext.bench import cases, servers, tables
from otel_ext.bench.session import Make, Session, run_all
from otel_ext.cli.refused import Refused
from otel_ext.cli.text import table


def _target(endpoint: str, pid: int) -> Make:
    parts = urlsplit(endpoint if "://" in endpoint else f"grpc://{endpoint}")
    if parts.scheme not in {"grpc", "http"} or parts.hostname is None or parts.port is None:
        raise Refused(f"{endpoint!r} is not grpc://HOST:PORT or http://HOST:PORT")
    return lambda: servers.Running(parts.scheme, f"{parts.hostname}:{parts.port}", pid)


class _Options(msgspec.Struct, kw_only=True):
    endpoint: str | None
    pid: int
    suite: tuple[str, ...]
    listed: bool
    config: str
    runs: int
    quick: bool
    scale: float
    samples: Path | None
    baseline: Path | None
    compare: Path | None
    as_json: bool


@click.command(help="Measure how fast this machine, or an endpoint, takes spans.")
@click.option("--endpoint", metavar="URL", help="A running server, grpc:// or http://; else one is started.")
@click.option("--pid", type=int, default=0, help="The process of --endpoint, to measure its CPU and memory.")
@click.option("--suite", multiple=True, metavar="NAME", help="What to measure; see --list.")
@click.option("--list", "listed", is_flag=True, help="Print all suites and end.")
@click.option("--config", metavar="FILE", default="", help="The configuration of the server that is started.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="The median is told.")
@click.option("--quick", is_flag=True, help="A twelfth of the load: to see that it works.")
@click.option("--scale", type=click.FloatRange(0, min_open=True), default=1.0, help="Longer or shorter runs.")
@click.option("--samples", type=click.Path(path_type=Path), help="Add every run and latency to this file.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Keep the medians in this file.")
@click.option("--compare", type=click.Path(path_type=Path), help="Compare with this file; exit 1 when worse.")
@click.option("--json", "as_json", is_flag=True, help="Every run as a JSON line.")
def command(**given: Any) -> None:
    """`otel-ext bench`."""
    options = _Options(**given)
    if options.listed:
        for name, members in cases.suites().items():
            click.echo(f"{name:<11} " + "\n            ".join(case.name for case in members))
        return
    try:
        plan = cases.chosen(options.suite, options.quick, options.scale)
    except KeyError as error:
        raise Refused(str(error.args[0])) from error
    old = kept.read(options.compare) if options.compare else None
    who: list[Make] = [servers.Bare, lambda: servers.Ours(options.config)]
    if options.endpoint:
        who = [_target(options.endpoint, options.pid)]
    session = run_all(
        plan, who, options.runs, samples=options.samples, say=lambda line: click.echo(line, err=True)
    )
    if not session.runs:
        raise Refused("nothing was measured" + "".join(f"; {why}" for why in session.skipped.values()))
    if options.baseline:
        kept.store(kept.baseline(session), options.baseline)
    if options.as_json:
        for run in session.runs:
            click.echo(json.dumps({f: getattr(run, f) for f in run.__struct_fields__ if f != "latencies"}))
    else:
        click.echo(report(session))
    if old is not None and judge(old, kept.baseline(session), lambda line: click.echo(line, err=True)):
        raise click.exceptions.Exit(1)


def judge(old: kept.Baseline, new: kept.Baseline, say: Callable[[str], None]) -> int:
    """Tell what changed, and what of it is not to be trusted; how many figures are worse.

    Raises:
        Refused: the two have no figure in common.
    """
    judged = kept.changes(old, new)
    if not judged:
        raise Refused(
            "nothing to compare: the baseline holds other cases, or no reference for another machine"
        )
    if not kept.same_machine(old, new):
        say(f"the baseline is of another machine: rates as parts of {kept.REFERENCE}'s are compared")
    for name, change in judged:
        if change.verdict != "same":
            say(tables.told(name, change))
    if disturbed := kept.disturbed(old, new, dict.fromkeys(name for name, _ in judged)):
        say(f"others used the machine during {len(disturbed)} of these cases; measure again when it is quiet")
    bad = sum(change.verdict == "worse" for _, change in judged)
    say(f"{len(judged)} figures compared, {bad} worse")
    return bad


def report(session: Session) -> str:
    """The table, and what its figures rest on."""
    machine = session.machine
    lines = [
        table(tables.HEADER, tables.rows(session), right=range(2, len(tables.HEADER) - 1)),
        "",
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, kernel {machine['kernel']}",
        f"server on core {machine['pinned']['server']}, clients on core {machine['pinned']['client']}"
        + (" (the same: rates are of both together)" if machine["cores"] == 1 else ""),
        "the warm-up (a tenth of the requests, at least 64 where a run is not shorter) is sent by the same "
        "connections and discarded",
        "± half the range of acked/s; ! others used over 5 % of the machine; c the clients' core was full, "
        "the server may be faster",
    ]
    lines += [f"OK of {name} means: {promise}" for name, promise in session.promises.items()]
    lines += [f"skipped: {what}: {why}" for what, why in session.skipped.items()]
    return "\n".join(lines)
