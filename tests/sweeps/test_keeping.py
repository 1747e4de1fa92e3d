"""Crashes go through fold and keeper together: sessions are removed and come back meanwhile (L1-L5)."""

import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from otel_ext.testing import CrashableFiles, PowerCut
from tests.builders import START, request, span
from tests.sweeps.conftest import Watch
from tests.sweeps.test_crashes import KILL, STRICT, after
from tests.sweeps.workload import SECOND, SETTINGS, Action, Machine

pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")

KEEPING = msgspec.structs.replace(
    SETTINGS, idle_timeout=5.0, retention_age=25.0, compress_after=10.0, turn_files=1, segment_bytes=1 << 20
)


def script() -> list[Action]:
    """Sessions of one span each that end, are compressed and removed, and come back right then."""
    actions, now = [], START
    for number in range(12):
        body = request(span(number % 4 + 1, number + 1, session__id=f"s{number % 2}"))
        actions += [Action(now, "send", body), Action(now, "step")]
        for pause in (2, 4, 6, 6):  # a checkpoint while the session is open; then it ends
            now += pause * SECOND
            actions += [Action(now, "pass"), Action(now, "step"), Action(now, "step")]
    return [*actions, Action(now + 60 * SECOND, "pass"), Action(now + 60 * SECOND, "stop")]


def played(machine: Machine, watched: Watch) -> Machine:
    """Play to the end."""
    watched(machine.home, machine.disk)
    machine.play()
    return machine


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.long)])
def test_files_are_kept_while_the_power_goes(
    ram: Path, watched: Watch, points: Counter[str], stride: int
) -> None:
    """At each operation: what is received is stored, present or expired, and no record is set aside."""
    actions = script()
    calm = played(Machine(ram / "calm", CrashableFiles(), actions, settings=KEEPING), watched)
    found = calm.stats.snapshot()
    assert found["otel_ext.sessions.expired_files"] > 5
    assert found["otel_ext.sessions.compressed_files"] > 5
    for point in range(1, calm.disk.operations + 1, stride):
        machine = Machine(ram / "m", CrashableFiles(crash_at=point), actions, settings=KEEPING)
        machine.revived(machine.disk, None)
        with pytest.raises(PowerCut):
            played(machine, watched)
        fate = (STRICT, KILL, point)[point % 3]
        again = machine.revived(after(machine.disk, fate, point), machine.die())
        while again.actions[again.at].kind == "step":
            again.at += 1  # the next request is there before the new life gets to work
        report = played(again, watched).outcome().report
        assert report["ok"], (point, report)
        assert (report["lost"], report["waiting"]) == ({}, 0)
        assert report["stored"] == 12
        assert report["received"] == report["stored"] + report["duplicate"]
        assert again.stats.get("otel_ext.pipeline.failed_records") == 0
        points["crash"] += 1
