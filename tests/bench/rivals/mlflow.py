"""MLflow's tracking server, as its package on PyPI brings it, on SQLite."""

from pathlib import Path
from typing import ClassVar

from otel_ext.bench.cases import Case
from otel_ext.bench.server import Server
from tests.bench.goals import HTTP
from tests.bench.rivals.parts import environment, free_ports, wait_for_door


class MLflow(Server):
    """`mlflow server`."""

    name = "MLflow"
    promise = "committed to SQLite and fsynced"
    weight = 0.01
    headers: ClassVar[dict[str, str]] = {"x-mlflow-experiment-id": "0"}

    def takes(self, case: Case) -> bool:
        """The case that a goal is about; it has no gRPC."""
        return case.name == HTTP

    def start(self, case: Case) -> None:
        """A server with one worker, because all run on one core."""
        (port,) = free_ports(1)
        bin_ = environment("mlflow==3.17.2")
        call: list[str | Path] = [
            bin_ / "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        call += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        call += ["--artifacts-destination", str(self.folder / "artifacts")]
        path = f"{bin_}:/usr/local/bin:/usr/bin:/bin"
        self.spawn(call, {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"})
        wait_for_door(self, port, 600.0)
        self.endpoints = {"http": f"127.0.0.1:{port}"}
