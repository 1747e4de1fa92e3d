"""What is kept of a key of a rule: a few words while it was met once, a track from the second time on.

Law of this file: most keys of a healthy agent are met once only, so that must cost next to nothing. What was
met once becomes, when it is asked for, the very track that it would have been from the start.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from otel_ext.signals.lane.waste import COPY, Ledger, Mark


class Episode(msgspec.Struct, gc=False):
    """The told part of a track: its finding's id, last revision and what triggers the next one."""

    id: str
    revision: int
    severity: str
    confidence: str
    next_count: int


class Track(msgspec.Struct, omit_defaults=True, gc=False):
    """One key of one rule in one lane: what was counted, and the episode if one is open.

    Attributes:
        value: what must stay equal (result or failure), by the rule's choice.
        count: rounds counted.
        score: a counter that a rule may lower; `count` never is.
        round: the last round counted.
        epoch: the lane's write epoch when counting began.
        marks: counted calls, thinned to `Settings.evidence`.
        distinct, tools: different argument digests and tools among the counted calls, a few of each.
        ledger, whole: what thinned marks cost: those that the finding owns, and all of them. None before any
            was; no `whole` while there is no difference.
        vague: the failure says nothing (`Step.vague`).
        absent: digests of different paths that the failures said are not there, a few.
        notes, numbers: what the rule itself must remember of it, a few short byte strings or numbers.
        recovered: the rule knows already that this ended well.
        gap: ns between the two newest calls; `grew` how often it grew.
    """

    tool: str
    value: bytes = b""
    count: int = 0
    score: int = 0
    round: int = -1
    epoch: int = 0
    start: int = 0
    end: int = 0
    last: int = 0
    gap: int = 0
    grew: int = 0
    marks: list[Mark] = []
    distinct: list[bytes] = []
    tools: list[str] = []
    ledger: Ledger | None = None
    whole: Ledger | None = None
    episode: Episode | None = None
    arguments_hash: bytes | None = None
    result_hash: bytes | None = None
    error_hash: bytes | None = None
    error_text: str = ""
    vague: bool = False
    absent: list[bytes] = []
    notes: list[bytes] = []
    numbers: list[int] = []
    recovered: bool = False


class Met(msgspec.Struct, array_like=True, gc=False):
    """A call as those tables remember it that met its key once; one object for all of them."""

    mark: Mark
    tool: str
    arguments_hash: bytes | None
    result_hash: bytes | None
    error_hash: bytes | None
    error_text: str


Once: TypeAlias = tuple[Met, bytes, tuple[bytes, ...]]
"""A key that was met once: the call, and the `value` and the `notes` of the track to be. A tuple:
making one costs a tenth of what anything else does."""

Kept: TypeAlias = Track | Once

NO_NOTES: Final[tuple[bytes, ...]] = ()


def track_of(kept: Kept) -> Track:
    """The track, made of what was met once if it has to be."""
    if isinstance(kept, Track):
        return kept
    met, value, notes = kept
    mark = COPY(met.mark)
    mark.counted = True  # the first occurrence is never waste
    return Track(
        tool=met.tool,
        value=value,
        count=1,
        round=mark.round,
        start=mark.start,
        end=max(0, mark.end),
        last=mark.start,
        marks=[mark],
        distinct=[met.arguments_hash] if met.arguments_hash else [],
        arguments_hash=met.arguments_hash,
        result_hash=met.result_hash,
        error_hash=met.error_hash,
        error_text=met.error_text,
        notes=[*notes],
    )


def notes_of(kept: Kept) -> Sequence[bytes]:
    """The notes, be it met once or more often."""
    return kept.notes if isinstance(kept, Track) else kept[2]
