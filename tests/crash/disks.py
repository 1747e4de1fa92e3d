"""Small disks of our own to fill, to freeze and to cut the power of.

Law of this file: everything is made below a folder of the test's own and is gone afterwards, whatever
happens; where the machine does not allow it (not root, no loop devices), the test is skipped and says why.

`CuttableDisk` is three ext4 file systems inside one another, each an image file on the one below,
attached as a loop device:

    top      the server's file system: its page cache is what a program has written and not synced
    drive    holds top's image: its page cache is the drive's own volatile cache (what top wrote to its
             device and did not flush: a flush of a loop device is an fsync of its image)
    base     holds drive's image: what it was given is on the platter

A cut copies an image at one single instant: the file system that holds it is frozen (FIFREEZE) meanwhile,
which lets no write request to the image be half done and none begin, without stopping the server at any
particular place. Copying top's image is a power cut of a drive that keeps its cache, in any order the
requests were done; copying drive's image is one of a drive that loses it: there only what was flushed, and
whatever the drive had put on the platter anyway, is left. The kernel's own journal recovery then mounts
the copy, as after any power cut.
"""

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_FREEZE, _THAW = 0xC0045877, 0xC0045878
"""FIFREEZE and FITHAW of linux/fs.h."""


def _command(*arguments: str | Path) -> None:
    subprocess.run(list(map(str, arguments)), check=True, capture_output=True, text=True)


def _need(*arguments: str | Path) -> None:
    """Run a command that the machine may not allow; skip the test when it does not."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    try:
        _command(*arguments)
    except FileNotFoundError:
        pytest.skip(f"{arguments[0]} is not installed")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{' '.join(map(str, arguments))} is not possible here: {error.stderr.strip()}")


@contextlib.contextmanager
def _mounted(folder: Path, *arguments: str | Path) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    _need("mount", *arguments, folder)
    try:
        yield folder
    finally:
        _command("umount", folder)


@contextlib.contextmanager
def tmpfs(folder: Path, mib: int) -> Iterator[Path]:
    """A disk of `mib` MiB in memory."""
    with _mounted(folder, "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs") as mounted:
        yield mounted


def make_ext4(image: Path, mib: int) -> None:
    """An image file with an empty ext4, all its blocks allocated."""
    with image.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, mib << 20)
    _need("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", image)


@contextlib.contextmanager
def ext4(folder: Path, image: Path, options: str = "") -> Iterator[Path]:
    """The ext4 in an image, mounted; the kernel repairs what a power cut left."""
    with _mounted(folder, "-o", f"loop,{options}".rstrip(","), image) as mounted:
        yield mounted


def remount(folder: Path, how: str) -> None:
    """Make a mounted file system `ro` or `rw`; CalledProcessError when the kernel refuses."""
    _command("mount", "-o", f"remount,{how}", folder)


@contextlib.contextmanager
def frozen(folder: Path) -> Iterator[None]:
    """No write reaches the file system meanwhile; whoever writes waits."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _FREEZE, 0)
        try:
            yield
        finally:
            fcntl.ioctl(descriptor, _THAW, 0)
    finally:
        os.close(descriptor)


class CuttableDisk:
    """See the module; `folder` is the server's."""

    def __init__(self, base: Path) -> None:
        self._base, self._drive = base / "base", base / "drive"
        self.folder = base / "top"

    def cut(self, to: Path, *, cache_lost: bool) -> None:
        """Copy the image that a power cut at this instant would leave."""
        held, image = (self._base, "drive.img") if cache_lost else (self._drive, "top.img")
        with frozen(held):
            _command("cp", "--sparse=always", "--reflink=never", held / image, to)


@contextlib.contextmanager
def cuttable_disk(base: Path, mib: int = 64, options: str = "") -> Iterator[CuttableDisk]:
    """A disk whose power can be cut; `options` are mount options of the server's file system."""
    disk = CuttableDisk(base)
    make_ext4(base / "base.img", 2 * mib + 64)
    with ext4(base / "base", base / "base.img") as below:
        make_ext4(below / "drive.img", mib + 48)
        with ext4(base / "drive", below / "drive.img") as drive:
            make_ext4(drive / "top.img", mib)
            with ext4(disk.folder, drive / "top.img", options):
                yield disk


@contextlib.contextmanager
def power_back(base: Path, image: Path, *, cache_lost: bool) -> Iterator[Path]:
    """The server's file system as it is found in a copy that `CuttableDisk.cut` made."""
    with contextlib.ExitStack() as stack:
        if cache_lost:
            image = stack.enter_context(ext4(base / "drive-again", image)) / "top.img"
        yield stack.enter_context(ext4(base / "top-again", image))


def fill(ballast: Path, leave: int = 0) -> None:
    """Write until the disk has no byte left, or not more than `leave` bytes."""
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            free = os.statvfs(ballast.parent)
            if leave and free.f_bavail * free.f_frsize <= leave:
                return
            file.write(bytes(64 << 10))
