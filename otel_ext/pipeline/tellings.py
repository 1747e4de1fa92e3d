"""What several tell of one call is put together: a call is one step, however often it was told.

Law of this file: nothing is dropped that may be a call of its own. Two tellings are of one call only where
they name the same call (its id, or the response's), lie in the same session, overlap in time, and differ in
nothing that both know. Equal names and arguments alone never make two calls one: that is what a loop is.
(Spans inside one another, as a client's and its server's, are known for one call by `signals.twins`.)

* A *view* (`Step.view`) tells more of the call that its parent is, and is gone.
* A span inside a span of the same tool adds to the outer one what that one does not know.
* Of a log record and a span the span stays; of two spans the earlier.
* A user's message among log records goes with the session's next model call (precision rule 9).

Times of log records are ends read off another clock tick, so they may be off by `SLACK`.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from otel_ext.pipeline.dumps import check_version
from otel_ext.pipeline.reorder import OPEN, Happening
from otel_ext.step import Kind, Step

VERSION = 1

SLACK: Final = 2_000_000_000
"""ns by which a log record and a span of one call may miss one another."""
MOST: Final = 1024
"""Calls remembered, the newest; another telling comes within seconds."""
_NESTED: Final = 4
"""Spans between a call and the same tool's call around it that are looked through."""

_OTHER, _TOOL, _LLM = Kind.OTHER, Kind.TOOL, Kind.LLM

_CALL: Final = (
    *("arguments_hash", "relaxed_hash", "subject", "result_hash", "result_relaxed", "result_size"),
    *("call_id", "response_id", "issued", "said", "handoff", "state", "user_turn", "user_turns", "waiting"),
    *("input_tokens", "output_tokens", "cached_tokens", "created_tokens", "reasoning_tokens"),
    *("cost", "first_token", "agent_name", "agent_id"),
)
_FAILURE: Final = ("error", "error_hash", "error_text", "transient", "vague", "invalid", "absent")


class _Known(msgspec.Struct, array_like=True):
    span_id: bytes
    start: int
    end: int
    name: str
    arguments: bytes | None
    record: bool


class _Dump(msgspec.Struct, array_like=True):
    version: int
    known: dict[bytes, _Known]
    turns: dict[str, tuple[int, bytes]]


class Tellings:
    """The newest calls of all sessions; used by the pipeline's thread only."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}  # the oldest first
        self._turns: dict[str, tuple[int, bytes]] = {}
        self._changed = False
        self.merged = 0
        """Tellings that were found to be of a call that is told already."""

    def put_together(self, happenings: Iterable[Happening], session: str) -> Iterator[Happening]:
        """The happenings of one trace, in order, each call told once.

        Args:
            happenings: what is due.
            session: the session that the trace belongs to.
        """
        ready = list(happenings)
        steps = {h.step.span_id: h.step for h in ready if h.phase == OPEN}
        gone: set[bytes] = set()
        for step in steps.values():
            if step.view:
                self._view(step, steps, gone)
            elif step.kind is _TOOL and (outer := _around(step, steps)) is not None:
                fill(outer, step)
        for step in steps.values():
            if step.record and step.kind is _OTHER:
                self._turn(step, session, gone)
            elif step.span_id not in gone:
                self._call(step, step.session_id or session, steps, gone)
        for happening in ready:
            step = happening.step
            if step.span_id in gone:
                if step.record:
                    continue  # there is no such span
                step.kind = _OTHER
            yield happening

    def _view(self, step: Step, steps: dict[bytes, Step], gone: set[bytes]) -> None:
        gone.add(step.span_id)
        self.merged += 1
        whole = steps.get(step.parent_id)
        if whole is not None and whole.kind is step.kind and not whole.view:
            fill(whole, step)

    def _turn(self, step: Step, session: str, gone: set[bytes]) -> None:
        gone.add(step.span_id)
        if step.user_turn is not None:
            self._turns.pop(session, None)
            self._turns[session] = (step.start, step.user_turn)
            self._changed = True
            while len(self._turns) > MOST:
                del self._turns[next(iter(self._turns))]

    def _call(self, step: Step, session: str, steps: dict[bytes, Step], gone: set[bytes]) -> None:
        if step.kind is _LLM and step.user_turns is None and session in self._turns:
            since, turn = self._turns[session]
            if step.end >= since:
                step.user_turns, step.user_turn = 1, turn
                del self._turns[session]
                self._changed = True
        for key in _keys(step, session):
            known = self._known.get(key)
            if known is None or known.span_id == step.span_id or not _same(known, step):
                self._remember(key, step)
                continue
            self.merged += 1
            first = steps.get(known.span_id)
            if first is None or first.span_id in gone:
                gone.add(step.span_id)
            elif first.record and not step.record:
                fill(step, first)
                gone.add(first.span_id)
                self._remember(key, step)
            else:
                fill(first, step)
                gone.add(step.span_id)
            break

    def _remember(self, key: bytes, step: Step) -> None:
        self._known.pop(key, None)
        self._known[key] = _Known(
            step.span_id, step.start, step.end, step.name, step.arguments_hash, step.record
        )
        self._changed = True
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    def dump(self) -> bytes | None:
        """The state; None when it is as it was at the last dump."""
        if not self._changed:
            return None
        self._changed = False
        return msgspec.msgpack.encode(_Dump(VERSION, self._known, self._turns))

    def load(self, data: bytes) -> None:
        """Restore a dump.

        Raises:
            UnsupportedVersion: a newer version wrote it.
        """
        if data:
            check_version(data, VERSION, "calls that were told")
            dumped = msgspec.msgpack.decode(data, type=_Dump)
            self._known, self._turns = dumped.known, dumped.turns


def fill(whole: Step, part: Step) -> None:
    """Add what another telling of the same call knows and this one does not."""
    if whole.arguments_hash is None and part.arguments_hash is not None:
        whole.effect = part.effect
    for name in _CALL:
        if getattr(whole, name) in {None, "", 0, ()}:
            setattr(whole, name, getattr(part, name))
    if part.error and not (whole.error and whole.error_hash):
        for name in _FAILURE:
            setattr(whole, name, getattr(part, name))


def _around(step: Step, steps: dict[bytes, Step]) -> Step | None:
    """The same tool's call around this one, with no other call and no agent between them."""
    up = step.parent_id
    for _ in range(_NESTED):
        outer = steps.get(up)
        if outer is None or outer is step:
            return None
        if outer.kind is not _OTHER:
            known = step.arguments_hash is not None and outer.arguments_hash is not None
            same = outer.kind is step.kind and outer.name == step.name
            differ = known and step.arguments_hash != outer.arguments_hash
            return outer if same and not differ and not outer.view else None
        up = outer.parent_id
    return None


def _keys(step: Step, session: str) -> Iterator[bytes]:
    """What a call may be recognised by: the ids that producers give it, of a model call also its usage."""
    if step.kind is _TOOL and step.call_id:
        yield _digest("tool", session, step.call_id)
    elif step.kind is _LLM:
        if step.response_id:
            yield _digest("model", session, step.response_id)
        if step.input_tokens and step.output_tokens:
            yield _digest("usage", session, f"{step.input_tokens} {step.output_tokens} {step.error}")


def _digest(*parts: str) -> bytes:
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).digest()[:16]


def _same(known: _Known, step: Step) -> bool:
    """Whether a call that was told is this one: at the same time, and nothing known of both differs."""
    if step.kind is _LLM and not (known.record ^ step.record):
        # Two spans of a model's call may be a retry and its first attempt; usage alone is no identity.
        return bool(step.response_id) and known.start <= step.end and step.start <= known.end
    slack = SLACK if known.record or step.record else 0
    if known.start > step.end + slack or step.start > known.end + slack:
        return False
    if step.kind is _LLM:
        return True
    both = known.arguments is not None and step.arguments_hash is not None
    return known.name == step.name and (not both or known.arguments == step.arguments_hash)
