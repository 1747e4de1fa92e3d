"""Doors outwards: OTLP requests to other endpoints, over gRPC and HTTP.

`answers` is the table of what far sides say; `grpc` and `http` try a request once; `retry` tries again;
`exporter` sends single requests and `forwarder` what comes out of the outbox; `settings` says where to.
"""

from otel_ext.exporters.answers import Answer, Sender
from otel_ext.exporters.exporter import Exporter, sender_of
from otel_ext.exporters.forwarder import Forwarder
from otel_ext.exporters.settings import ForwarderSettings, check_headers, settings_from_environment

__all__ = [
    "Answer",
    "Exporter",
    "Forwarder",
    "ForwarderSettings",
    "Sender",
    "check_headers",
    "sender_of",
    "settings_from_environment",
]
