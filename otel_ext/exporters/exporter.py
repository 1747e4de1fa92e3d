"""Requests sent one by one, each until it is delivered: for `otel-ext replay`.

Law of this file: it only joins a sender and the retry rules.
"""

import threading
from collections.abc import Callable

from otel_ext.errors import Retryable
from otel_ext.exporters.answers import Answer, Sender
from otel_ext.exporters.grpc import GrpcSender
from otel_ext.exporters.http import HttpSender
from otel_ext.exporters.retry import GaveUp, Retries
from otel_ext.exporters.settings import ForwarderSettings
from otel_ext.telemetry import Telemetry


def sender_of(settings: ForwarderSettings) -> Sender:
    """The sender for a destination's protocol.

    Raises:
        ConfigError: the endpoint cannot be used.
    """
    return GrpcSender(settings) if settings.protocol == "grpc" else HttpSender(settings)


class Exporter:
    """Sends encoded requests to one endpoint.

    Args:
        settings: `max_elapsed` is after how long a request is given up.
        waiting: told, once a request, why it is being retried.

    Raises:
        ConfigError: the endpoint cannot be used.
    """

    def __init__(self, settings: ForwarderSettings, waiting: Callable[[str], None] | None = None) -> None:
        self._settings, self._sender, self._told = settings, sender_of(settings), waiting
        self._said = False
        self._retries = Retries(self._sender, settings, pause=threading.Event().wait, failed=self._waiting)

    def send(self, body: bytes, telemetry: Telemetry = Telemetry.TRACES) -> Answer:
        """Send one request, retrying while that is allowed and useful.

        Raises:
            Permanent: the far side refuses it for good.
            Retryable: it could not be delivered within `max_elapsed` seconds.
        """
        self._said = False
        most = self._settings.max_elapsed
        try:
            return self._retries.send(telemetry, body, lambda after: "expired" if 0 < most <= after else "")
        except GaveUp as error:
            raise Retryable(f"not delivered in {most:.0f} s: {error.last}") from error

    def close(self) -> None:
        """Close the connection."""
        self._sender.close()

    def _waiting(self, why: str) -> None:
        if self._told is not None and not self._said:
            self._told(why)
        self._said = True
