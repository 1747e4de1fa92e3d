"""rotel, an OpenTelemetry forwarder in Rust, as its package on PyPI brings it, with its own sink."""

from pathlib import Path

from otel_ext.bench.cases import Case
from otel_ext.bench.server import CannotBeMeasuredError, Server
from tests.bench.rivals.parts import environment, free_ports, wait_for_door


class Rotel(Server):
    """Receiving, batching, then dropping: it has no exporter that keeps anything on this machine."""

    name = "rotel"
    promise = "in memory; then dropped here (its `blackhole`)"

    def start(self, case: Case) -> None:
        """The binary of the package."""
        bin_ = environment("rotel==0.0.1a15")
        found = next(bin_.parent.glob("lib/python*/site-packages/rotel/rotel-agent"), None)
        if found is None:
            raise CannotBeMeasuredError("rotel's package brings no binary for this machine")
        grpc, http = free_ports(2)
        self.endpoints = {"grpc": f"127.0.0.1:{grpc}", "http": f"127.0.0.1:{http}"}
        call: list[str | Path] = [found, "start", "--exporter", "blackhole"]
        for door, endpoint in self.endpoints.items():
            call += [f"--otlp-{door}-endpoint", endpoint]
        self.spawn([*call, "--otlp-grpc-max-recv-msg-size-mib", "64"])
        wait_for_door(self, grpc)
