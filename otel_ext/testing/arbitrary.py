"""Any steps at all, and steps of a busy agent: what a detector must survive, made from a seed.

Law of this file: every field of a `Step` takes every kind of value that it may have, the ones nobody thought
of included: times that are unknown or run back, parents that are missing or form a circle, ids seen before.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from random import Random
from typing import Any, Final

from otel_ext.step import Effect, Kind, Said, Step, Subject

SECOND: Final = 1_000_000_000
TRACES: Final = (b"an agent's trace", b"another's trace.")
_ROOTS: Final = tuple(number.to_bytes(8, "big") for number in range(1, 8))


def digest(of: object) -> bytes:
    """16 bytes that stand for anything."""
    return blake2b(repr(of).encode(), digest_size=16).digest()


def _one(*values: Any) -> Callable[[Random], Any]:
    return lambda chance: chance.choice(values)


_DIGEST: Final = _one(None, digest(0), digest(1), digest(2))
_TOKENS: Final = _one(None, 0, 50, 9_000, 150_000, 2**63)


def _subject(chance: Random) -> Subject | None:
    if chance.random() < 0.4:
        return None
    start = chance.choice((-1, -1, 0, 10, 40))
    sketch = bytes(chance.choice((0, 1)) for _ in range(chance.choice((0, 64, 128))))
    return Subject(
        resource=_DIGEST(chance),
        first=start,
        last=start + chance.choice((-1, 0, 30)) if start >= 0 else -1,
        content=_DIGEST(chance),
        partial=chance.random() < 0.3,
        place=_DIGEST(chance),
        asks=chance.random() < 0.3,
        adds=chance.random() < 0.3,
        unchanged=chance.random() < 0.2,
        verifies=chance.random() < 0.3,
        page=chance.choice((-1, 0, 1, 2, 3)),
        words=sketch,
        result_words=sketch if chance.random() < 0.5 else b"",
    )


def _said(chance: Random) -> Said | None:
    if chance.random() < 0.3:
        return None
    return Said(
        hash=_DIGEST(chance),
        words=chance.choice((0, 3, 40, 4000)),
        sketch=chance.choice((0, 1, 2**64 - 1, 0x5555_5555_5555_5555)),
        repeats=chance.choice((0, 0, 3, 50)),
        finish=chance.choice(("", "stop", "length", "tool_call")),
        code=_DIGEST(chance),
    )


def _ran(chance: Random) -> Step | None:
    if chance.random() < 0.6:
        return None
    error = chance.random() < 0.4
    return Step(
        kind=Kind.TOOL,
        trace_id=TRACES[0],
        span_id=b"",
        parent_id=b"",
        start=0,
        end=0,
        name="python",
        arguments_hash=_DIGEST(chance),
        result_hash=None if error else _DIGEST(chance),
        error=error,
        error_hash=_DIGEST(chance) if error else None,
    )


FIELDS: Final[dict[str, Callable[[Random], Any]]] = {
    "kind": _one(*[Kind.TOOL] * 5, *[Kind.LLM] * 2, Kind.OTHER, Kind.AGENT),
    "trace_id": _one(TRACES[0], *TRACES),
    "parent_id": _one(b"", *_ROOTS),
    "session_id": _one("", "a", "b"),
    "service": _one("", "shop"),
    "name": _one("", "read", "write", "job_status", "model-a", "model-b", "\ud800", "x" * 5000),
    "call_id": _one("", "c1", "c2"),
    "arguments_hash": _DIGEST,
    "relaxed_hash": _DIGEST,
    "result_hash": _DIGEST,
    "result_relaxed": _DIGEST,
    "result_size": _one(0, 3, 400, 10**6, 10**9),
    "error": _one(False, False, True),
    "error_hash": _DIGEST,
    "error_text": _one("", "denied", "no\nsuch 'thing'; at all " * 9),
    "transient": _one(False, True),
    "vague": _one(False, True),
    "absent": _DIGEST,
    "invalid": _one(False, True),
    "waiting": _one(False, False, True),
    "state": _DIGEST,
    "effect": _one(*Effect),
    "response_id": _one("", "r1", "r2"),
    "issued": _one((), ("c1",), ("c1", "c2")),
    "input_tokens": _TOKENS,
    "output_tokens": _TOKENS,
    "cached_tokens": _TOKENS,
    "created_tokens": _TOKENS,
    "reasoning_tokens": _TOKENS,
    "cost": _one(None, 0.0, 0.02, 1e300),
    "first_token": _one(None, 0, 300_000_000, 9 * SECOND),
    "subject": _subject,
    "said": _said,
    "task": _DIGEST,
    "handoff": _one("", "", "a", "b"),
    "user_turns": _one(None, None, 0, 1, 2),
    "user_turn": _DIGEST,
    "agent_name": _one("", "a", "b"),
    "agent_id": _one("", "1"),
    "view": _one(False, False, False, True),
    "ran": _ran,
    "own_words": _one(-1, 0, 3),
    "record": _one(False, False, True),
    "unmarked": _one(False, False, True),
    "within": _one(b"", b"", *_ROOTS),
}
"""How each field of a step is drawn, but for ids and times."""


def any_steps(chance: Random, count: int) -> list[Step]:
    """Any steps: circles, repeats, unknown times and missing parents included."""
    found = []
    for _ in range(count):
        start = chance.choice((0, chance.randrange(90) * SECOND, chance.randrange(90) * SECOND))
        end = chance.choice((0, start, start + SECOND, start + 1, max(0, start - SECOND), 2**64 - 1))
        drawn = {name: draw(chance) for name, draw in FIELDS.items()}
        found.append(Step(span_id=chance.randrange(1, 60).to_bytes(8, "big"), start=start, end=end, **drawn))
    return found


def busy_steps(chance: Random, count: int, fields: Sequence[str] = tuple(FIELDS)) -> list[Step]:
    """Steps of two agents in order of time, most of them alike, so that findings open, grow and close."""
    lanes = [
        Step(
            kind=Kind.AGENT,
            trace_id=TRACES[0],
            span_id=_ROOTS[number],
            parent_id=_ROOTS[0] if number else b"",
            start=1,
            end=(count + 9) * SECOND,
            name="agent",
        )
        for number in range(2)
    ]
    usual: dict[str, Any] = {}
    found = lanes[: chance.randrange(3)]
    for number in range(count):
        if number % 12 == 0:  # every so often something else becomes usual
            usual = {name: FIELDS[name](chance) for name in chance.sample(fields, len(fields) // 3)}
        drawn = {
            "name": "read",
            "arguments_hash": digest(chance.choice("aaab")),
            "result_hash": digest(chance.choice("rrrrs")),
            "effect": chance.choice([Effect.READ] * 6 + [Effect.WRITE, Effect.POLL]),
            "input_tokens": 1000 + number * 10,
            **usual,
            "kind": Kind.TOOL if number % 2 else Kind.LLM,
            "trace_id": TRACES[0],
            "parent_id": chance.choice([_ROOTS[0]] * 4 + [_ROOTS[1]]),
        }
        drawn = {name: value for name, value in drawn.items() if chance.random() > 0.05 or name[-3:] in _KEPT}
        span_id = (1000 + number).to_bytes(8, "big")
        start = (2 + number) * SECOND
        found.append(Step(span_id=span_id, start=start, end=start + SECOND // 2, **drawn))
    return found + lanes[len(found[:2]) :]


_KEPT: Final = ("ind", "_id")  # kind, trace_id, parent_id: without them it is no step
