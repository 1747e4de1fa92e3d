"""The power of the disk under the server is cut under load: what was acknowledged is there afterwards.

How the cut is made, and why the picture is an honest one, is told in `disks`: it is taken at one instant
in the middle of whatever the server is doing, and holds nothing that only a page cache held, be it of the
journal, of a session file or of SQLite. A span counts as acknowledged when its OK was back before the
instant. The control runs show that it is a real loss: a server that does not sync loses acknowledged
spans, and so does one whose file system does not flush the drive's cache.
"""

import random
import threading
from pathlib import Path

import pytest

from tests.crash.checks import check, span_ids, verified
from tests.crash.disks import cuttable_disk, power_back
from tests.crash.load import Load, ids
from tests.support import server

CONFIG = """
extensions: {{journal: {{sync: {sync}, sync_interval: 1h, segment_mib: 1, min_free_mib: 1}}}}
exporters: {{file: {{rotation: {{max_megabytes: 1}}}}}}
service: {{checkpoint_interval: {checkpoint}}}
"""


CONTROLS = 3
"""Cuts of a control: the kernel may have written everything of its own accord right before one of them."""


def recover(data: Path, config: str) -> None:
    """Start a server on what the power cut left, let it read on, stop it."""
    with server(data, config) as process:
        process.stop()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("cuts", "seed"),
    [
        (4, 1),
        pytest.param(20, 2, marks=pytest.mark.long, id="slice"),
        pytest.param(150, 3, marks=pytest.mark.long),
    ],
)
def test_what_was_acknowledged_survives_a_power_cut(tmp_path: Path, cuts: int, seed: int) -> None:
    """Random instants under load, with the drive's cache kept and lost: acknowledged is stored, once."""
    rng = random.Random(seed)
    config = CONFIG.format(sync="always", checkpoint="200ms")
    seen = 0
    while cuts:  # the image is small: a new disk before it is full
        round_path = tmp_path / f"round-{cuts}"
        round_path.mkdir()
        pictures = []
        with cuttable_disk(round_path) as disk, server(disk.folder, config) as process:
            pid = process.process.pid if process.process else 0
            with Load(process) as load:
                for number in range(min(cuts, 10)):
                    load.wait_for(rng.randrange(1, 60))
                    threading.Event().wait(rng.uniform(0.0, 0.05))  # the moment of the cut is what is random
                    picture, cache_lost = round_path / f"cut-{number}.img", bool(number % 2)
                    before = ids(load.acknowledged.copy())
                    disk.cut(picture, cache_lost=cache_lost)
                    pictures.append((picture, cache_lost, before, ids(load.attempted.copy())))
            process.stop()
            check(disk.folder, ids(load.acknowledged), ids(load.attempted))
        for picture, cache_lost, before, attempted in pictures:
            with power_back(round_path, picture, cache_lost=cache_lost) as data:
                # Whoever comes next can tell that its owner did not finish.
                assert (data / "engines/main/LOCK").read_text() == f"{pid}\n"
                recover(data, config)
                check(data, before, attempted)
            seen += len(before)
            picture.unlink()
        cuts -= len(pictures)
    assert seen


@pytest.mark.parametrize(
    ("sync", "cache_lost"),
    [
        ("never", False),
        ("interval", True),
        pytest.param("never", True, marks=pytest.mark.long),
        pytest.param("interval", False, marks=pytest.mark.long),
    ],
)
def test_control_what_was_not_synced_is_lost(tmp_path: Path, sync: str, cache_lost: bool) -> None:
    """Control: without a sync before OK the same cut loses acknowledged spans; the rest is in order."""
    config = CONFIG.format(sync=sync, checkpoint="1h")
    cuts = []
    with cuttable_disk(tmp_path) as disk, server(disk.folder, config) as process, Load(process) as load:
        for number in range(CONTROLS):
            load.wait_for(50)
            picture, before = tmp_path / f"cut-{number}.img", ids(load.acknowledged.copy())
            disk.cut(picture, cache_lost=cache_lost)
            cuts.append((picture, before, ids(load.attempted.copy())))
    lost = 0
    for picture, before, attempted in cuts:
        with power_back(tmp_path, picture, cache_lost=cache_lost) as data:
            recover(data, config)
            verified(data)
            stored, _ = span_ids(data)
        lost += len(before - stored.keys())
        assert set(stored.values()) <= {1}
        assert stored.keys() <= attempted
    assert lost


def test_control_a_drive_that_is_not_flushed_forgets(tmp_path: Path) -> None:
    """Control: with the file system's flushes turned off, a drive that loses its cache loses spans."""
    config = CONFIG.format(sync="always", checkpoint="200ms")
    cuts = []
    with (
        cuttable_disk(tmp_path, options="barrier=0") as disk,
        server(disk.folder, config) as process,
        Load(process) as load,
    ):
        for number in range(CONTROLS):
            load.wait_for(50)
            picture, before = tmp_path / f"lost-{number}.img", ids(load.acknowledged.copy())
            disk.cut(picture, cache_lost=True)
            cuts.append((picture, before))
        before = ids(load.acknowledged.copy())
        # Last: what freezes the drive's file system makes it write down its cache.
        disk.cut(tmp_path / "kept.img", cache_lost=False)
        attempted = ids(load.attempted.copy())
    with power_back(tmp_path, tmp_path / "kept.img", cache_lost=False) as data:
        recover(data, config)
        check(data, before, attempted)
    lost = 0
    for picture, promised in cuts:
        with power_back(tmp_path, picture, cache_lost=True) as data:
            kept = span_ids(data)[0].keys() if list(data.glob("engines/*/catalog.sqlite")) else set()
            lost += len(promised - kept)
    assert lost
