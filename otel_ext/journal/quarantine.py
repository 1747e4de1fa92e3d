"""Damaged bytes are set aside for a person to look at; the journal itself is never changed.

Law of this file: a file in `quarantine/` is whole or absent (written under another name, synced, then
renamed), and failing to make one never stops reading: the bytes stay in their segment until released.
"""

import contextlib

from otel_ext.files import File, Files
from otel_ext.journal.frame import Position
from otel_ext.journal.segment import DamagedRegion, Table
from otel_ext.journal.window import read_despite

FOLDER = "quarantine"
"""The folder's name inside the journal's."""

_CHUNK = 1 << 20


def quarantine(files: Files, table: Table, region: DamagedRegion) -> str | None:
    """Copy a damaged region to `quarantine/<segment>-<offset>.bin`, once.

    Returns:
        None, or why it could not be done.
    """
    folder = f"{table.directory}/{FOLDER}"
    path = f"{folder}/{region.segment}-{region.offset}.bin"
    try:
        if files.exists(path):
            return None
        files.make_directory(folder)
        partial = f"{path}.partial"
        if files.exists(partial):
            files.remove(partial)
        with contextlib.ExitStack() as stack:
            source = files.open(table.path(region.segment), read_only=True)
            stack.callback(source.close)
            target = files.create(partial)
            stack.callback(target.close)
            _copy(source, target, region)
            target.sync()
        files.rename(partial, path)
        files.sync_directory(folder)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return None


def _copy(source: File, target: File, region: DamagedRegion) -> None:
    offset, end = region.offset, region.offset + region.length
    while offset < end:
        data = read_despite(source, offset, min(_CHUNK, end - offset))
        if not data:  # the file itself is shorter than it should be
            return
        target.append(data)
        offset += len(data)


class DamageLog:
    """Regions met so far in each segment: analysed and set aside once, then only looked up."""

    def __init__(self, files: Files, table: Table, met: list[DamagedRegion], failures: list[str]) -> None:
        self._files = files
        self._table = table
        self._met = met
        self._failures = failures
        self._by_start: dict[Position, DamagedRegion] = {}
        known, met[:] = list(met), []
        for region in known:
            self.add(region)

    def at(self, place: Position) -> DamagedRegion | None:
        """The known region that begins at `place`."""
        return self._by_start.get(place)

    def add(self, region: DamagedRegion) -> None:
        """Remember a region and set its bytes aside."""
        place = Position(region.segment, region.offset)
        if place in self._by_start:
            return
        self._by_start[place] = region
        self._met.append(region)
        failure = quarantine(self._files, self._table, region)
        if failure:
            self._failures.append(failure)
