"""What the dumps of folds have in common: an array whose first element is a version.

Law of this file: spans that are in no file yet (held or begun) are data, so every later version reads what
an earlier one dumped; only a dump from the future is refused.
"""

import msgspec

from otel_ext.errors import UnsupportedVersion


def version_of(data: bytes) -> int:
    """The version that a dump says it has."""
    version: int = msgspec.msgpack.decode(data, type=list)[0]
    return version


def check_version(data: bytes, known: int, what: str) -> None:
    """Raise UnsupportedVersion when a newer program wrote this dump; `what` names it for people."""
    version = version_of(data)
    if version > known:
        raise UnsupportedVersion(
            f"the checkpoint has {what} in version {version}, this otel-ext reads up to {known}; "
            f"upgrade otel-ext or choose another --data folder"
        )
