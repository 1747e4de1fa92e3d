"""The corpora through the real engine, once; and again through the detectors alone, with other rules.

Law of this file: what the detectors were given is recorded where they are called, encoded at once, so a
second run gets the very same steps in the same order at the same engine times. The first run is the engine's
own (admission, journal, pipeline, catalog); that the second equals it is a test.
"""

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from otel_ext.cli.folder import EngineFolder, findings
from otel_ext.cli.replay import Replay, into_engine
from otel_ext.pipeline import Engine, EngineSettings
from otel_ext.sessions import Catalog
from otel_ext.signals import Detectors, Finding, RuleSettings, Settings, Status
from otel_ext.step import Step
from tests.quality.score import Row
from tests.support import RAM


class Event(NamedTuple):
    """One call of the detectors."""

    what: Literal["open", "close", "end_trace", "tick"]
    step: bytes
    status: Status
    now: int


class _Recorder(Detectors):
    """Detectors that note what they are given."""

    def __init__(self, settings: Settings, tape: list[Event]) -> None:
        super().__init__(settings)
        self._tape = tape

    def open(self, step: Step, now: int) -> list[Finding]:
        self._tape.append(Event("open", msgspec.msgpack.encode(step), "ongoing", now))
        return super().open(step, now)

    def close(self, step: Step, now: int) -> list[Finding]:
        self._tape.append(Event("close", msgspec.msgpack.encode(step), "ongoing", now))
        return super().close(step, now)

    def end_trace(self, trace_id: bytes, status: Status, now: int) -> list[Finding]:
        self._tape.append(Event("end_trace", trace_id, status, now))
        return super().end_trace(trace_id, status, now)

    def tick(self, now: int) -> list[Finding]:
        self._tape.append(Event("tick", b"", "ongoing", now))
        return super().tick(now)


class Run(NamedTuple):
    """What a replay gave.

    Attributes:
        rows: the last revision of every finding, as the catalog has them.
        tape: what the detectors were given.
    """

    rows: list[Row]
    tape: list[Event]


def replay(files: Sequence[Path], settings: Settings | None = None) -> Run:
    """Replay trace files into a folder that is gone afterwards, and read the findings back."""
    tape: list[Event] = []
    chosen = settings or Settings()
    with tempfile.TemporaryDirectory(prefix="otel-ext-quality-", dir=RAM) as name:
        engine = Engine(Path(name), EngineSettings(sync="never", signals=chosen), live=False)
        # The one place where detectors are called is tapped; nothing was processed yet.
        detectors = _Recorder(chosen, tape)
        engine._consumer.outputs.processor._detection._signals = detectors
        engine.start()
        reader = Replay(into_engine(engine), strict=True)
        for path in files:
            reader.file(str(path), lambda _: None)
        assert engine.close(), "not everything was processed"
        assert not engine.stats.get("otel_ext.pipeline.pauses"), "the pipeline started over"
        _sound(detectors)
        folder = Path(name) / "engines" / "main"
        with closing(Catalog(folder / "catalog.sqlite", read_only=True)) as catalog:
            return Run(list(findings(EngineFolder(folder, catalog), endings=True)), tape)


def without(signals: Iterable[str], settings: Settings | None = None) -> Settings:
    """Settings with these rules switched off."""
    base = settings or Settings()
    off = {signal: RuleSettings(mode="off") for signal in signals}
    return msgspec.structs.replace(base, rules={**base.rules, **off})


def refold(tape: Iterable[Event], settings: Settings | None = None) -> list[Row]:
    """What detectors say that are given what is on the tape: the last revision of each finding."""
    signals = Detectors(settings)
    last: dict[str, Finding] = {}
    for event in tape:
        if event.what == "tick":
            found = signals.tick(event.now)
        elif event.what == "end_trace":
            found = signals.end_trace(event.step, event.status, event.now)
        else:
            step = msgspec.msgpack.decode(event.step, type=Step)
            found = (signals.open if event.what == "open" else signals.close)(step, event.now)
        last.update((finding.id, finding) for finding in found)
    _sound(signals)
    return [finding.as_json() for finding in last.values() if not finding.hidden]


def _sound(detectors: Detectors) -> None:
    watch = detectors.heard.watch
    assert not watch.errors, f"rules raised: {watch.errors}"
    assert not watch.off, f"rules were switched off: {watch.off}"
