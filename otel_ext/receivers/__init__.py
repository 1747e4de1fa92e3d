"""Doors: they turn bytes on a socket into calls of an `accept` function, and errors into statuses.

A door knows nothing of the engine behind `accept`; doors are strangers to one another.
"""

from otel_ext.receivers.asgi import AsgiServer, Limits
from otel_ext.receivers.budget import Budget
from otel_ext.receivers.endpoint import listen
from otel_ext.receivers.grpc import GrpcReceiver
from otel_ext.receivers.health import health_handler
from otel_ext.receivers.http import HttpReceiver

__all__ = ["AsgiServer", "Budget", "GrpcReceiver", "HttpReceiver", "Limits", "health_handler", "listen"]
