"""The file system turns read-only under load, as the kernel makes it after an error.

An administrator's `mount -o remount,ro` is refused by the kernel while any file is open for writing, and the
server always has some, so that case is no case (tried: plain, per mount point by `bind,ro`, and by setting
the block device read-only, which ext4 does not notice). What does happen is `errors=remount-ro`: ext4 stops
all writes at an error, here one triggered by its own switch in /sys/fs/ext4. Such a file system cannot be
made writable again before it is unmounted, so a restart is needed, and must be all that is needed.

Senders rest at the instant of the error: ext4 answers an fdatasync that meets it with success now and then
although the journal is aborted (a plain program that appends and syncs lost its last record in 2 of 30
runs on Linux 6.18), which no program can know.
"""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.crash.checks import check, refused_start
from tests.crash.disks import ext4, make_ext4, remount, tmpfs
from tests.crash.load import Load, ids
from tests.support import run, server

CONFIG = """
extensions: {journal: {segment_mib: 1, min_free_mib: 1}}
service: {checkpoint_interval: 200ms}
"""
READERS = ("sessions", "signals", "cat", "verify")


def break_down(folder: Path) -> None:
    """Make the ext4 that is mounted there find an error."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    device = next(Path(mount[0]).name for mount in reversed(mounts) if mount[1] == str(folder))
    switch = Path("/sys/fs/ext4", device, "trigger_fs_error")
    if not switch.exists():
        pytest.skip(f"this kernel has no {switch}")
    switch.write_text("a test\n")


def test_a_file_system_that_the_kernel_makes_read_only(tmp_path: Path) -> None:
    """Senders are told to retry, readers read, the end says what is not saved; mounted anew, all is there."""
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    make_ext4(image, 64)
    with ext4(folder, image, "errors=remount-ro"), server(folder, CONFIG) as process:
        with Load(process) as before:
            before.wait_for(100)
        break_down(folder)
        with Load(process, first=before.attempted[-1] + 10) as meanwhile:
            meanwhile.wait_for_refusal("the journal is stopped")
        assert meanwhile.codes == {"UNAVAILABLE"}
        assert not meanwhile.acknowledged
        for command in READERS:
            run(command, folder)
        process.signal(signal.SIGTERM)
        assert process.wait() == 2
        assert "the next start reads it on" in process.log.read_text()
    with ext4(folder, image), server(folder, CONFIG) as process:
        with Load(process, first=meanwhile.attempted[-1] + 10) as again:
            again.wait_for(20)
        process.stop()
        attempted = [*before.attempted, *meanwhile.attempted, *again.attempted]
        check(folder, ids([*before.acknowledged, *again.acknowledged]), ids(attempted))


def test_a_remount_under_a_live_server_is_refused_and_harmless(tmp_path: Path) -> None:
    """The kernel keeps a disk writable while a server writes; the server does not even notice."""
    with tmpfs(tmp_path / "disk", 64) as folder, server(folder, CONFIG) as process:
        with Load(process) as load:
            load.wait_for(50)
            with pytest.raises(subprocess.CalledProcessError, match="exit status 32"):
                remount(folder, "ro")
            load.wait_for(50)
        assert not load.refusals
        process.stop()
        check(folder, ids(load.acknowledged), ids(load.attempted))


@pytest.mark.parametrize("killed", [False, True])
def test_a_folder_on_a_read_only_disk_is_read_and_not_served(tmp_path: Path, killed: bool) -> None:
    """Readers read it, however its server ended; a server is refused with advice until it is writable."""
    with tmpfs(tmp_path / "disk", 64) as folder, server(folder, CONFIG) as process:
        with Load(process) as load:
            load.wait_for(50)
        if killed:
            process.kill()
        else:
            process.stop()
        remount(folder, "ro")
        for command in READERS:
            run(command, folder)
        text = refused_start(folder)
        assert "read-only" in text
        assert "remount" in text
        remount(folder, "rw")
        process.start()
        process.stop()
        check(folder, ids(load.acknowledged), ids(load.attempted))
