"""The sidecar: one engine, its doors, and the order in which they open and close.

Law of this file: doors open after the engine can take requests and close before it stops, so that no
request is ever inside when the last checkpoint is taken. Between the wish to end and the closing of the doors
requests are still taken, because a sidecar ends together with the program whose last spans it waits for.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from otel_ext import memory, otlp
from otel_ext.clock import Clock, SystemClock
from otel_ext.errors import ConfigError
from otel_ext.exporters import Forwarder
from otel_ext.pipeline import Engine, adopt
from otel_ext.receivers import Budget, GrpcReceiver, HttpReceiver, health_handler
from otel_ext.service.admission import GRPC, HTTP, Doorkeeper
from otel_ext.service.config import Config, SideDoor
from otel_ext.service.probes import SelfTelemetry
from otel_ext.service.web import Routes, SideServer
from otel_ext.stats import Stats
from otel_ext.turns import Turns

log = logging.getLogger(__name__)

_WATCH: Final = 5.0
"""Seconds between looks for dead processes' folders, and for memory to give back."""
_LARGE: Final = 64 << 20
"""Resident bytes above which free memory is given back; an idle sidecar has less."""
_GONE: Final = 60.0
"""Seconds without a request after which nobody is expected to send a last one; exporters of metrics, the
slowest, send every 60 s by default."""
_CLOSING: Final = 5.0
"""Seconds of the grace period kept for closing the doors and the last checkpoint; a fifth if it is short."""
_BODIES: Final = 4
"""Requests of the largest size that may be inside at one time, over both doors."""
_HURRY: Final = 2.0
"""Seconds for requests inside to end, and for what is left to be sent on, when somebody waits."""


class Server:
    """A running sidecar.

    Raises:
        DataFolderError: the data folder cannot be used.
        ConfigError: an address cannot be bound.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.stats = Stats()
        self._clock: Clock = SystemClock()
        self._stopping = threading.Event()
        self._draining, self._end = False, 0
        self._watcher = threading.Thread(target=self._watch, name="otel-ext-adoption", daemon=True)
        self.forwarders = [Forwarder(each, stats=self.stats) for each in config.forward]
        destinations = [each.destination for each in self.forwarders]
        self.engine = Engine(config.data, config.engine, stats=self.stats, destinations=destinations)
        turns, budget = Turns(), Budget(_BODIES * max(config.grpc_max_bytes, config.http_max_bytes))
        self._doors = Doorkeeper(self.engine.intake, turns, self._clock)
        self.telemetry = SelfTelemetry(
            self.engine.view,
            self._doors,
            self.stats,
            self._clock,
            ready=self.ready,
            alive=self.alive,
            forwarders=self.forwarders,
            turns=turns,
            budget=budget,
        )
        self._grpc: GrpcReceiver | None = None
        self._http: HttpReceiver | None = None
        self._side = SideServer()
        try:
            if config.grpc_endpoint is not None:
                self._grpc = GrpcReceiver(
                    self._doors.door(GRPC),
                    config.grpc_endpoint,
                    stats=self.stats,
                    max_bytes=config.grpc_max_bytes,
                    budget=budget,
                    beside=[health_handler(self.ready)],
                )
            if config.http_endpoint is not None:
                self._http = HttpReceiver(
                    self._doors.door(HTTP),
                    config.http_endpoint,
                    stats=self.stats,
                    max_bytes=config.http_max_bytes,
                    budget=budget,
                    turns=turns,
                    paths=config.http_paths,
                )
            self.health_endpoint, self.metrics_endpoint = self._open_side()
        except BaseException:
            _at_once([partial(door.stop, 0) for door in (self._grpc, self._http) if door is not None])
            self._side.stop()
            self.engine.close()
            raise

    @property
    def grpc_endpoint(self) -> str:
        """Where OTLP/gRPC is served, port resolved; "" when it is switched off."""
        return self._grpc.endpoint if self._grpc else ""

    def ready(self) -> bool:
        """Whether requests are wanted, and would be taken now."""
        return not self._draining and self.alive() and self.engine.intake.refusal() is None

    def alive(self) -> bool:
        """Whether all doors are served; if not, only a restart helps."""
        return self._http is None or self._stopping.is_set() or self._http.alive

    @property
    def http_endpoint(self) -> str:
        """Where OTLP/HTTP is served, port resolved; "" when it is switched off."""
        return self._http.endpoint if self._http else ""

    def start(self) -> None:
        """Begin to process and to serve."""
        self.engine.start()
        for forwarder in self.forwarders:
            forwarder.start(self.engine.outbox.feeds[forwarder.settings.name])
        for door in (self._grpc, self._http):
            if door is not None:
                door.start()
        self._side.start()
        self._watcher.start()
        log.info("serving from %s (spans read by %s)", self.config.data, "C" if otlp.COMPILED else "Python")

    def drain(self, wait: Callable[[float], bool]) -> bool:
        """Go on receiving until nothing came for `drain_idle` seconds or the grace period nears its end.

        A server that got no request in the last minute does not wait; its probes say at once that it ends.

        Args:
            wait: sleeps for so many seconds, or returns True earlier when there is no more time.

        Returns:
            Whether `wait` said so.
        """
        self._begin_end()
        began, idle = self._clock.monotonic(), self.config.drain_idle
        last = self._doors.idle()
        if not idle or last is None or last >= _GONE:
            return False
        grace = self.config.shutdown_timeout
        end = grace - self._closing
        log.info("draining: receiving until nothing came for %s s, at most %s s", idle, end)
        while (passed := (self._clock.monotonic() - began) / 1e9) < end:
            silent = min(self._doors.idle() or 0.0, passed)
            if silent >= idle:
                return False
            if wait(min(max(idle - silent, 0.01), end - passed)):
                return True
        log.warning("the grace period nears its end and requests still come; their senders must come again")
        return False

    def stop(self, *, hurry: bool = False) -> bool:
        """Close the doors, process everything accepted, send on what is left, take a checkpoint.

        What depends on others takes no longer than what is left of the grace period; what could not be sent,
        the next start sends.

        Args:
            hurry: somebody waits, so give clients and destinations little time.

        Returns:
            Whether all of it is saved; what is not, the next start reads from the journal.
        """
        self._begin_end()
        self._stopping.set()
        grace = self._for_others(hurry)
        _at_once([partial(door.stop, grace) for door in (self._grpc, self._http) if door is not None])
        self._watcher.join()
        self.engine.finish()
        grace = self._for_others(hurry)
        _at_once([partial(forwarder.stop, grace) for forwarder in self.forwarders])
        saved = self.engine.close()
        self._side.stop()
        log.info("stopped, everything saved" if saved else "stopped, not everything saved")
        return saved

    def _begin_end(self) -> None:
        if not self._draining:
            self._draining = True
            self._end = self._clock.monotonic() + int(self.config.shutdown_timeout * 1e9)

    @property
    def _closing(self) -> float:
        return min(_CLOSING, self.config.shutdown_timeout / 5)

    def _for_others(self, hurry: bool) -> float:
        """Seconds to wait for clients or destinations; saving what is accepted takes of the same period."""
        left = self._left()
        grace = max(left - self._closing, left / 2)
        return min(_HURRY, grace) if hurry else grace

    def _left(self) -> float:
        """Seconds of the grace period that are left."""
        return max(0.0, (self._end - self._clock.monotonic()) / 1e9)

    def _open_side(self) -> tuple[str, str]:
        """Listen for probes and scrapers; where, "" for nowhere."""
        health, metrics = self.config.health, self.config.metrics
        if health and metrics and health.endpoint == metrics.endpoint and not health.endpoint.endswith(":0"):
            both = self._beside(health, {**self.telemetry.health(), **self.telemetry.metrics()})
            return both, both
        return (
            self._beside(health, self.telemetry.health()) if health else "",
            self._beside(metrics, self.telemetry.metrics()) if metrics else "",
        )

    def _beside(self, door: SideDoor, routes: Routes) -> str:
        try:
            return self._side.listen(door.endpoint, routes)
        except ConfigError as error:
            if door.asked:
                raise
            log.warning("no %s: %s", " ".join(routes), error)
            return ""

    def _watch(self) -> None:
        """Adopt what processes left that died in the same data folder; give back what requests have freed."""
        refused: set[str] = set()
        relay = self.engine.intake.relay if self.forwarders else None
        while True:
            try:
                for owner in adopt(self.config.data, refused=refused, relay=relay):
                    log.info("recovered what a dead process left in %s", owner)
            except Exception:  # a defect in one dead process's data must not end the watch
                log.exception("dead processes could not be recovered")
            if memory.resident() > _LARGE:
                memory.release()
            if self._stopping.wait(_WATCH):
                return


def _at_once(calls: Sequence[Callable[[], object]]) -> None:
    """Make several calls that wait, each on a thread of its own; return when all have."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
