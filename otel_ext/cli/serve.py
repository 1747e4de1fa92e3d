"""`otel-ext serve`.

Law of this file: SIGTERM, SIGINT and SIGHUP (the terminal closed; ignored under `nohup`) ask for a clean end,
exit code 0 once everything accepted is saved, 2 when the next start has to read it on. SIGTERM first drains
(`Server.drain`); any of the three hastens it, and so does SIGINT alone, because a person waits. More of them
later change nothing. SIGSTOP, SIGKILL and a power cut lose nothing that was acknowledged.
"""

import gc
import signal
import sys

import click

from otel_ext import memory
from otel_ext.cli.options import configuration, given
from otel_ext.cli.refused import Refused
from otel_ext.service import Server, configure, load, source_of


@click.command(help="Receive OTLP traces, logs and metrics on this machine and keep them.")
@configuration
def command(config: tuple[str, ...], **options: str | None) -> None:
    """`otel-ext serve`."""
    # The pipeline's thread would hold the interpreter for 5 ms at a time while requests wait to be answered;
    # measured, a tenth of that acknowledges half as much again and processes as much as before.
    sys.setswitchinterval(0.0005)
    memory.keep_little()
    loaded = load([source_of(reference) for reference in config], given(options))
    # Waited for, not handled: a handler runs between any two steps of the main thread, and an Event that it
    # sets while that thread is on its way into `wait` deadlocks. Threads made from here on inherit the mask.
    ends = {signal.SIGTERM, signal.SIGINT}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup it stays ignored
        ends.add(signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    configure(loaded.config.log_level, loaded.config.log_encoding)
    server = Server(loaded.config)
    # What was imported lives for ever: the collector, which stops every thread, need not look at it each time
    # (measured under load, for 36 ms).
    gc.freeze()
    server.start()
    click.echo(
        f"ready grpc={server.grpc_endpoint} http={server.http_endpoint} health={server.health_endpoint} "
        f"metrics={server.metrics_endpoint} data={server.config.data}"
    )
    hurry = signal.sigwait(ends) != signal.SIGTERM
    if not hurry:
        hurry = server.drain(lambda seconds: signal.sigtimedwait(ends, seconds) is not None)
    if not server.stop(hurry=hurry):
        raise Refused(f"not everything could be saved in {server.config.data}; the next start reads it on")
