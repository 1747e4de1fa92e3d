"""Load on a real server: senders that never give up, and a record of what they were told.

Law of this file: a number is in `attempted` before its request leaves, and in `acknowledged` only after
the server's OK came back. So at any instant, whatever is killed, frozen or copied:
what was acknowledged before it must be stored, and nothing may be stored that was not attempted.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

import grpc

from tests.builders import looping_run, request, span_id, trace_id
from tests.support import METHOD, until

SPANS = 5
"""Spans of one request: four calls and their agent."""
_CHANNEL = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
_BREATH = 0.01
"""Seconds between two requests of a sender: a slow machine must not make the load of a test the greater."""

Id = tuple[str, str]


def ids(numbers: Iterable[int]) -> set[Id]:
    """(trace id, span id) of every span of these requests, in hex."""
    return {
        (trace_id(number).hex(), span_id(number * 1000 + n).hex()) for number in numbers for n in range(SPANS)
    }


class Door(Protocol):
    """What has an address to send to."""

    @property
    def endpoint(self) -> str:
        """HOST:PORT."""


class Load:
    """Concurrent senders of looping agent runs, from `with` to its end or `stop`.

    Args:
        pace: seconds that each sender waits between two requests.

    Attributes:
        attempted, acknowledged: numbers of requests, in the order in which it happened.
        refusals: (status code, message) of every failed call.
    """

    def __init__(
        self,
        process: Door,
        *,
        senders: int = 4,
        first: int = 1,
        patience: float = 15.0,
        pace: float = 0.0,
    ) -> None:
        self._endpoint, self._patience, self._pace = process.endpoint, patience, pace
        self._numbers = itertools.count(first)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(senders)]
        self.attempted: list[int] = []
        self.acknowledged: list[int] = []
        self.refusals: Counter[tuple[str, str]] = Counter()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let each sender finish the call it is in, successful or not."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        """Wait until so many more requests were acknowledged."""
        enough = len(self.acknowledged) + more
        until(lambda: len(self.acknowledged) >= enough, f"{more} more acknowledgements")

    def wait_for_refusal(self, text: str) -> None:
        """Wait until a further call is refused with a message that holds `text`."""

        def refused() -> int:
            return sum(n for (_, message), n in self.refusals.copy().items() if text in message)

        known = refused()
        until(lambda: refused() > known, f"a refusal with {text!r}, not {self.refusals}")

    @property
    def codes(self) -> set[str]:
        """Status codes of all refusals."""
        return {code for code, _ in self.refusals.copy()}

    def _send(self) -> None:
        with grpc.insecure_channel(self._endpoint, options=_CHANNEL) as channel:
            call = channel.unary_unary(METHOD)
            while not self._stop.is_set():
                number = next(self._numbers)
                self.attempted.append(number)
                body = request(*looping_run(number, f"session-{number % 7}", rounds=SPANS - 1))
                self._deliver(call, number, body)
                if self._pace:
                    self._stop.wait(self._pace)

    def _deliver(self, call: grpc.UnaryUnaryMultiCallable, number: int, body: bytes) -> None:
        pause = 0.01
        while True:
            try:
                call(body, timeout=self._patience, wait_for_ready=True)
            except grpc.RpcError as error:
                self.refusals[error.code().name, error.details()] += 1
            else:
                self.acknowledged.append(number)
                self._stop.wait(_BREATH)
                return
            if self._stop.wait(pause):  # a polite client backs off
                return
            pause = min(2 * pause, 0.2)
