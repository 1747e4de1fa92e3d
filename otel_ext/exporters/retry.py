"""Trying again: the one implementation of OTLP's retry rules (checklist items 61-66).

Law of this file: never sooner than the far side asks, never without jitter, never after a success however
partial, and never longer than the caller wants.
"""

import random
from collections.abc import Callable

from otel_ext.clock import Clock, SystemClock
from otel_ext.errors import Retryable
from otel_ext.exporters.answers import Answer, Sender
from otel_ext.exporters.settings import ForwarderSettings
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry

_GROWTH = 1.5
_LOOK = 0.5
"""Seconds between looks at whether a wait still makes sense."""


class GaveUp(Exception):
    """A request was given up; `reason` is one word, `last` what the far side said last."""

    def __init__(self, reason: str, last: str) -> None:
        super().__init__(f"{reason}: {last}")
        self.reason, self.last = reason, last


class Retries:
    """Sends to one destination until it is delivered, refused for good, or given up; any thread.

    The pause between tries grows from failure to failure, whichever request it was, and starts anew with a
    success.

    Args:
        pause: waits so many seconds, or less when there is a reason to look up.
        failed: told why each failed try failed.
    """

    def __init__(
        self,
        sender: Sender,
        settings: ForwarderSettings,
        *,
        pause: Callable[[float], object],
        failed: Callable[[str], None] | None = None,
        stats: Stats | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._sender, self._settings, self._pause, self._failed = sender, settings, pause, failed
        self._stats, self._clock = stats or Stats(), clock or SystemClock()
        self._backoff = settings.retry_initial

    def send(self, telemetry: Telemetry, body: bytes, given_up: Callable[[float], str]) -> Answer:
        """Send one request.

        `given_up` is asked after each failed try, and while waiting, with the seconds since the first one:
        why to give up, or "" to go on.

        Raises:
            GaveUp: it said so.
            TooLarge, Permanent: see `Sender`.
        """
        begun = self._now()
        while True:
            try:
                answer = self._sender.send(telemetry, body)
            except Retryable as error:
                self._wait(error, begun, given_up)
                continue
            self._backoff = self._settings.retry_initial
            return answer

    def _wait(self, error: Retryable, begun: float, given_up: Callable[[float], str]) -> None:
        self._stats.add("otel_ext.forward.retries")
        if self._failed is not None:
            self._failed(str(error))
        jittered = self._backoff * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret
        self._backoff = min(self._backoff * _GROWTH, self._settings.retry_max)
        until = self._now() + max(error.retry_after, jittered)
        while True:
            reason = given_up(self._now() - begun)
            if reason:
                raise GaveUp(reason, str(error)) from error
            left = until - self._now()
            if left <= 0:
                return
            self._pause(min(left, _LOOK))

    def _now(self) -> float:
        return self._clock.monotonic() / 1e9
