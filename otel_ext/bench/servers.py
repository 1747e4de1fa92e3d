"""Who is measured: our own server, one that runs already, and the limit for Python.

Law of this file: our own server runs with its defaults, but for what a case is about and for what would wait
for senders or take ports.
"""

import http.client
import json
import sys
from pathlib import Path
from typing import Any

from otel_ext.bench.cases import Case
from otel_ext.bench.machine import CLIENT_CORE
from otel_ext.bench.server import Server
from otel_ext.errors import DataFolderError
from otel_ext.sessions import Catalog
from otel_ext.signals import every_rule


class Bare(Server):
    """The limit: a grpcio server that appends each request to a file and fdatasyncs before it answers."""

    name = "bare grpcio"
    promise = "on disk (fdatasync each request); nothing is read, checked or kept apart"
    doors = ("grpc",)

    def start(self, case: Case) -> None:
        """`python -m otel_ext.bench.bare`."""
        call: list[str | Path] = [sys.executable, "-m", "otel_ext.bench.bare", self.folder]
        self.endpoints = {"grpc": self.spawn(call, start="127.")}


class Ours(Server):
    """`otel-ext serve` with its defaults but what a case says."""

    name = "otel_ext"
    promise = "on disk (journal, fdatasync shared by who waits), deduplicated and analysed after"

    def __init__(self, more: str = "") -> None:
        super().__init__()
        self._more = more
        self._metrics = ""
        self._sink: Server | None = None

    def takes(self, case: Case) -> bool:
        """All of them."""
        return True

    def config(self, case: Case) -> dict[str, Any]:
        """What a case changes."""
        config: dict[str, Any] = {
            "extensions": {"journal": {"sync": case.sync}, "health_check": {"enabled": False}},
            "service": {"drain_idle": "0s", "telemetry": {"metrics": {"address": "127.0.0.1:0"}}},
        }
        if not case.detectors:
            rules = {kind.signal: {"mode": "off"} for kind in every_rule().types}
            config["processors"] = {"signals": {"rules": rules}}
        if self._sink is not None:
            to = {"endpoint": self._sink.endpoints["grpc"], "tls": {"insecure": True}, "compression": "none"}
            config["exporters"] = {"otlp": to}
        return config

    def start(self, case: Case) -> None:
        """`otel-ext serve` on free ports."""
        if case.forward:
            self._sink = Sink()
            self._sink.open(case)
            self.helpers = [self._sink.pid]
            self._stack.callback(self._sink.close)
        (self.folder / "bench.json").write_text(json.dumps(self.config(case)))
        self.serve()

    def serve(self) -> None:
        """Start the process on the folder as it is."""
        call = [sys.executable, "-m", "otel_ext", "serve", "--config", str(self.folder / "bench.json")]
        call += ["--data", str(self.folder / "data"), "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        if self._more:
            call += ["--config", self._more]
        line = self.spawn(call, start="ready ")
        told = dict(word.partition("=")[::2] for word in line.split()[1:])
        self.endpoints = {"grpc": told["grpc"], "http": told["http"]}
        self._metrics = told["metrics"]

    def metrics(self) -> dict[str, float]:
        """Its `/metrics` by name, labels summed up."""
        host, _, port = self._metrics.removeprefix("http://").split("/")[0].rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        found = dict[str, float]()
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                key = name.partition("{")[0]
                found[key] = found.get(key, 0.0) + float(value)
        return found

    def done(self) -> int | None:
        """What it received less what waits to be processed or forwarded."""
        told = self.metrics()
        waiting = told["otel_ext_pipeline_lag_items"]
        if self._sink is not None and told.get("otelcol_exporter_queue_size", 0):
            waiting = max(1.0, waiting)
        return int(told.get("otelcol_receiver_accepted_spans_total", 0) - waiting)

    def settled(self, spans: int) -> bool:
        """Whether the catalog's ledger, which a checkpoint saves, counts them."""
        try:
            catalog = Catalog(self.folder / "data" / "engines" / "main" / "catalog.sqlite", read_only=True)
        except (DataFolderError, OSError):
            return False
        try:
            return int(catalog.meta().get("ledger", {}).get("received", 0)) >= spans
        finally:
            catalog.close()


class Sink(Server):
    """A grpcio server that answers OK and drops: where forwarded spans go. On the clients' core."""

    name = "sink"
    promise = "none"
    doors = ("grpc",)

    def start(self, case: Case) -> None:
        """`python -m otel_ext.bench.bare` without a folder."""
        call = [sys.executable, "-m", "otel_ext.bench.bare"]
        self.endpoints = {"grpc": self.spawn(call, core=CLIENT_CORE, start="127.")}


class Running(Server):
    """A server that somebody else started; its process is only looked at when its id is given."""

    name = "endpoint"
    promise = "as its maker says"

    def __init__(self, door: str, endpoint: str, pid: int = 0) -> None:
        super().__init__()
        self._door = door
        self.endpoints, self.pid = {door: endpoint}, pid

    def takes(self, case: Case) -> bool:
        """What differs in the client only."""
        return case.wire and case.door == self._door

    def start(self, case: Case) -> None:
        """It runs."""
