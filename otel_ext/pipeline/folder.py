"""One engine's folder: who owns it, what lies where, and whether its parts belong together.

    DATA/engines/<owner>/LOCK              the owner's flock
    DATA/engines/<owner>/journal/          segments (`journal`)
    DATA/engines/<owner>/sessions/         session files (`sessions.streams`)
    DATA/engines/<owner>/catalog.sqlite    catalog and checkpoint (`sessions.catalog`)
    DATA/engines/<owner>/quarantine/       records that could not be processed

Law of this file: nothing is opened before it is owned, and a folder of which a part is missing is
refused, never filled in silence: a new catalog over old files would write their names again.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from otel_ext.errors import DataFolderError
from otel_ext.files import Files
from otel_ext.journal import FolderLock, Record, folder_error
from otel_ext.sessions import Catalog, FileRow, committed_lines

OWNER: Final = "main"
"""Name of the sidecar's engine; the engines of agents' processes are `process-1`, `process-2`, ..."""


def default_data() -> Path:
    """`$XDG_STATE_HOME/otel-ext`, or `~/.local/state/otel-ext`."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "otel-ext"


class EngineFolder:
    """An owned folder with its catalog open.

    Attributes:
        path, journal, sessions: folders.
        engine_id: random, given once; makes file ids differ between data folders.
        inherited: the owner before died, or left work undone.

    Raises:
        DataFolderInUse: a live process owns it.
        DataFolderError: it cannot be written, or a part of it is missing.
        UnsupportedVersion: a newer program wrote its catalog.
    """

    def __init__(self, data: Path, files: Files, owner: str = OWNER) -> None:
        self._files = files
        self.path = str(data / "engines" / owner)
        self.journal, self.sessions = f"{self.path}/journal", f"{self.path}/sessions"
        self._lock = FolderLock.acquire(self.path)
        self.inherited = self._lock.inherited
        try:
            files.make_directory(self.sessions)
            files.make_directory(self.journal)
            self.catalog = self._open_catalog(data)
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise folder_error(self.path, error) from error
            raise

    def set_aside(self, record: Record) -> None:
        """Keep a record that could not be processed, for the people who mend this program."""
        folder = f"{self.path}/quarantine"
        self._files.make_directory(folder)
        path = f"{folder}/record-{record.start.segment}-{record.start.offset}.bin"
        if not self._files.exists(path):
            file = self._files.create(path)
            file.append(record.payload)
            file.sync()
            file.close()
            self._files.sync_directory(folder)

    def lines(self, row: FileRow) -> Iterator[bytes]:
        """The committed lines of a session file."""
        return committed_lines(self._files, self.sessions, row)

    def close(self, *, done: bool = False) -> None:
        """Close the catalog and give the folder back; `done` when nothing is left to do in it."""
        self.catalog.close()
        self._lock.release(done=done)

    def abandon_after_fork(self) -> None:
        """For a forked child: let go without a trace."""
        self.catalog.abandon_after_fork()
        self._lock.abandon()

    def _open_catalog(self, data: Path) -> Catalog:
        path = Path(self.path) / "catalog.sqlite"
        old_files = bool(self._files.list(self.sessions))
        missing = DataFolderError(
            f"{path} is missing while session files are in {self.sessions}; restore it, or make it anew "
            f"from them with `otel-ext reindex {data}`"
        )
        if old_files and not path.exists():
            raise missing
        catalog = Catalog(path)
        meta = catalog.meta()
        if "engine_id" not in meta:
            if old_files:
                catalog.close()
                raise missing
            meta = {"engine_id": secrets.token_hex(8), "cursor": [0, 0], "engine_time": 0}
            catalog.save_meta(meta)
            self._files.sync_directory(self.path)
        self.engine_id: str = meta["engine_id"]
        segment = int(meta["cursor"][0])
        newest = max(
            (int(n.split(".")[0]) for n in self._files.list(self.journal) if n.endswith(".journal")),
            default=0,
        )
        if newest < segment:
            catalog.close()
            raise DataFolderError(
                f"the journal in {self.journal} is older than the catalog (segment {newest}, the catalog "
                f"has read {segment}); restore both from the same backup, or choose another --data folder"
            )
        return catalog
