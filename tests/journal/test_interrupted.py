"""An exception that a signal handler raises in the middle of an append: what comes after it is safe."""

from pathlib import Path

import pytest

from otel_ext.files import RealFiles
from otel_ext.journal import Journal, Position, scan
from otel_ext.testing import WrappedFile, WrappedFiles


class Interrupted(BaseException):
    """What a signal handler raises."""


class InterruptedFile(WrappedFile):
    """Raises after the bytes are written, as a handler does that runs when the system call returns."""

    def append(self, *parts: bytes) -> None:
        """Write, then raise when it is time."""
        super().append(*parts)
        if b"interrupted" in parts:
            raise Interrupted


@pytest.mark.parametrize("sync", ["always", "interval", "never"])
def test_an_interrupted_append_costs_itself_at_most(tmp_path: Path, sync: str) -> None:
    """Records before and after it are read, also by the next process; nothing looks damaged."""
    folder = str(tmp_path / "journal")
    files = WrappedFiles(RealFiles(), lambda _, file: InterruptedFile(file))
    journal = Journal.open(files, folder, sync=sync)  # type: ignore[arg-type]
    journal.append(1, b"before", items=1)
    with pytest.raises(Interrupted):
        journal.append(1, b"interrupted", items=1)
    journal.append(1, b"after", items=1)
    journal.sync()
    assert [r.payload for r in journal.read(Position(0, 0), 1 << 20)] == [b"before", b"after"]
    journal.abandon()
    again = Journal.open(RealFiles(), folder)
    found: list[bytes] = []
    at = again.start
    while records := again.read(at, 1 << 20):
        found += [r.payload for r in records]
        at = records[-1].end
    assert found == [b"before", b"after"]
    assert scan(RealFiles(), folder).sound
    again.close()
