"""A call that is told twice: two instrumentations, an MCP client and its server, a wrapper.

Here a call of two *spans* of one trace is known by its shape; tellings that name the same call by an id, log
records included, are put together before, by `pipeline.tellings`.

Law of this file: one call, several spans, one inside the other, no agent between them, and nothing known of
the one that differs in the other. A span has one twin inside it at most, which may have one in turn: what
wraps three calls is no twin of any.
"""

from collections.abc import Container, Mapping
from typing import Final

import msgspec

from otel_ext.step import Kind, Step

NESTED: Final = 4
"""Spans between a call and its twin around it that are looked through."""

MOST: Final = 64
"""Calls remembered of one trace."""

_LLM = Kind.LLM  # looked up once: a member of an enum costs a call


class Told(msgspec.Struct, array_like=True, gc=False):
    """A call as its twin is recognised by.

    Attributes:
        twin: its twin has been found.
    """

    kind: Kind
    name: str
    arguments: bytes | None
    response: str
    twin: bool = False

    def same(self, other: "Told") -> bool:
        """Whether the other may be this call once more."""
        if self.twin or other.twin or other.kind is not self.kind:
            return False
        if self.kind is _LLM:
            # Of models, names differ between a request and its response.
            return not (self.response and other.response) or self.response == other.response
        known = self.arguments is not None and other.arguments is not None
        return self.name == other.name and (not known or self.arguments == other.arguments)


class Twins(msgspec.Struct):
    """The newest calls of a trace.

    Attributes:
        told: by span id, oldest first.
        inside: by the id of a span that has not come and that stands around one of them.
    """

    told: dict[bytes, Told] = {}
    inside: dict[bytes, Told] = {}

    def has(self, step: Step, parents: Mapping[bytes, bytes], agents: Container[bytes]) -> bool:
        """Whether a call was told already; what comes first is the call, what comes later its twin.

        Args:
            step: a call of a tool or a model.
            parents: span id -> parent id.
            agents: span ids of agents.
        """
        mine = Told(step.kind, step.name, step.arguments_hash, step.response_id)
        inner = self.inside.pop(step.span_id, None)
        if inner is not None and inner.same(mine):
            inner.twin = mine.twin = True
            self._keep(self.told, step.span_id, mine)
            return True
        here = step.parent_id
        for _ in range(NESTED):
            if not here or here in agents:
                break
            if (outer := self.told.get(here)) is not None:
                if outer.same(mine):
                    outer.twin = True
                    self._keep(self.told, step.span_id, mine)  # an agent's call, its client's, its server's
                    return True
                break
            if (up := parents.get(here)) is None:
                self._keep(self.inside, here, mine)
                break
            here = up
        self._keep(self.told, step.span_id, mine)
        return False

    def _keep(self, table: dict[bytes, Told], key: bytes, told: Told) -> None:
        table[key] = told
        if len(table) > MOST:
            del table[next(iter(table))]
