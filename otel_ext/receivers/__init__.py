"""Doors: they turn bytes on a socket into calls of an `accept` function, and errors into statuses.

A door knows nothing of the engine behind `accept`; doors are strangers to one another.
"""

from otel_ext.receivers.grpc import GrpcReceiver

__all__ = ["GrpcReceiver"]
