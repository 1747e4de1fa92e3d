"""Names that must leave the disk, and names that a crash left unfinished.

Law of this file: a name that cannot be taken away stops nobody. It is counted and logged once, stays in
`doomed`, and the next start tries again.
"""

import contextlib
import logging

from otel_ext.files import Files
from otel_ext.sessions.checkpoint import FileState
from otel_ext.sessions.names import PACKED, parse_name
from otel_ext.sessions.pack import TEMPORARY
from otel_ext.sessions.stock import Stock
from otel_ext.stats import Stats

log = logging.getLogger(__name__)


class Doomed:
    """Takes names away; used by the keeper only.

    Attributes:
        gone: names that have left the disk, durably, and still stand in the catalog.
    """

    def __init__(self, files: Files, folder: str, stock: Stock, stats: Stats) -> None:
        self._files, self._folder, self._stock, self._stats = files, folder, stock, stats
        self._stuck: set[str] = set()
        self.gone: list[str] = []

    def sweep(self) -> None:
        """Take doomed names off the disk.

        Raises:
            OSError: their folder could not be synced.
        """
        left = self._stuck.union(self.gone)
        away = [name for name in self._stock.doomed() if name not in left and self._remove(name)]
        if away:
            self._files.sync_directory(self._folder)
            self.gone += away

    def unfinished(self) -> None:
        """Take away compressed files that a crash kept from being true."""
        for name in self._files.list(self._folder):
            plain = name.removesuffix(TEMPORARY).removesuffix(PACKED)
            if plain == name or parse_name(plain) is None:
                continue
            row = self._stock.file(plain)
            untrue = row is not None and row.state is not FileState.PACKED
            if (name.endswith(TEMPORARY) or untrue) and self._remove(name):
                self._stats.add("otel_ext.sessions.swept_files")

    def _remove(self, name: str) -> bool:
        try:
            with contextlib.suppress(FileNotFoundError):
                self._files.remove(f"{self._folder}/{name}")
        except OSError as error:
            self._stuck.add(name)
            self._stats.add("otel_ext.sessions.unremovable_files")
            log.error("%s cannot be removed and is passed over: %s", name, error)  # noqa: TRY400
            return False
        return True
