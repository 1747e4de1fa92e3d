"""Configurations that forward traces to far sides: `(otel_ext's, the Collector's)`."""

from typing import Any

from tests.conformance.targets import Tree

RETRY: Tree = {"initial_interval": "50ms", "max_interval": "2s"}
TIMEOUT = "60s"
"""A slow machine must not make anyone send again what the far side is about to answer."""


def forwarding(**exporters: Tree) -> tuple[Tree, Tree]:
    """Both configurations with these exporters; `_` in a name stands for `/`."""
    named = {name.replace("_", "/", 1): exporter for name, exporter in exporters.items()}
    tree: dict[str, Any] = {"exporters": named}
    pipelines = {"traces": {"exporters": list(named)}}
    return tree, {**tree, "service": {"pipelines": pipelines}}


def grpc_exporter(endpoint: str, **more: object) -> Tree:
    """An `otlp` exporter's settings."""
    return {
        "endpoint": endpoint,
        "tls": {"insecure": True},
        "compression": "none",
        "timeout": TIMEOUT,
        "retry_on_failure": RETRY,
        **more,
    }


def http_exporter(endpoint: str, **more: object) -> Tree:
    """An `otlphttp` exporter's settings."""
    return {
        "endpoint": f"http://{endpoint}",
        "compression": "none",
        "timeout": TIMEOUT,
        "retry_on_failure": RETRY,
        **more,
    }


def to_grpc(endpoint: str, **more: object) -> tuple[Tree, Tree]:
    """One gRPC destination."""
    return forwarding(otlp_far=grpc_exporter(endpoint, **more))


def to_http(endpoint: str, **more: object) -> tuple[Tree, Tree]:
    """One HTTP destination."""
    return forwarding(otlphttp_far=http_exporter(endpoint, **more))
