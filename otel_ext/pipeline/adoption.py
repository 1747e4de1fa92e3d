"""Adoption: what dead processes left is brought to its end, in place.

Law of this file: a living owner is never robbed, because only a folder whose kernel lock is free is taken;
the sidecar's own folder is never touched, because its sessions go on with its next start. Adopting what is
in order does nothing, so it may be tried at any time and by anybody, also by several at once.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from otel_ext.errors import DamageError, DataFolderInUse, OtelExtError, UnsupportedVersion
from otel_ext.journal import FolderLock
from otel_ext.pipeline.engine import Engine
from otel_ext.pipeline.folder import OWNER
from otel_ext.pipeline.settings import IN_PROCESS, EngineSettings

log = logging.getLogger(__name__)

_FOLDERS: Final = "engines/*/LOCK"


def orphans(data: Path) -> list[str]:
    """Owners below a data folder that died, or could not finish, and that nobody has adopted yet."""
    folders = sorted(lock.parent for lock in data.glob(_FOLDERS))
    return [folder.name for folder in folders if folder.name != OWNER and FolderLock.abandoned(str(folder))]


def adopt(
    data: Path,
    settings: EngineSettings | None = None,
    *,
    refused: set[str] | None = None,
    relay: Callable[[bytes], None] | None = None,
) -> list[str]:
    """Finish what dead owners left: unfinished spans are written, their sessions end, crashed or not.

    Args:
        data: the data folder.
        settings: bounds and intervals; those of an agent's process unless given.
        relay: takes what nobody else can have sent, unfinished spans and findings of these sessions, as
            encoded requests, at least once. (Spans that had ended were the process's own to send.)
        refused: owners that cannot be finished by this program; they are passed over, and added to.

    Returns:
        Owners that were finished. One that cannot be, e.g. for want of space, is logged and left.
    """
    finished = []
    refused = set() if refused is None else refused
    for owner in orphans(data):
        if owner in refused:
            continue
        try:
            engine = Engine(data, settings or IN_PROCESS, owner=owner, relay=relay)
            engine.start()
            if engine.close(over=True):
                finished.append(owner)
        except DataFolderInUse:
            continue  # somebody was faster
        except OtelExtError as error:
            if isinstance(error, DamageError | UnsupportedVersion):
                refused.add(owner)  # trying again changes nothing
            log.warning("%s could not be recovered: %s", data / "engines" / owner, error)
    return finished
