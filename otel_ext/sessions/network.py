"""Network file systems are refused: SQLite's WAL needs memory that all its users share."""

from pathlib import Path
from typing import Final

from otel_ext.errors import DataFolderError

_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs"}
)


def refuse_network(folder: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """Raise DataFolderError when `folder` lies on a network file system (WAL would corrupt there)."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return  # no such list on this platform; SQLite's own locking errors remain
    path, best = str(folder.resolve()), ("", "")
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, kind)
    if best[1] in _NETWORK:
        raise DataFolderError(
            f"{folder} lies on a network file system ({best[1]} at {best[0]}), where the catalog could be "
            f"corrupted; choose a --data folder on a local disk"
        )
