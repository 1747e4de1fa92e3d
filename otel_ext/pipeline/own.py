"""The entrance for what this process says itself: its spans as they begin and end, and facts about sessions.

Law of this file: as at the other entrance, a call returns only when its record is in the journal, and nothing
is taken for which there is no room. But nothing of it is checked, for this process has encoded it itself, and
budgets are asked and told only every `_EVERY` ns and `_BYTES`: a guest's program waits for each call.
"""

from collections.abc import Callable
from typing import Final

from otel_ext.conventions import storable
from otel_ext.errors import Busy, InvalidRequest, Retryable, TooLarge
from otel_ext.journal import Journal
from otel_ext.pipeline.backlog import Backlog
from otel_ext.pipeline.enginetime import EngineTime
from otel_ext.pipeline.records import MARK, REQUEST, STARTED, MarkKind, pack_mark
from otel_ext.stats import Stats
from otel_ext.telemetry import ITEMS, Telemetry

_ACCEPTED: Final = f"otelcol_receiver_accepted_{ITEMS[Telemetry.TRACES]}"
_EVERY: Final = 500_000_000
_BYTES: Final = 1 << 20


class Own:
    """One engine's; used by many threads.

    Args:
        most: bytes that one record may have.
        refusal: why nothing is taken now; None when it is.
    """

    def __init__(
        self,
        journal: Journal,
        backlog: Backlog,
        *,
        most: int,
        refusal: Callable[[], Retryable | None],
        time: EngineTime,
        stats: Stats,
    ) -> None:
        self._journal, self._backlog, self._most, self._refusal = journal, backlog, most, refusal
        self._time, self._stats = time, stats
        self._ask_at = self._untold = 0

    def spans(self, payload: bytes, spans: int) -> None:
        """Take ended spans.

        Args:
            payload: an encoded ExportTraceServiceRequest or a packed span.
            spans: how many are in it; each has its ids.

        Raises:
            Busy, ShuttingDown: not now.
            TooLarge: no budget will ever hold it.
        """
        self._append(REQUEST, payload, spans)
        self._stats.add(_ACCEPTED, spans)

    def started(self, payload: bytes) -> None:
        """Note spans that have begun, so that they are known if they never end.

        Args:
            payload: as of `spans`, with end time 0; it may be repeated with what was learnt of them since.
                They do not count as received.

        Raises: as `spans`.
        """
        self._append(STARTED, payload, 0)

    def mark(self, session_id: str, kind: MarkKind, reason: str) -> None:
        """State a fact about a session: that it crashed, or that it is over.

        Raises: as `spans`; InvalidRequest: it names no session.
        """
        if not session_id:
            raise InvalidRequest("a mark names no session; say which one it is about")
        self._append(MARK, pack_mark(storable(session_id), kind, storable(reason)), 0)

    def ask(self) -> None:
        """Let the next call ask whether anything is taken."""
        self._ask_at = 0

    def _append(self, kind: int, payload: bytes, spans: int) -> None:
        now, size = self._time.now(), len(payload)
        if now >= self._ask_at or self._untold + size > _BYTES:
            self._ask(now, size)
        try:
            self._journal.append(kind, payload, items=spans, engine=now)
        except Busy:
            self._refused()
            raise
        self._untold += size

    def _ask(self, now: int, size: int) -> None:
        if size > self._most:
            raise TooLarge(f"{size} bytes are more than a request may have ({self._most})")
        untold, self._untold = self._untold, 0
        self._backlog.add(untold, "")
        if (refusal := self._refusal()) is not None:
            self.ask()
            self._refused()
            raise refusal
        self._ask_at = now + _EVERY

    def _refused(self) -> None:
        self._journal.wake()  # if it stopped, its reader is who reopens it
        self._stats.add("otelcol_receiver_refused_requests")
