"""The sidecar: one engine, its doors, and the order in which they open and close.

Law of this file: doors open after the engine can take requests and close before it stops, so that no
request is ever inside when the last checkpoint is taken.
"""

import logging
import threading
from typing import Final

from otel_ext.clock import SystemClock
from otel_ext.exporters import Forwarder
from otel_ext.pipeline import Engine, adopt
from otel_ext.receivers import GrpcReceiver, HttpReceiver
from otel_ext.service.config import Config
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry

log = logging.getLogger(__name__)

_SERVED: Final = (Telemetry.TRACES,)
_WATCH: Final = 5.0
"""Seconds between looks for dead processes' folders."""


class Server:
    """A running sidecar.

    Raises:
        DataFolderError: the data folder cannot be used.
        ConfigError: an address cannot be bound.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.stats = Stats()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="otel-ext-adoption", daemon=True)
        self.forwarders = [Forwarder(each, stats=self.stats) for each in config.forward]
        destinations = [each.destination for each in self.forwarders]
        self.engine = Engine(config.data, config.engine, stats=self.stats, destinations=destinations)
        try:
            self._grpc = GrpcReceiver(
                self._accept,
                config.grpc_endpoint,
                stats=self.stats,
                max_bytes=config.grpc_max_bytes,
                telemetries=_SERVED,
            )
            try:
                self._http = HttpReceiver(
                    self._accept,
                    config.http_endpoint,
                    stats=self.stats,
                    max_bytes=config.http_max_bytes,
                    paths={path: kind for path, kind in config.http_paths.items() if kind in _SERVED},
                )
            except BaseException:
                self._grpc.stop(0)
                raise
        except BaseException:
            self.engine.close()
            raise

    @property
    def grpc_endpoint(self) -> str:
        """Where OTLP/gRPC is served, port resolved."""
        return self._grpc.endpoint

    @property
    def http_endpoint(self) -> str:
        """Where OTLP/HTTP is served, port resolved."""
        return self._http.endpoint

    def _accept(self, body: bytes, _telemetry: Telemetry) -> tuple[int, int, str]:
        return self.engine.intake.accept(body)

    def start(self) -> None:
        """Begin to process and to serve."""
        self.engine.start()
        for forwarder in self.forwarders:
            forwarder.start(self.engine.outbox.feeds[forwarder.settings.name])
        self._grpc.start()
        self._http.start()
        self._watcher.start()

    def _watch(self) -> None:
        """Adopt what processes left that died in the same data folder, as long as the server runs."""
        refused: set[str] = set()
        relay = self.engine.intake.relay if self.forwarders else None
        while True:
            try:
                for owner in adopt(self.config.data, refused=refused, relay=relay):
                    log.info("recovered what a dead process left in %s", owner)
            except Exception:  # a defect in one dead process's data must not end the watch
                log.exception("dead processes could not be recovered")
            if self._stopping.wait(_WATCH):
                return

    def stop(self) -> bool:
        """Drain: finish calls in flight, process everything accepted, send what is left, take a checkpoint.

        All of it within `shutdown_timeout`, as far as it depends on others; what could not be sent, the
        next start sends.

        Returns:
            Whether all of it is saved; what is not, the next start reads from the journal.
        """
        clock = SystemClock()
        end = clock.monotonic() / 1e9 + self.config.shutdown_timeout
        self._stopping.set()
        self._http.stop(self.config.shutdown_timeout)
        self._grpc.stop(self.config.shutdown_timeout)
        self._watcher.join()
        self.engine.finish()
        left = max(0.0, end - clock.monotonic() / 1e9)
        stopping = [threading.Thread(target=each.stop, args=(left,)) for each in self.forwarders]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        return self.engine.close()
