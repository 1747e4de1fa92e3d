"""FileSpanExporter: the same journal and files for what a stock span processor exports.

Law of this file: SUCCESS means that every span of the batch is in the journal: in the page cache, or with
`sync: always` on the disk. FAILURE means that it is not yet: the spans wait in memory and are tried again
(counted if they have to be dropped), so exporting them a second time is harmless, not needed.

The promise starts with `export`: at once under `SimpleSpanProcessor`; under the batch processor, which every
exporter named by `OTEL_TRACES_EXPORTER` gets, up to its schedule delay (5 s) later. What an
`AgentSpanProcessor` on the same data folder has already is not written again. An exporter sees ended spans
only: unfinished spans and crash hooks need the processor.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_ext.files import Files
from otel_ext.sdk import registry
from otel_ext.sdk.host import is_hosts
from otel_ext.sdk.settings import read
from otel_ext.sdk.warn import warn
from otel_ext.stats import Stats


class FileSpanExporter(SpanExporter):
    """Exports spans to the data folder; all arguments may come from `OTEL_EXT_*`.

    Args:
        data: the data folder.
        files: the disk; for tests.
        settings: any other field of `Settings` by keyword; so does a mapping in `OTEL_CONFIG_FILE`.

    Raises:
        ConfigError: a keyword is unknown or has an unusable value.
    """

    def __init__(
        self, data: str | Path | None = None, *, files: Files | None = None, **settings: Any
    ) -> None:
        self.settings = read(data=data, **settings)
        self._recorder = registry.borrow(self.settings, files)
        self._done = False

    @property
    def stats(self) -> Stats:
        """Counters of this process and data folder."""
        return self._recorder.stats

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Journal a batch; never raises."""
        if self._done:
            return SpanExportResult.FAILURE
        try:
            unseen = [span for span in spans if self._recorder.claim(span)]
            if not unseen or self._recorder.ended(unseen):
                return SpanExportResult.SUCCESS
        except BaseException as error:  # law L11
            if is_hosts(error):
                self._recorder.rescue(spans)
                raise
            self.stats.add("otel_ext.sdk.spans.dropped", len(spans))
            warn("export", f"{len(spans)} spans are lost", error)
        return SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Whether everything exported so far is on the disk."""
        try:
            return self._recorder.flush(timeout_millis / 1000)
        except Exception as error:
            if is_hosts(error):
                raise
            warn("force_flush", "spans are not flushed", error)
            return False

    def shutdown(self) -> None:
        """Take no more spans; the last borrower of the data folder ends its sessions."""
        if self._done:
            return
        self._done = True
        try:
            registry.give_back(self._recorder)
        except Exception as error:
            if is_hosts(error):
                raise
            warn("shutdown", "the end was not clean; the next process finishes it", error)
