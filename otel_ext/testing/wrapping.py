"""Files with one behaviour changed: a base to override a single method in.

Law of this file: whatever is not overridden is handed on as it is.
"""

from collections.abc import Callable

from otel_ext.disk import Disk
from otel_ext.files import File, Files


class WrappedFile:
    """Hands every call on to `file`."""

    def __init__(self, file: File) -> None:
        self.file = file

    def append(self, *parts: bytes) -> None:
        """See `File.append`."""
        self.file.append(*parts)

    def read(self, offset: int, size: int) -> bytes:
        """See `File.read`."""
        return self.file.read(offset, size)

    def size(self) -> int:
        """See `File.size`."""
        return self.file.size()

    def truncate(self, size: int) -> None:
        """See `File.truncate`."""
        self.file.truncate(size)

    def sync(self) -> None:
        """See `File.sync`."""
        self.file.sync()

    def allocate(self, size: int) -> None:
        """See `File.allocate`."""
        self.file.allocate(size)

    def settle(self, start: int = 0) -> None:
        """See `File.settle`."""
        self.file.settle(start)

    def close(self) -> None:
        """See `File.close`."""
        self.file.close()


class WrappedFiles:
    """Hands every call on to `files`; each file that is created or opened goes through `wrap`."""

    def __init__(self, files: Files, wrap: Callable[[str, File], File]) -> None:
        self.files = files
        self._wrap = wrap

    def create(self, path: str) -> File:
        """See `Files.create`."""
        return self._wrap(path, self.files.create(path))

    def open(self, path: str, *, read_only: bool = False) -> File:
        """See `Files.open`."""
        return self._wrap(path, self.files.open(path, read_only=read_only))

    def open_disk(self, path: str) -> Disk | None:
        """See `Files.open_disk`."""
        return self.files.open_disk(path)

    def list(self, directory: str) -> list[str]:
        """See `Files.list`."""
        return self.files.list(directory)

    def exists(self, path: str) -> bool:
        """See `Files.exists`."""
        return self.files.exists(path)

    def size(self, path: str) -> int:
        """See `Files.size`."""
        return self.files.size(path)

    def make_directory(self, path: str) -> None:
        """See `Files.make_directory`."""
        self.files.make_directory(path)

    def rename(self, old: str, new: str) -> None:
        """See `Files.rename`."""
        self.files.rename(old, new)

    def remove(self, path: str) -> None:
        """See `Files.remove`."""
        self.files.remove(path)

    def sync_directory(self, path: str) -> None:
        """See `Files.sync_directory`."""
        self.files.sync_directory(path)

    def free_bytes(self, path: str) -> int:
        """See `Files.free_bytes`."""
        return self.files.free_bytes(path)
