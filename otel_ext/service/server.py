"""The sidecar: one engine, its doors, and the order in which they open and close.

Law of this file: doors open after the engine can take requests and close before it stops, so that no
request is ever inside when the last checkpoint is taken.
"""

from otel_ext.pipeline import Engine
from otel_ext.receivers import GrpcReceiver
from otel_ext.service.config import Config
from otel_ext.stats import Stats


class Server:
    """A running sidecar.

    Raises:
        DataFolderError: the data folder cannot be used.
        ConfigError: an address cannot be bound.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.stats = Stats()
        self.engine = Engine(config.data, config.engine, stats=self.stats)
        try:
            self._grpc = GrpcReceiver(
                self.engine.intake.accept,
                config.grpc_endpoint,
                stats=self.stats,
                max_bytes=config.grpc_max_bytes,
            )
        except BaseException:
            self.engine.close()
            raise

    @property
    def grpc_endpoint(self) -> str:
        """Where OTLP/gRPC is served, port resolved."""
        return self._grpc.endpoint

    def start(self) -> None:
        """Begin to process and to serve."""
        self.engine.start()
        self._grpc.start()

    def stop(self) -> bool:
        """Drain: finish calls in flight, process everything accepted, take a checkpoint.

        Returns:
            Whether all of it is saved; what is not, the next start reads from the journal.
        """
        self._grpc.stop(self.config.shutdown_timeout)
        return self.engine.close()
