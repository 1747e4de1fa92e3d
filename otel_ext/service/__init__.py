"""Configure, build, run: the sidecar as one object."""

from otel_ext.service.config import Config, load_config
from otel_ext.service.server import Server

__all__ = ["Config", "Server", "load_config"]
