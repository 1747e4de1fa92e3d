"""The disk runs full under load and is freed again: nothing acknowledged is lost, and nobody restarts."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.checks import check, refused_start
from tests.crash.disks import ext4, fill, make_ext4, tmpfs
from tests.crash.load import Load, ids
from tests.support import ServerProcess, run, server, until

MIB = 64
CONFIG = """
extensions: {{journal: {{segment_mib: 1, min_free_mib: {min_free}, reserve_mib: 4}}}}
service: {{checkpoint_interval: 200ms}}
"""


KINDS = ["tmpfs", "ext4"]
"""One finds room when it is asked to write, the other may find it later (delayed allocation)."""
on_both = pytest.mark.parametrize("disk", KINDS, indirect=True)
on_ext4 = pytest.mark.parametrize(
    "disk", ["ext4", pytest.param("tmpfs", marks=pytest.mark.long)], indirect=True
)
on_tmpfs = pytest.mark.parametrize(
    "disk", ["tmpfs", pytest.param("ext4", marks=pytest.mark.long)], indirect=True
)


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A small disk of a kind."""
    if request.param == "tmpfs":
        with tmpfs(tmp_path / "disk", MIB) as folder:
            yield folder
    else:
        make_ext4(tmp_path / "disk.img", MIB)
        with ext4(tmp_path / "disk", tmp_path / "disk.img") as folder:
            yield folder


def pauses(process: ServerProcess) -> int:
    """How often the pipeline has said that it pauses."""
    return process.log.read_text().count("the pipeline pauses")


@on_tmpfs
def test_below_min_free_intake_is_busy_and_recovers(disk: Path) -> None:
    """Below `min_free_mib` senders are told to come back; with room again they get through."""
    ballast = disk / "ballast"
    with server(disk, CONFIG.format(min_free=16)) as process:
        with Load(process) as load:
            load.wait_for(100)
            fill(ballast, leave=15 << 20)
            load.wait_for_refusal("bytes are free on the data folder's disk")
            assert load.codes == {"UNAVAILABLE"}
            ballast.unlink()
            load.wait_for(100)
        assert not pauses(process)
        process.stop()
    check(disk, ids(load.acknowledged), ids(load.attempted))


@on_ext4
def test_a_disk_without_a_byte_left_is_survived(disk: Path) -> None:
    """Journal, files and catalog all meet ENOSPC in the middle of writes; freed, everything goes on."""
    ballast = disk / "ballast"
    with server(disk, CONFIG.format(min_free=0)) as process:
        with Load(process) as load:
            for number in range(1, 3):
                load.wait_for(100)
                fill(ballast)
                load.wait_for_refusal("failed with ENOSPC")
                until(lambda n=number: pauses(process) >= n, "the pipeline to meet the full disk")  # type: ignore[misc]
                fill(ballast)
                ballast.unlink()
            load.wait_for(100)
        assert load.codes == {"UNAVAILABLE"}
        process.stop()
    check(disk, ids(load.acknowledged), ids(load.attempted))


@on_tmpfs
@pytest.mark.parametrize("min_free", [0, pytest.param(16, marks=pytest.mark.long)])
def test_killed_on_a_full_disk(disk: Path, min_free: int) -> None:
    """Killed while full, started while full, freed: senders get through again, nothing is lost."""
    ballast = disk / "ballast"
    with server(disk, CONFIG.format(min_free=min_free)) as process:
        with Load(process) as load:
            load.wait_for(100)
            fill(ballast)
            load.wait_for_refusal("")
            process.kill()
            fill(ballast)
            process.start()
            load.wait_for_refusal("bytes are free" if min_free else "ENOSPC")
            ballast.unlink()
            load.wait_for(50)
        process.stop()
    check(disk, ids(load.acknowledged), ids(load.attempted))


@on_tmpfs
def test_stopped_on_a_full_disk(disk: Path) -> None:
    """A polite end while full ends, says what was not saved and with code 2; the next start reads it on."""
    ballast = disk / "ballast"
    with server(disk, CONFIG.format(min_free=0)) as process:
        with Load(process) as load:
            load.wait_for(100)
            fill(ballast)
            load.wait_for_refusal("ENOSPC")
        process.signal(signal.SIGTERM)
        told = "not everything could be saved" in process.log.read_text() if process.wait() == 2 else True
        assert told
        ballast.unlink()
        process.start()
        process.stop()
    check(disk, ids(load.acknowledged), ids(load.attempted))


@on_both
def test_a_first_start_on_a_full_disk_is_refused_and_leaves_nothing_in_the_way(disk: Path) -> None:
    """No room for even an empty folder: one line that says what to do, and a later start works."""
    fill(disk / "ballast")
    assert "free some space" in refused_start(disk / "data")
    (disk / "ballast").unlink()
    with server(disk / "data", CONFIG.format(min_free=0)) as process:
        with Load(process, senders=1) as load:
            load.wait_for(5)
        process.stop()
    check(disk / "data", ids(load.acknowledged), ids(load.attempted))


@on_tmpfs
def test_readers_work_on_a_full_disk(disk: Path) -> None:
    """Whoever looks for what fills the disk can read everything that is stored, server alive or dead."""
    with server(disk, CONFIG.format(min_free=16)) as process:
        with Load(process) as load:
            load.wait_for(50)
        until(
            lambda: sum(s.spans for s in process.looked_up()) == len(ids(load.acknowledged)), "a checkpoint"
        )
        fill(disk / "ballast")
        for command in ("sessions", "signals", "cat", "verify"):
            run(command, disk)
        process.kill()
        for command in ("sessions", "signals", "cat", "verify"):
            run(command, disk)
