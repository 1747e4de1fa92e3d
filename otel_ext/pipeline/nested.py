"""What is known of a call inside it, or in another telling of it, is known of the call.

Law of this file: nothing that a call knows itself is changed.
"""

from contextlib import nullcontext
from typing import Final

from otel_ext.pipeline.reorder import Reorder
from otel_ext.signals.lane.twins import NESTED
from otel_ext.step import Kind, Step

_OTHER, _TOOL, _LLM = Kind.OTHER, Kind.TOOL, Kind.LLM

_USAGE: Final = ("input_tokens", "output_tokens", "cached_tokens", "created_tokens", "reasoning_tokens")
_CALL: Final = (
    *("arguments_hash", "relaxed_hash", "subject", "result_hash", "result_relaxed", "result_size"),
    *("call_id", "response_id", "issued", "said", "handoff", "state", "user_turn", "user_turns", "waiting"),
    *_USAGE,
    *("cost", "first_token", "agent_name", "agent_id"),
)
_FAILURE: Final = ("error", "error_hash", "error_text", "transient", "vague", "invalid", "absent")


def share(steps: dict[bytes, Step], order: Reorder) -> set[bytes]:
    """Let calls of a trace know what is known inside them, be it due or waiting yet; the views that are due.

    Args:
        steps: what is due of a trace, by span id.
        order: what waits of it.
    """
    if not steps:
        return set()
    rest = order.rest(next(iter(steps.values())).trace_id)
    known = steps | rest if rest else steps
    inside: dict[bytes, list[Step]] = {}
    for step in known.values():
        if step.view:
            whole = known.get(step.parent_id)
            if whole is not None and whole.kind is step.kind and not whole.view:
                inside.setdefault(whole.span_id, []).append(step)
        elif step.kind is _TOOL or step.kind is _LLM:
            outer = _around(step, known)
            if outer is not None:
                inside.setdefault(outer.span_id, []).append(step)
    for span_id, parts in reversed(inside.items()):  # the innermost first
        with order.named.renamed(rest[span_id]) if span_id in rest else nullcontext():
            _learn(known[span_id], parts)
    return {step.span_id for step in steps.values() if step.view}


def _learn(whole: Step, parts: list[Step]) -> None:
    for part in parts:
        if part.view or whole.kind is _TOOL:
            fill(whole, part)
    inner = [part for part in parts if not part.view]
    if inner and whole.kind is _LLM:
        first = min(inner, key=lambda part: (part.start, -part.end, part.span_id))
        for name in _USAGE:  # of several it is the first that is told twice (`signals.lane.twins`)
            if getattr(whole, name) is None:
                setattr(whole, name, getattr(first, name))


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
    """The same tool's or model's call around this one, with no other call and no agent between them."""
    up = step.parent_id
    for _ in range(NESTED):
        outer = steps.get(up)
        if outer is None or outer is step:
            return None
        if outer.kind is not _OTHER:
            if (
                outer.kind is not step.kind
                or outer.view
                or not (step.kind is _LLM or outer.name == step.name)
            ):
                return None
            known = step.arguments_hash is not None and outer.arguments_hash is not None
            differ = known and step.arguments_hash != outer.arguments_hash
            ids = {step.response_id, outer.response_id} - {""}
            return outer if not differ and len(ids) < 2 else None
        up = outer.parent_id
    return None
