"""From a stored span to a Step: where conventions, hashes and classes meet.

Law of this file: payload goes in, digests come out; nothing here keeps a value.
"""

import hashlib
from collections.abc import Mapping

from otel_ext.conventions import observe
from otel_ext.dedup import (
    arguments_hash,
    error_fingerprint,
    relaxed_hash,
    relaxed_result_hash,
    result_hash,
)
from otel_ext.signals import effect_of, is_transient, is_waiting
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Effect, Kind, Step

ERROR_TEXT = 200
"""Characters of a failure that a Step keeps, for explanations."""


def step_of(span: Span, session_id: str, effects: Mapping[str, Effect]) -> Step:
    """The Step that `span` is; kind OTHER when no convention understands it."""
    seen = observe(span)
    service = span.resource.get("service.name")
    step = Step(
        kind=seen.kind,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        start=span.start,
        end=span.end,
        session_id=session_id,
        service=service if isinstance(service, str) else "",
        name=seen.name,
        call_id=seen.call_id,
        error=seen.error,
        error_text=" ".join(seen.error_text[: 4 * ERROR_TEXT].split())[:ERROR_TEXT],
        response_id=seen.response_id,
        issued=seen.issued,
        input_tokens=seen.input_tokens,
        output_tokens=seen.output_tokens,
        cached_tokens=seen.cached_tokens,
        user_turns=seen.user_turns,
        user_turn=hashlib.sha256(seen.user_turn.encode("utf-8", "replace")).digest()[:16]
        if seen.user_turn
        else None,
        agent_name=seen.agent_name,
        agent_id=seen.agent_id,
    )
    if seen.kind is not Kind.TOOL:
        return step
    if seen.arguments is not NOT_CAPTURED:
        step.arguments_hash = arguments_hash(seen.name, seen.arguments)
        step.relaxed_hash = relaxed_hash(seen.name, seen.arguments)
    if seen.result is not NOT_CAPTURED:
        step.result_hash = result_hash(seen.result)
        step.result_relaxed = relaxed_result_hash(seen.result)
        step.result_size = len(seen.result) if isinstance(seen.result, str | bytes) else 0
    step.effect = effect_of(seen, effects)
    if seen.error:
        if seen.error_text.strip():  # failures that say nothing are not known to be alike (law L10)
            step.error_hash = error_fingerprint(seen.name, seen.error_text, seen.arguments)
        step.transient = is_transient(seen)
    elif step.effect is not Effect.EXEMPT:
        step.waiting = is_waiting(seen)
    return step
