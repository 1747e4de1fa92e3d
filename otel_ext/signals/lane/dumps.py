"""The detectors' state as bytes, part by part.

Law of this file: a part is written with the version of its meaning; what another version wrote is refused,
never guessed at.
"""

from typing import Final, TypeAlias

import msgspec

from otel_ext.errors import UnsupportedVersion
from otel_ext.signals.lane.baselines import Baseline
from otel_ext.signals.lane.lanes import Lane, Trace

VERSION: Final = 7
"""Of the dumped state; grows with every change of a struct that is dumped or of what its fields mean."""

LaneKey: TypeAlias = tuple[bytes, bytes]
"""Trace id and span id of a lane."""

State: TypeAlias = Lane | Trace | Baseline

_KINDS: Final[dict[str, type[State]]] = {"lane": Lane, "trace": Trace, "baseline": Baseline}


class _Dumped(msgspec.Struct, array_like=True):
    version: int
    body: msgspec.Raw


def name_of(key: bytes | str | LaneKey) -> str:
    """The stable name of a part: a trace by its id, a baseline by its key, a lane by both its ids."""
    if isinstance(key, tuple):
        return f"lane:{key[0].hex()}:{key[1].hex()}"
    return f"baseline:{key}" if isinstance(key, str) else f"trace:{key.hex()}"


def encode(state: State) -> bytes:
    """A part with its version."""
    return msgspec.msgpack.encode(_Dumped(VERSION, msgspec.Raw(msgspec.msgpack.encode(state))))


def decode(name: str, data: bytes) -> State:
    """A part back.

    Raises:
        UnsupportedVersion: another version wrote it.
    """
    dumped = msgspec.msgpack.decode(data, type=_Dumped)
    if dumped.version != VERSION:
        raise UnsupportedVersion(f"detector state has version {dumped.version}, this program reads {VERSION}")
    return msgspec.msgpack.decode(dumped.body, type=_KINDS[name.partition(":")[0]])
