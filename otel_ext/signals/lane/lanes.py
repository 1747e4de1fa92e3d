"""Whose step is this: the lane, even when children arrive before their parents.

Law of this file: a lane is a span id, that of the nearest agent above a step. While that span has not
arrived the lane is the lowest *missing* ancestor, provisional, and its steps are kept (at most
`Settings.pending`); when the missing span arrives and is no agent, they fold into its own parent's lane.
A provisional lane that has spoken, or has outgrown the bound, stays a lane of its own for good.
"""

from typing import Final

import msgspec

from otel_ext.signals.lane.coded import Asked
from otel_ext.signals.lane.compaction import Contexts
from otel_ext.signals.lane.paces import Paces
from otel_ext.signals.lane.rounds import Rounds
from otel_ext.signals.lane.tracks import Kept
from otel_ext.signals.lane.twins import Twins
from otel_ext.signals.lane.usage import Usage
from otel_ext.step import Step

DEEPEST: Final = 64
"""Ancestors walked; also what ends a walk over ids that form a circle."""

MOST_ENDED: Final = 64
"""Ends of agents remembered of one trace."""


class Lane(msgspec.Struct):
    """Everything that is kept of one agent's sequence of steps.

    Attributes:
        order: rank in the order of use, for eviction after a load.
        touched: engine time of the last step.
        emitted: it has spoken, so it can no longer fold.
        began: start of the first step; `last_start` the latest start so far.
        pending: steps kept for folding; None once the lane is what it will be.
        epoch: successful writes so far; `writers` the newest, by call and result.
        tables: rule's table -> key -> what is kept of it, least recently used first.
        rings, numbers: short memories of a rule, by the rule's choice.
        owners: span id -> id of the finding that owns it, oldest first.
        held: keys in its tables when they were counted last.
        seen: traits of all its steps so far (`hears`).
        calls: tool calls so far; `usage` what the model steps used.
        contexts: how large the models' inputs are, and when one was last made smaller.
        asked: code that the model asked to run and has not been told the outcome of.
    """

    trace_id: bytes
    span_id: bytes
    order: int = 0
    touched: int = 0
    session_id: str = ""
    service: str = ""
    agent: str = ""
    emitted: bool = False
    began: int = 0
    last_start: int = 0
    pending: list[Step] | None = None
    epoch: int = 0
    writers: list[bytes] = []
    rounds: Rounds = msgspec.field(default_factory=Rounds)
    tables: dict[str, dict[bytes, Kept]] = {}
    rings: dict[str, list[bytes]] = {}
    numbers: dict[str, list[int]] = {}
    owners: dict[bytes, str] = {}
    seen: int = 0
    calls: int = 0
    held: int = 0
    usage: Usage = msgspec.field(default_factory=Usage)
    contexts: Contexts = msgspec.field(default_factory=Contexts)
    asked: Asked | None = None

    def blank(self) -> "Lane":
        """The same lane with nothing counted, to be filled again in the right order."""
        return Lane(
            trace_id=self.trace_id,
            span_id=self.span_id,
            order=self.order,
            touched=self.touched,
            pending=self.pending,
            held=self.held,
        )


class Trace(msgspec.Struct):
    """The known structure of one trace.

    Attributes:
        parents: span id -> parent id, least recently used first.
        agents: span ids of agents -> the agent's name.
        records: derived ids of calls that log records told -> the span that each was written in, or empty.
        own: provisional lanes that stay lanes of their own.
        root: the root's span id, empty while unknown.
        ended: the ends of agents that ended, ns, oldest first.
        twins: calls of tools and models, by which one that is told twice is recognised.
        shared: the trace's own lane, for what no single agent's lane shows; its span id is empty.
        seen: what agents' lanes did, for the rule that compares lanes: digest -> its own notes.
        paces: which models are at work, and what was measured of the newest calls.
    """

    trace_id: bytes
    order: int = 0
    touched: int = 0
    root: bytes = b""
    parents: dict[bytes, bytes] = {}
    agents: dict[bytes, str] = {}
    records: dict[bytes, bytes] = {}
    own: dict[bytes, bool] = {}
    ended: dict[bytes, int] = {}
    twins: Twins = msgspec.field(default_factory=Twins)
    shared: Lane | None = None
    seen: dict[bytes, list[bytes]] = {}
    paces: Paces = msgspec.field(default_factory=Paces)

    def add(self, step: Step, most: int) -> bool:
        """Remember a span; False when it is known already."""
        if step.span_id in self.parents:
            return False
        self.parents[step.span_id] = step.parent_id
        if step.record:
            self.records[step.span_id] = step.within
        if not step.parent_id and not self.root:
            self.root = step.span_id
        while len(self.parents) > most:
            # A forgotten agent is found again as a missing parent: the same id, the same lane.
            oldest = next(iter(self.parents))
            del self.parents[oldest]
            self.agents.pop(oldest, None)
            self.own.pop(oldest, None)
            self.records.pop(oldest, None)
        return True

    def own_lane(self) -> Lane:
        """The lane of the trace itself."""
        if self.shared is None:
            self.shared = Lane(self.trace_id, b"")
            self.shared.rounds.modelled = True  # what its agents' lanes saw is not missing here
        return self.shared

    def end(self, step: Step) -> None:
        """Remember when an agent ended."""
        self.ended[step.span_id] = step.end
        if len(self.ended) > MOST_ENDED:
            del self.ended[next(iter(self.ended))]

    def knows(self, lane: bytes) -> bool:
        """Whether a lane's span has arrived."""
        return lane in self.parents

    def lane_of(self, step: Step) -> bytes:
        """The lane of a step that is not an agent: nearest agent, else root, else missing ancestor."""
        here, up = step.span_id, step.parent_id
        for _ in range(DEEPEST):
            if not up:
                return here
            if up not in self.parents or up in self.agents or up in self.own:
                return up
            here, up = up, self.parents.pop(up)
            self.parents[here] = up  # used again: structure outlives leaves
        return here

    def above(self, span_id: bytes) -> bytes:
        """The nearest agent above a span, else the missing ancestor; empty above a root."""
        here = self.parents.get(span_id, b"")
        for _ in range(DEEPEST):
            if here in self.agents or here not in self.parents:
                break
            here = self.parents[here]
        return here

    def depth(self, lane: bytes) -> int:
        """How many known agents enclose a lane, itself included."""
        found, here = 0, lane
        for _ in range(DEEPEST):
            if not here:
                break
            found += here in self.agents
            here = self.parents.get(here, b"")
        return found
