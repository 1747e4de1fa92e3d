"""Doors outwards: they send OTLP requests to another endpoint."""

from otel_ext.exporters.grpc import GrpcExporter

__all__ = ["GrpcExporter"]
