"""A disk that is full, broken, slow or hung: the program goes on, and nothing that fits in memory is lost."""

import errno
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from otel_ext import AgentSpanProcessor, FileSpanExporter, mark_crashed
from otel_ext.files import File, Files, RealFiles
from otel_ext.sdk import registry, warn
from otel_ext.testing import FailingFiles, WrappedFile, WrappedFiles
from tests.sdk.agents import names, sessions
from tests.support import PATIENCE, until


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Every test gets its warnings, and leaves no recorder behind."""
    warn._last.clear()
    yield
    assert registry.recorders() == []


def traced(data: Path, files: Files, **settings: Any) -> tuple[TracerProvider, Tracer, AgentSpanProcessor]:
    """A provider whose processor writes through `files`."""
    processor = AgentSpanProcessor(data, files=files, **settings)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider, provider.get_tracer("test"), processor


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("sync", ["interval", "always"])
def test_what_a_failing_disk_refuses_waits_and_is_stored(tmp_path: Path, number: int, sync: str) -> None:
    """Everything fails for a while: nothing is lost, nothing raised, each span is stored once, in order."""
    disk = FailingFiles(RealFiles(), on={"append", "sync", "create"}, number=number, lasting=True)
    provider, tracer, processor = traced(tmp_path, disk, sync=sync)
    with tracer.start_as_current_span("root", attributes={"session.id": "s"}):
        tracer.start_span("before").end()
        disk.fail_at = disk.operations + 1
        for step in range(100):
            tracer.start_span(f"step-{step}").end()
        assert provider.force_flush(200) is False
        assert disk.fired > 0
        disk.heal()
        until(provider.force_flush, "the journal to be open again")
        tracer.start_span("after").end()
    provider.shutdown()
    stored = names(tmp_path)
    assert stored == {"root": 1, "before": 1, "after": 1, **{f"step-{step}": 1 for step in range(100)}}
    assert sessions(tmp_path)["s"]["state"] == "completed"
    assert processor.stats.get("otel_ext.sdk.spans.dropped") == 0


def test_a_full_disk_is_seen_before_it_is_full(tmp_path: Path) -> None:
    """Below `min_free_mib` spans wait; the exporter says FAILURE, and they are stored when there is room."""

    class Filling(WrappedFiles):
        free = 1 << 40

        def free_bytes(self, path: str) -> int:
            return self.free

    disk = Filling(RealFiles(), lambda path, file: file)
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    exporter = FileSpanExporter(tmp_path, files=disk)
    tracer = provider.get_tracer("test")
    for step in range(3):
        tracer.start_span(f"step-{step}").end()
    first, second, third = memory.get_finished_spans()
    assert exporter.export([first]) is SpanExportResult.SUCCESS
    disk.free = 0
    until(lambda: exporter.export([first]) is SpanExportResult.FAILURE, "the full disk to be noticed")
    assert exporter.export([second]) is SpanExportResult.FAILURE
    assert exporter.force_flush(100) is False
    disk.free = 1 << 40
    until(exporter.force_flush, "room to be noticed")
    assert exporter.export([third]) is SpanExportResult.SUCCESS
    exporter.shutdown()
    provider.shutdown()
    assert names(tmp_path) == {"step-0": 1, "step-1": 1, "step-2": 1}


def test_memory_is_bounded_and_what_is_evicted_is_counted(tmp_path: Path) -> None:
    """The oldest go first; every span is either stored or counted as dropped."""
    disk = FailingFiles(RealFiles(), on={"append", "create"}, number=errno.ENOSPC, lasting=True)
    provider, tracer, processor = traced(tmp_path, disk, queue_mib=1)
    tracer.start_span("first").end()
    disk.fail_at = disk.operations + 1
    for step in range(3000):
        tracer.start_span(f"step-{step}", attributes={"text": "x" * 500}).end()
    disk.heal()
    until(provider.force_flush, "the journal to be open again")
    provider.shutdown()
    dropped, stored = processor.stats.get("otel_ext.sdk.spans.dropped"), names(tmp_path)
    assert dropped > 0
    assert set(stored.values()) == {1}
    assert len(stored) + dropped == 3001
    assert "step-2999" in stored
    assert "step-0" not in stored


class Gate(WrappedFiles):
    """A disk whose journal appends hang while the gate is shut."""

    def __init__(self) -> None:
        super().__init__(RealFiles(), self._gated)
        self.open_gate = threading.Event()
        self.open_gate.set()
        self.waiting = 0

    def _gated(self, path: str, file: File) -> File:
        gate = self

        class Gated(WrappedFile):
            def append(self, *parts: bytes) -> None:
                gate.waiting += not gate.open_gate.is_set()
                assert gate.open_gate.wait(PATIENCE)
                super().append(*parts)

        return Gated(file) if path.endswith(".journal") else file


def test_a_hung_disk_costs_one_call_at_most(tmp_path: Path) -> None:
    """One thread hangs in its append; all others go on, and everything is stored when the disk is back."""
    disk = Gate()
    provider, tracer, processor = traced(tmp_path, disk)
    tracer.start_span("before").end()
    disk.open_gate.clear()
    stuck = threading.Thread(target=lambda: tracer.start_span("stuck").end())
    stuck.start()
    until(lambda: disk.waiting > 0, "the hanging append")
    done = threading.Event()

    def work() -> None:
        for step in range(500):
            tracer.start_span(f"step-{step}").end()
        done.set()

    threading.Thread(target=work).start()
    assert done.wait(PATIENCE / 2)  # 1,000 calls of 0.1 s each would not be through by then
    assert provider.force_flush(100) is False
    assert stuck.is_alive()
    disk.open_gate.set()
    stuck.join()
    until(provider.force_flush, "the queue to be empty")
    provider.shutdown()
    assert names(tmp_path) == {"before": 1, "stuck": 1, **{f"step-{step}": 1 for step in range(500)}}
    assert processor.stats.get("otel_ext.sdk.disk.slow") > 0


def test_a_slow_disk_is_left_to_the_keeper(tmp_path: Path) -> None:
    """After one slow append the program's threads do not append themselves until the disk is quick again."""

    class Slow(WrappedFiles):
        slow = False
        threads: list[str] = []  # noqa: RUF012

        def __init__(self) -> None:
            super().__init__(RealFiles(), self._slowed)

        def _slowed(self, path: str, file: File) -> File:
            disk = self

            class Slowed(WrappedFile):
                def append(self, *parts: bytes) -> None:
                    if disk.slow:
                        disk.threads.append(threading.current_thread().name)
                        time.sleep(0.15)  # this is what is tested, no synchronisation
                    super().append(*parts)

            return Slowed(file) if path.endswith(".journal") else file

    disk = Slow()
    provider, tracer, _ = traced(tmp_path, disk)
    tracer.start_span("before").end()
    disk.slow = True
    for step in range(4):
        tracer.start_span(f"step-{step}").end()
    assert provider.force_flush()
    assert disk.threads.count(threading.current_thread().name) == 1
    assert disk.threads.count("otel-ext-keeper") == 7
    disk.slow = False
    tracer.start_span("after").end()
    assert provider.force_flush()
    provider.shutdown()
    assert sum(names(tmp_path).values()) == 6


def test_a_folder_that_cannot_be_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One clear warning, the program goes on, what could not be kept is counted."""
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING, "otel_ext"):
        provider, tracer, processor = traced(tmp_path / "file" / "data", RealFiles())
        for _ in range(20):
            tracer.start_span("x").end()
        assert provider.force_flush() is False
        assert mark_crashed("s") is False
        provider.shutdown()
    folder = [record.getMessage() for record in caplog.records if "folder" in record.getMessage()]
    assert len(folder) == 1
    assert str(tmp_path / "file") in folder[0]
    assert processor.stats.get("otel_ext.sdk.spans.dropped") == 20


def test_a_folder_that_can_be_used_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again, and what waited is stored."""
    monkeypatch.setattr("otel_ext.sdk.keeper._FOLDER_AGAIN", 1)
    blocker = tmp_path / "data"
    blocker.write_text("")
    provider, tracer, processor = traced(blocker, RealFiles())
    for step in range(20):
        tracer.start_span(f"step-{step}").end()
    assert provider.force_flush(100) is False
    blocker.unlink()
    until(provider.force_flush, "the folder to be used")
    provider.shutdown()
    assert len(names(blocker)) == 20
    assert processor.stats.get("otel_ext.sdk.spans.dropped") == 0
