"""One data folder's engine inside this process, and what the program tells it.

Law of this file: the engine is opened at the first span (never in a pre-fork parent that makes none); that
first caller waits up to `OPENING` for it, nobody later. A forked child drops what it inherited without
writing, and has its own engine at its first span. After `close` a late span opens the engine again.
"""

import contextlib
import functools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan, Span

from otel_ext.files import Files
from otel_ext.pipeline import Engine
from otel_ext.sdk import children
from otel_ext.sdk.encode import encode, noted
from otel_ext.sdk.handover import Handover
from otel_ext.sdk.keeper import Keeper
from otel_ext.sdk.live import Live, this_thread
from otel_ext.sdk.queue import Item
from otel_ext.sdk.reasons import reason_of
from otel_ext.sdk.settings import MIB, Settings
from otel_ext.stats import Stats

OPENING: Final = 2.0
"""Seconds that the first span waits for its engine."""

CLAIMS: Final = 16_384
"""Spans remembered so that a processor and an exporter do not both write them; the stock queue has 2,048."""


class Recorder:
    """Shared by the processors and exporters of one process that name the same data folder.

    Attributes:
        fatal: why the process is about to die, once a hook knows it; sessions still open at its end crash.
        borrowers: processors and exporters that use it.
        sinks: called with each encoded request of derived spans, on the pipeline's thread.
    """

    def __init__(self, settings: Settings, files: Files | None = None) -> None:
        self.settings = settings
        self.stats = Stats()
        self.live = Live()
        self.fatal: str | None = None
        self.borrowers = 0
        self.sinks: list[Callable[[bytes], None]] = []
        self._files = files
        self._claimed: dict[tuple[int, int], object] = {}
        self._order: deque[tuple[int, int]] = deque()
        self._reset()

    def _reset(self) -> None:
        queue = self.settings.queue_mib * MIB
        self._handover = Handover(queue, self.stats, always=self.settings.sync == "always")
        self._keeper = Keeper(self._handover, self._open, self._journal_grown)

    @property
    def opening(self) -> threading.Lock:
        """Held while the engine is being opened: a child forked then would inherit the folder's lock."""
        return self._keeper.opening

    def claim(self, span: ReadableSpan) -> bool:
        """Whether nobody else who shares this recorder has handed the ended span over already.

        Of the last `CLAIMS` spans; what is handed over twice all the same, the engine knows as a duplicate.
        """
        if self.borrowers < 2 or (context := span.get_span_context()) is None:
            return True
        key = (context.trace_id, context.span_id)
        # No lock: a signal handler or a finalizer may end a span in the middle of this. Each line is atomic.
        mine = object()
        if self._claimed.setdefault(key, mine) is not mine:
            return False
        self._order.append(key)
        if len(self._order) > CLAIMS:
            self._claimed.pop(self._order.popleft(), None)
        return True

    def started(self, span: Span) -> None:
        """Journal that a span began, and watch it, unless that is done (a second processor has it)."""
        body, attributes = noted(span, self.live.inherited)
        if self.live.began(span, attributes):
            self._hand(Item("started", (body,), len(body), 0))

    def ended(self, spans: Sequence[ReadableSpan], *, aside: bool = False) -> bool:
        """Journal ended spans; whether they are in it when this returns. If not, they wait or are counted.

        Args:
            spans: what ended.
            aside: only queue them. A finalizer may run in a thread of ours that is just inside the journal.
        """
        inherited, sure = self.live.inherited, True
        body = noted(spans[0], inherited)[0] if len(spans) == 1 else encode(spans, inherited)
        for span in spans:
            context = span.get_span_context()
            sure = sure and context is not None and context.is_valid
        item = Item("ended" if sure else "unsure", (body,), len(body), len(spans))
        if aside:
            self._handover.put(item)
            self._keeper.call()
            return False
        return self._hand(item)

    def rescue(self, spans: Sequence[ReadableSpan]) -> None:
        """Queue spans whose handing over the program interrupted; what is there twice is a duplicate."""
        try:
            own = [span for span in spans if not self.live.is_inherited(span)]
            if own:
                self.ended(own, aside=True)
        except BaseException:
            self.stats.add("otel_ext.sdk.spans.dropped", len(spans))
            raise

    def mark(self, session: str, kind: str, reason: str) -> bool:
        """Journal a fact about a session; whether it is in the journal when this returns."""
        return self._hand(Item("mark", (session, kind, reason), len(session) + len(reason), 0))

    def crash(self, error: BaseException, *, left_open: bool = True) -> str:
        """Mark the sessions that an exception ends, uncaught in this thread; returns the reason.

        They are those whose root span recorded it in this thread and, if `left_open`, those with spans that
        this thread began and left open.
        """
        reason = reason_of(error)
        open_here = self.live.sessions(this_thread()) if left_open else []
        for session in dict.fromkeys(self.live.failed(error) + open_here):
            self.mark(session, "crashed", reason)
        return reason

    def crash_open(self, reason: str) -> None:
        """Mark all sessions with open spans."""
        for session in self.live.sessions():
            self.mark(session, "crashed", reason)

    def flush(self, timeout: float) -> bool:
        """Whether everything handed over so far is on the disk; one attempt, of at most `timeout` seconds."""
        return self._keeper.flush(timeout)

    def close(self, timeout: float) -> bool:
        """The polite end: everything processed, open sessions ended, the folder free. A late span reopens it.

        Returns:
            Whether all of that was done within `timeout` seconds; if not, the next process finishes it.
        """
        if self.fatal is not None and self._handover.engine is not None:
            self.crash_open(self.fatal)
        return self._keeper.close(timeout)

    def end_child(self, error: BaseException | None) -> None:
        """The end of a `multiprocessing` child, which leaves by `os._exit`; `error` is what it died of."""
        if isinstance(error, Exception):
            self.fatal = self.crash(error, left_open=False)
        self.close(self.settings.shutdown_timeout)

    def forked(self) -> None:
        """In a forked child: drop what was inherited; the parent's engine and spans are the parent's."""
        engine = self._handover.engine
        self.fatal = None
        self.live.forked()
        self._reset()
        if engine is not None:
            engine.abandon_after_fork()

    def _hand(self, item: Item, only_if: Callable[[], bool] | None = None) -> bool:
        handover = self._handover
        ticket = handover.hand(item, only_if)
        if ticket <= 0:
            return ticket == 0
        keeper = self._keeper
        keeper.call()
        if not keeper.tried.is_set() and not keeper.is_me:
            keeper.tried.wait(OPENING)
        return handover.drained >= ticket

    def _open(self) -> Engine:
        engine = Engine.in_process(
            self.settings.folder,
            self.settings.engine,
            files=self._files,
            stats=self.stats,
            derived=self._derived,
        )
        # Where the interpreter is ending it has no new threads: spans get into the journal, the next process
        # goes on from there.
        with contextlib.suppress(RuntimeError):
            engine.start()
        children.at_exit(self.end_child)
        return engine

    def _derived(self, body: bytes) -> None:
        for sink in self.sinks:
            sink(body)

    def _journal_grown(self) -> None:
        for entry, span in self.live.grown():
            body, _ = noted(span, self.live.inherited)
            still_open = functools.partial(self.live.__contains__, entry)
            self._hand(Item("started", (body,), len(body), 0), still_open)
            self.stats.add("otel_ext.sdk.spans.grown")
