"""Engine, outbox and forwarders together, against scripted far sides."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from otel_ext.exporters import Forwarder, ForwarderSettings
from otel_ext.pipeline import Engine, EngineSettings
from tests.builders import looping_run, request, span
from tests.exporters.farside import FarSide, GrpcFarSide, HttpFarSide, Reply, far_sides, names

SETTINGS = EngineSettings(
    idle_timeout=3600.0, hold=0.02, min_free=0, checkpoint_interval=0.05, reserve=0, segment_bytes=8000
)
FAST = {"retry_initial": 0.01, "retry_max": 0.05}


class Running:
    """An engine and its forwarders."""

    def __init__(self, data: Path, *settings: ForwarderSettings, engine: EngineSettings = SETTINGS) -> None:
        self.forwarders = [Forwarder(each) for each in settings]
        self.engine = Engine(data, engine, destinations=[each.destination for each in self.forwarders])
        self.engine.start()
        for forwarder in self.forwarders:
            forwarder.start(self.engine.outbox.feeds[forwarder.settings.name])

    def stop(self, patience: float = 30.0) -> bool:
        """A polite end; whether everything was delivered."""
        self.engine.finish()
        done = [forwarder.stop(patience) for forwarder in self.forwarders]
        assert self.engine.close()
        return all(done)


@contextmanager
def running(data: Path, *settings: ForwarderSettings, **more: Any) -> Iterator[Running]:
    """A running engine that is gone afterwards; failing tests do not wait for dead destinations."""
    made = Running(data, *settings, **more)
    try:
        yield made
    except BaseException:
        made.stop(0.0)
        raise
    made.stop()


def to(far: FarSide, name: str = "far", **values: Any) -> ForwarderSettings:
    """Settings for a far side."""
    protocol = "grpc" if isinstance(far, GrpcFarSide) else "http"
    return ForwarderSettings(name=name, protocol=protocol, endpoint=far.endpoint, **{**FAST, **values})


@pytest.fixture(params=["grpc", "http"])
def far(request: pytest.FixtureRequest) -> Iterator[FarSide]:
    """One far side of each protocol."""
    made: FarSide = GrpcFarSide() if request.param == "grpc" else HttpFarSide()
    with far_sides(made):
        yield made


def test_everything_arrives_once_and_in_order(tmp_path: Path, far: FarSide) -> None:
    """Spans go out in the order in which they were accepted, findings after them, nothing twice."""
    bodies = [request(span(1, n), span(1, n + 1)) for n in range(10, 50, 2)]
    bodies += [request(*looping_run(2, "s"))]
    with running(tmp_path, to(far)) as run:
        for body in bodies:
            run.engine.intake.accept(body)
    sent = [s for body in bodies for s in _spans(body)]
    assert names(far.spans) == [s.name for s in sent]
    found = [s for s in far.spans if s.name.startswith("detect ")]
    assert len(found) == run.engine.ledger["derived"] > 0
    tally = run.engine.outbox.feeds["far"].cursor.tally
    assert tally.received == tally.sent == len(sent) + len(found)
    assert tally.balance == 0


def _spans(body: bytes) -> list[Any]:
    from tests.exporters.farside import Received

    return Received("trace", body, {}, "").spans
