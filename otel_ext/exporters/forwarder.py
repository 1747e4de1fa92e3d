"""A destination at work: batches from the outbox to the far side, each to a counted end.

Law of this file: every item of a batch ends in exactly one count of its `Outcome`, and nothing is done until
the far side said so: what is under way when the process dies, or is asked to stop, is sent again. A batch
that is refused is taken apart before any of it is given up: into its records when it is refused for good,
into halves when it is too large.
"""

import logging
import threading
from collections import Counter, deque
from typing import Final

from otel_ext import otlp
from otel_ext.errors import OtelExtError, Permanent, ShuttingDown, TooLarge
from otel_ext.exporters.answers import Sender
from otel_ext.exporters.exporter import sender_of
from otel_ext.exporters.retry import GaveUp, Retries
from otel_ext.exporters.settings import ForwarderSettings
from otel_ext.pipeline import Batch, Destination, Feed, Outcome, Part
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry

log = logging.getLogger(__name__)

_AGAIN: Final = 1.0
"""Seconds between tries when our own disk cannot be read or written."""
_WAIT: Final = 60.0
"""Longest sleep while nothing comes; `close` of the feed ends it."""


class Forwarder:
    """Sends one feed's batches with threads of its own.

    Attributes:
        feed: where they come from, once it is started.
        sent: items delivered since the start, by telemetry.
        failed: items that were not, for whatever reason.
        last: why the last try failed, "" while the destination takes what it gets.

    Raises:
        ConfigError: the endpoint cannot be used.
    """

    def __init__(self, settings: ForwarderSettings, *, stats: Stats | None = None) -> None:
        self.settings = settings
        self.feed: Feed
        self.sent, self.failed = Counter[Telemetry](), Counter[Telemetry]()
        self.last = ""
        self._stats = stats or Stats()
        self._sender: Sender = sender_of(settings)
        self._stopping = threading.Event()
        self._retries = Retries(
            self._sender, settings, pause=self._stopping.wait, failed=self._failed, stats=self._stats
        )
        self._counting = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, name=f"otel-ext-forward-{settings.name}", daemon=True)
            for _ in range(settings.consumers)
        ]

    @property
    def destination(self) -> Destination:
        """What the engine has to know of it."""
        settings = self.settings
        return Destination(
            name=settings.name,
            budget=settings.queue_bytes,
            derived_only=settings.derived_only,
            acknowledges=settings.acknowledges,
            telemetries=settings.telemetries,
        )

    def start(self, feed: Feed) -> None:
        """Begin to send."""
        self.feed = feed
        for thread in self._threads:
            thread.start()

    def stop(self, patience: float) -> bool:
        """Send what is left, for so many seconds, then stop; what is under way then is sent again.

        Returns:
            Whether nothing is left.
        """
        done = self.feed.drained(patience)
        self.feed.close()
        self.close()
        for thread in self._threads:
            thread.join(self.settings.timeout + _AGAIN)
        return done

    def close(self) -> None:
        """Let go of everything; what is under way fails."""
        self._stopping.set()
        self._sender.close()

    def _run(self) -> None:
        settings = self.settings
        while not self._stopping.is_set():
            try:
                batch = self.feed.read(settings.batch_bytes, _WAIT, linger=settings.linger)
            except ShuttingDown:
                return
            except Exception as error:  # this thread must live: nobody else sends what waits
                known = isinstance(error, OSError | OtelExtError)  # our own disk; else a defect of ours
                log.warning("%s waits: %s", settings.name, error, exc_info=not known)
                self._stopping.wait(_AGAIN)
                continue
            if batch is not None:
                self._finish(batch)

    def _finish(self, batch: Batch) -> None:
        """Bring a batch to its end, whatever happens, unless asked to stop."""
        while not self._stopping.is_set():
            try:
                outcome = self._deliver(batch)
            except Exception:
                if self._stopping.is_set():  # the connection was closed under it
                    return
                log.exception("%s waits; what it was sending is sent again", self.settings.name)
                self._stats.add("otel_ext.forward.defects")
                self._stopping.wait(_AGAIN)
                continue
            if outcome is not None:
                self.feed.done(batch, outcome)
            return

    def _deliver(self, batch: Batch) -> Outcome | None:
        """Bring a batch to its end; None when asked to stop before that."""
        outcome = Outcome()
        work = deque([batch.parts])
        while work:
            parts = work.popleft()
            items = sum(part.items for part in parts)
            before = outcome.sent
            try:
                pieces = self._send(batch, parts, items, outcome)
            except GaveUp as error:
                if error.reason == "stopped":
                    return None
                setattr(outcome, error.reason, getattr(outcome, error.reason) + items)
                pieces = []
            work.extendleft(reversed(pieces))
            if not pieces:
                sent = outcome.sent - before
                with self._counting:
                    self.sent[batch.telemetry] += sent
                    self.failed[batch.telemetry] += items - sent
        return outcome

    def _send(self, batch: Batch, parts: list[Part], items: int, outcome: Outcome) -> list[list[Part]]:
        """Send parts as one request; what is to be sent instead, when it has to be taken apart.

        Raises:
            GaveUp: with the name of the count, or "stopped".
        """
        body = b"".join(part.body for part in parts)
        if self.feed.over(batch):
            raise GaveUp("overflow", self.last)
        try:
            if len(body) > self.settings.max_request_bytes:
                raise TooLarge(f"{len(body)} bytes are over our own limit")  # noqa: TRY301 - as if it had said so
            answer = self._retries.send(batch.telemetry, body, lambda after: self._given_up(batch, after))
        except TooLarge as error:
            if len(parts) > 1:
                return [parts[: len(parts) // 2], parts[len(parts) // 2 :]]
            halves = _halves(batch.telemetry, parts[0])
            if not halves:
                self._refused(batch, Part(body, items), f"too large: {error}", outcome)
            return halves
        except Permanent as error:
            if len(parts) > 1:  # one bad record must not cost the others
                return [[part] for part in parts]
            self._refused(batch, Part(body, items), str(error), outcome)
            return []
        self.last = ""
        if not answer.readable:
            self._stats.add("otel_ext.forward.unreadable_answers")
        rejected = min(answer.rejected, items)
        outcome.rejected += rejected
        outcome.sent += items - rejected
        return []

    def _refused(self, batch: Batch, part: Part, reason: str, outcome: Outcome) -> None:
        """Keep what is refused for good."""
        self.last = reason
        while True:
            try:
                kept = self.feed.quarantine(batch.telemetry, part, reason)
            except OSError as error:
                if self._stopping.wait(_AGAIN):
                    raise GaveUp("stopped", reason) from error
                if self.feed.over(batch):
                    raise GaveUp("overflow", reason) from error
                continue
            outcome.quarantined += part.items if kept else 0
            outcome.refused += 0 if kept else part.items
            where = self.feed.quarantine_path
            what = (
                f"kept in {where}, `otel-ext replay` sends that again" if kept else f"lost, {where} is full"
            )
            said = reason.removeprefix("too large: ").partition(":")[0]  # never its words
            log.error("%s refuses %d items for good (%s): %s", self.settings.name, part.items, said, what)
            return

    def _given_up(self, batch: Batch, after: float) -> str:
        if self._stopping.is_set():
            return "stopped"
        if self.feed.over(batch):
            return "overflow"
        if not self.settings.retry:
            return "expired"
        return "expired" if 0 < self.settings.max_elapsed <= after else ""

    def _failed(self, why: str) -> None:
        if not self.last:
            log.warning("%s does not take what it gets: %s", self.settings.name, why.partition(":")[0])
        self.last = why


def _halves(telemetry: Telemetry, part: Part) -> list[list[Part]]:
    """A request in two; empty when it is a single item."""
    halves = otlp.halve(part.body)
    if halves is None:
        return []
    return [[Part(half, otlp.items_of(telemetry, half))] for half in halves]
