"""`otel-ext replay FILE...`: OTLP JSON lines, or what a destination refused, through the very same engine.

Law of this file: a bad line is reported with file, line and byte offset, counted, and stops nothing
unless `--strict`. Engine time is that of the spans and log records themselves: the latest seen, never later
than now. So input should be in the order of time: a session that comes back after others went on for its idle
timeout has ended. At the end of the input every session has. Of logs and spans in files of their own, the
spans should come first: a log record without a session id has that of its trace, once that is known.
"""

import base64
import contextlib
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import click

from otel_ext import otlp, timestamps
from otel_ext.cli import lines
from otel_ext.cli.refused import Refused
from otel_ext.cli.text import clean
from otel_ext.cli.times import latest_end
from otel_ext.clock import SystemClock
from otel_ext.errors import Busy, InvalidRequest, Permanent
from otel_ext.exporters import Exporter, ForwarderSettings
from otel_ext.pipeline import Engine, EngineSettings, crashes, original
from otel_ext.service import load, source_of
from otel_ext.telemetry import Telemetry

_Send: TypeAlias = Callable[[bytes, Telemetry], tuple[int, int]]
_MEMBERS: Final = {
    Telemetry.TRACES: b"resourceSpans",
    Telemetry.LOGS: b"resourceLogs",
    Telemetry.METRICS: b"resourceMetrics",
}
_REFUSED: Final = b'{"at":'
"""How a line of a destination's refused requests begins; OTLP JSON has no such member."""


class Replay:
    """Reads files and hands each line's request to `send`.

    Args:
        send: takes a request and what it is of; returns `(received, rejected)`.
        mark: takes `(session id, reason)` of a crash that our own files tell.
        strict: stop at the first bad line.
    """

    def __init__(
        self,
        send: _Send,
        *,
        strict: bool,
        mark: Callable[[str, str], None] | None = None,
    ) -> None:
        self._send, self._mark, self._strict = send, mark, strict
        self.lines = self.rejected = self.bad = 0
        self.counted = dict.fromkeys(Telemetry, 0)

    def file(self, path: str, progress: Callable[[int], None]) -> None:
        """Replay one file; `progress` gets the bytes of it that were read."""
        for line in lines.read(path, progress):
            if line.fault:
                self._bad(line.where, line.fault)
            else:
                self._line(line.text, line.where)

    def _line(self, line: bytes, where: str) -> None:
        try:
            telemetry = _telemetry_of(line)
            crashed: list[tuple[str, str]] = []
            if line.startswith(_REFUSED):
                telemetry, body = _refused(line)
            elif telemetry is not Telemetry.TRACES:
                body = otlp.read_json(telemetry, line)
            else:
                body = otlp.read_traces(line, instant=_instant)
                if b"otel_ext." in body:  # our own files: findings and marks are made anew
                    crashed, body = list(crashes(body)), original(body)
            received, rejected = self._send(body, telemetry)
        except Permanent as error:
            self._bad(where, str(error))
            return
        if self._mark is not None:
            for session_id, reason in crashed:
                self._mark(session_id, reason)
        self.lines += 1
        self.counted[telemetry] += received
        self.rejected += rejected
        if rejected:
            click.echo(f"{where}: {rejected} of {received} {otlp.EXPORTS[telemetry].noun} rejected", err=True)

    def _bad(self, where: str, why: str) -> None:
        self.bad += 1
        click.echo(f"{where}: {clean(why, 300)}", err=True)
        if self._strict:
            raise _Stopped


class _Stopped(Exception):
    """A bad line under --strict."""


def _telemetry_of(line: bytes) -> Telemetry:
    """What a line holds, by the first of the three members that it has; spans when it has none."""
    places = {line.find(b'"%b"' % member): telemetry for telemetry, member in _MEMBERS.items()}
    return places[min((place for place in places if place >= 0), default=min(places))]


def _refused(line: bytes) -> tuple[Telemetry, bytes]:
    """What a line of a destination's file of refused requests holds (`docs/forwarding.md`)."""
    try:
        kept = json.loads(line)
        telemetry, body = Telemetry(kept["telemetry"]), base64.b64decode(kept["request"], validate=True)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f"not a line of refused requests: {error}") from error
    return telemetry, otlp.admit(body, telemetry).body


def _instant(value: object) -> int:
    return timestamps.parse_instant(value)[0]


def into_engine(engine: Engine) -> _Send:
    """A `send` that waits while the engine is busy."""
    clock = SystemClock()

    def send(body: bytes, telemetry: Telemetry) -> tuple[int, int]:
        while True:
            try:
                accepted = engine.intake.accept(
                    body,
                    telemetry,
                    engine_time=lambda admitted: latest_end(admitted, telemetry, clock.now()),
                )
            except Busy as error:
                threading.Event().wait(error.retry_after)
                continue
            return accepted.received, accepted.rejected

    return send


def _run(files: tuple[str, ...], replay: Replay) -> bool:
    """Replay all files; whether a bad line stopped it."""
    total = sum(Path(f).stat().st_size for f in files if f != "-" and Path(f).exists())
    bar = click.progressbar(length=total, label="replay", file=sys.stderr, hidden=not sys.stderr.isatty())
    with bar, contextlib.suppress(_Stopped):
        for path in files:
            replay.file(path, bar.update)
        return False
    return True


@click.command(
    help="Feed OTLP JSON lines, or what a destination refused (.zst too; - for stdin), through the engine or "
    "to an endpoint."
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="Store in this data folder.")
@click.option(
    "--config",
    multiple=True,
    metavar="FILE",
    help="With --data: as of `serve`; its `processors.signals`.",
)
@click.option("--endpoint", metavar="URL", help="Send to this OTLP endpoint, e.g. http://127.0.0.1:4317.")
@click.option(
    "--http", is_flag=True, help="Speak OTLP/HTTP to it (/v1/traces and so on are added), not gRPC."
)
@click.option("--strict", is_flag=True, help="Stop at the first bad line, exit 1.")
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object.")
def command(
    files: tuple[str, ...],
    data: Path | None,
    endpoint: str | None,
    config: tuple[str, ...],
    *,
    http: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """`otel-ext replay`."""
    if (data is None) == (endpoint is None):
        raise click.UsageError("give either --data DIR or --endpoint URL")
    if config and data is None:
        raise click.UsageError("--config is for --data; what listens at the endpoint has its own")
    if data is not None:
        sources = [source_of(reference) for reference in config]
        settings = load(sources, {"data": str(data)}).config.engine if sources else EngineSettings()
        engine = Engine(data, settings, live=False)

        def mark(session_id: str, reason: str) -> None:
            engine.own.mark(session_id, "crashed", reason)

        replay = Replay(into_engine(engine), strict=strict, mark=mark)
        engine.start()
        try:
            stopped = _run(files, replay)
        finally:
            saved = engine.close()
        if not saved:
            raise Refused(f"not everything could be saved in {data}; replay or serve again to read it on")
    else:
        assert endpoint is not None
        destination = ForwarderSettings(
            name="replay",
            endpoint=endpoint,
            protocol="http" if http else "grpc",
            compression="none",
            max_elapsed=60.0,
            retry_initial=0.2,
            retry_max=5.0,
        )
        exporter = Exporter(destination, waiting=lambda why: click.echo(f"waiting: {why}", err=True))

        def send(body: bytes, telemetry: Telemetry) -> tuple[int, int]:
            return otlp.items_of(telemetry, body), exporter.send(body, telemetry).rejected

        replay = Replay(send, strict=strict)
        try:
            stopped = _run(files, replay)
        finally:
            exporter.close()
    summary = {
        "lines": replay.lines,
        "bad_lines": replay.bad,
        "spans": replay.counted[Telemetry.TRACES],
        "log_records": replay.counted[Telemetry.LOGS],
        "data_points": replay.counted[Telemetry.METRICS],
        "rejected": replay.rejected,
    }
    if as_json:
        click.echo(json.dumps(summary))
    else:
        counts = (f"{n:,} {otlp.EXPORTS[kind].noun}, " for kind, n in replay.counted.items() if n)
        click.echo(
            f"{replay.lines:,} lines, {''.join(counts)}{replay.rejected:,} rejected, {replay.bad:,} bad lines"
        )
    sys.exit(1 if stopped or (replay.bad and not replay.lines) else 0)
