"""AgentSpanProcessor: every span into the journal as it starts and as it ends.

Law of this file: nothing of ours is raised into the program, what its own signal handlers raise while we
work goes on to it, and when `on_end` returns the span is in the kernel's
page cache (or, with `sync: always`, on the disk), so that it survives any death of the process. What it costs
when the disk is slow or full is `handover`'s law.

    provider.add_span_processor(AgentSpanProcessor())                      # to the default data folder
    provider.add_span_processor(AgentSpanProcessor(data="run", exporter=OTLPSpanExporter()))

Only sampled spans are kept. `force_flush` returning True means fsynced. `shutdown` processes what is left,
ends the sessions and frees the folder, within `shutdown_timeout`. asyncio: a span's own `with` block records
the exception of its task. A task that nobody awaits reports to the loop's exception handler, not to
`sys.excepthook`: the program goes on, and so does its session. What leaves `asyncio.run` is uncaught as
anywhere.
"""

import threading
from pathlib import Path
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter

from otel_ext.conventions.identity import session_of
from otel_ext.files import Files
from otel_ext.otlp.wire import plain_dict
from otel_ext.sdk import fatal, hooks, registry
from otel_ext.sdk.derived import DerivedExport
from otel_ext.sdk.host import is_hosts
from otel_ext.sdk.settings import read
from otel_ext.sdk.warn import warn
from otel_ext.stats import Stats

UNWANTED: Final = 4096
"""Open spans of our own threads remembered at most; one that is forgotten is taken when it ends."""


class _Thread(threading.local):
    ours: bool


_thread = _Thread()


class AgentSpanProcessor(SpanProcessor):
    """Journals the spans of this process and derives findings from them.

    Args:
        data: the data folder.
        exporter: receives the derived spans (findings, ends of sessions), never the originals; it is shut
            down with the processor.
        files: the disk; for tests.
        settings: any other field of `Settings` by keyword, e.g. `sync="always"`.

    Raises:
        ConfigError: a keyword is unknown or has an unusable value.
    """

    def __init__(
        self,
        data: str | Path | None = None,
        *,
        exporter: SpanExporter | None = None,
        files: Files | None = None,
        **settings: Any,
    ) -> None:
        self.settings = read(data=data, **settings)
        self._recorder = registry.borrow(self.settings, files)
        self._derived = DerivedExport(exporter, self.stats) if exporter is not None else None
        if self._derived is not None:
            self._recorder.sinks.append(self._derived.put)
        self._done = False
        # Spans that a thread of ours began; a span of the program may end there too: the garbage collector
        # runs the program's finalizers in whatever thread it happens to be.
        self._unwanted: dict[tuple[int, int], None] = {}
        if self.settings.crash_hooks:
            hooks.install()
        fatal.install(self.settings.signal_names)

    @property
    def stats(self) -> Stats:
        """Counters of this process and data folder."""
        return self._recorder.stats

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Journal that the span began; never raises."""
        try:
            context = span.get_span_context()
            if self._done or not context.trace_flags.sampled:
                return
            if _ours():
                if len(self._unwanted) >= UNWANTED:
                    self._unwanted.clear()
                self._unwanted[context.trace_id, context.span_id] = None
                return
            if self.settings.session and (span.parent is None or span.parent.is_remote):
                self._name(span)
            self._recorder.started(span)
        except Exception as error:
            if is_hosts(error):
                raise
            warn("on_start", "the start of a span is not recorded", error)

    def _name(self, root: Span) -> None:
        """Give the session of the settings to a root that names none."""
        if session_of(plain_dict(root.attributes)) is None:
            root.set_attribute("session.id", self.settings.session)

    def on_end(self, span: ReadableSpan) -> None:
        """Journal the span; raises nothing but what a signal handler of the program raises meanwhile."""
        try:
            context = span.get_span_context()
            if context is None or not context.trace_flags.sampled:
                return
            # Its values are None.
            if self._unwanted and self._unwanted.pop((context.trace_id, context.span_id), False) is None:
                return
            if self._done:
                self.stats.add("otel_ext.sdk.spans.after_shutdown")
                return
            if self._recorder.live.ended(span) and self._recorder.claim(span):
                self._recorder.ended((span,), aside=_ours())
        except BaseException as error:  # law L11
            if is_hosts(error):
                self._recorder.rescue((span,))
                raise
            self.stats.add("otel_ext.sdk.spans.dropped")
            warn("on_end", "a span is lost", error)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Whether every span that ended so far is on the disk."""
        try:
            flushed = self._recorder.flush(timeout_millis / 1000)
            if self._derived is not None:
                flushed = self._derived.flush(timeout_millis / 1000) and flushed
        except Exception as error:
            if is_hosts(error):
                raise
            warn("force_flush", "spans are not flushed", error)
            return False
        return flushed

    def shutdown(self) -> None:
        """Take no more spans; the last borrower of the data folder ends its sessions."""
        if self._done:
            return
        self._done = True
        try:
            fatal.uninstall(self.settings.signal_names)
            if self.settings.crash_hooks:
                hooks.uninstall()
            registry.give_back(self._recorder)
            if self._derived is not None:
                self._derived.close(self.settings.shutdown_timeout)
        except Exception as error:
            if is_hosts(error):
                raise
            warn("shutdown", "the end was not clean; the next process finishes it", error)


def _ours() -> bool:
    """Whether a thread of ours made the span: an instrumented database module would never come to rest."""
    try:
        return _thread.ours
    except AttributeError:
        _thread.ours = threading.current_thread().name.startswith("otel-ext-")
        return _thread.ours
