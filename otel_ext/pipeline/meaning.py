"""From a stored span to a Step: where conventions, hashes and classes meet.

Law of this file: payload goes in, digests come out; nothing here keeps a value.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from otel_ext.conventions import Told, observe, observe_events, storable
from otel_ext.dedup import (
    arguments_hash,
    canonical,
    error_core,
    error_fingerprint,
    relaxed_hash,
    result_hashes,
    without_record,
)
from otel_ext.signals import (
    absent_path,
    effect_of,
    is_invalid,
    is_transient,
    is_vague,
    is_waiting,
    own_words,
    said_of,
    subject_of,
)
from otel_ext.span import Log, Span
from otel_ext.step import NOT_CAPTURED, Effect, Kind, Observation, Step

Effects: TypeAlias = Mapping[str, Effect]
"""Tool -> what its calls do, as configured."""

_TOOL, _LLM = Kind.TOOL, Kind.LLM  # looked up once: a member of an enum costs more than a branch
_EXEMPT = Effect.EXEMPT

ERROR_TEXT = 200
"""Characters of a failure that a Step keeps, for explanations."""


def step_of(span: Span, session_id: str, effects: Effects) -> Step:
    """The Step that `span` is; kind OTHER when no convention understands it."""
    seen = observe(span)
    kind = seen.kind
    service = span.resource.get("service.name")
    step = Step(
        kind=kind,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        start=span.start,
        end=span.end,
        session_id=storable(session_id),
        service=storable(service) if isinstance(service, str) else "",
        name=storable(seen.name),
    )
    fill_in(step, seen, effects)
    return step


def told_step(told: Told, log: Log, *, time: int, session_id: str, effects: Effects) -> Step | None:
    """The step that a log record, or an event of a span, tells of; None when nobody could say whose it is.

    Records have no identity: its span id is derived from the session, the call's id or the record's number,
    and its time, so that the same record gives the same step wherever it is read. Without a span around it a
    record's trace and agent are derived from the session. Its time is the call's end.
    """
    if not session_id and not any(log.trace_id):
        return None
    seen, agent = told.seen, f"{session_id}\0{told.agent}"
    service = log.resource.get("service.name")
    traced = any(log.trace_id)
    within = log.span_id if traced and any(log.span_id) else b""
    step = Step(
        kind=seen.kind,
        trace_id=log.trace_id if traced else trace_of(session_id),
        span_id=b"",
        parent_id=within or _derived("agent", agent)[:8],
        start=max(time - told.duration, 0),
        end=time,
        session_id=storable(session_id),
        service=storable(service) if isinstance(service, str) else "",
        name=storable(seen.name),
        record=True,
        within=within,
    )
    fill_in(step, seen, effects)
    what = (step.arguments_hash or b"").hex() + (step.error_hash or b"").hex()
    step.span_id = _derived(
        "call", agent, seen.dialect, step.kind, step.name, told.identity, f"{time}", what
    )[:8]
    return step


def steps_of_events(span: Span, session_id: str, effects: Effects) -> Iterator[Step]:
    """The steps that a span's events tell of."""
    for log, told in observe_events(span):
        step = told_step(told, log, time=log.time, session_id=session_id, effects=effects)
        if step is not None:
            yield step


def trace_of(session_id: str) -> bytes:
    """The trace of a session's log records that stand in none."""
    return _derived("trace", session_id)[:16]


def _derived(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(("otel_ext", *parts)).encode("utf-8", "backslashreplace")).digest()


def fill_in(step: Step, seen: Observation, effects: Effects) -> None:
    """Digest into a step what was seen of it."""
    _details(step, seen)
    if step.kind is _TOOL:
        _call(step, seen, effects)
    elif step.kind is _LLM:
        _answer(step, seen, effects)
    elif seen.text is not NOT_CAPTURED:
        step.said = said_of(seen)


def _call(step: Step, seen: Observation, effects: Effects) -> None:
    """The digests of a call, its outcome's included."""
    if seen.state:
        step.state = hashlib.sha256(seen.state.encode("utf-8", "replace")).digest()[:16]
    if seen.arguments is not NOT_CAPTURED:
        step.arguments_hash = arguments_hash(seen.name, seen.arguments)
        step.relaxed_hash = relaxed_hash(seen.name, seen.arguments)
    if seen.result is not NOT_CAPTURED:
        step.result_hash, step.result_relaxed = result_hashes(seen.result)
        step.result_size = _size(seen.result)
    step.effect = effect_of(seen, effects)
    if step.effect is not _EXEMPT:
        step.subject = subject_of(seen, step.effect)
    if seen.error:
        _kind_of_failure(step, seen)
        step.invalid = is_invalid(seen)
        step.unmarked = seen.unmarked
        if path := absent_path(seen):
            step.absent = hashlib.sha256(path.encode("utf-8", "replace")).digest()[:16]
    elif step.effect is not _EXEMPT:
        step.waiting = is_waiting(seen)


def _answer(step: Step, seen: Observation, effects: Effects) -> None:
    """The digests of a model's answer, and of the code whose outcome it was told."""
    code = arguments_hash(seen.code.name, seen.code.arguments) if seen.code is not None else None
    step.said = said_of(seen, code)
    if seen.error:
        _kind_of_failure(step, seen)
    if seen.ran is None:
        return
    step.ran = Step(kind=_TOOL, trace_id=step.trace_id, span_id=b"", parent_id=b"", start=0, end=0)
    step.ran.name = storable(seen.ran.name)
    _failed(step.ran, seen.ran)
    _call(step.ran, seen.ran, effects)
    step.ran.own_words = own_words(seen.ran)


def _kind_of_failure(step: Step, seen: Observation) -> None:
    """What kind of failure it was."""
    text = _failure(seen)
    if text.strip():  # failures without any text are not known to be alike (law L10)
        step.error_hash = error_fingerprint(text, seen.arguments)
    step.vague = is_vague(error_core(text, seen.arguments))
    step.transient = is_transient(seen)


def _size(result: Any) -> int:
    """Bytes of a result as a model reads it; 0 when that cannot be told."""
    if isinstance(result, str | bytes):
        return len(result)
    try:
        return len(msgspec.json.encode(result))
    except (TypeError, ValueError, UnicodeError, RecursionError):
        return 0


def _details(step: Step, seen: Observation) -> None:
    """What only some spans tell. Most fields stay empty, and one that is not written costs nothing."""
    if seen.call_id:
        step.call_id = storable(seen.call_id)
    if seen.response_id:
        step.response_id = storable(seen.response_id)
    if seen.issued:
        step.issued = tuple(map(storable, seen.issued))
    step.input_tokens = seen.input_tokens
    step.output_tokens = seen.output_tokens
    step.cached_tokens = seen.cached_tokens
    step.created_tokens = seen.created_tokens
    step.reasoning_tokens = seen.reasoning_tokens
    step.cost = seen.cost
    step.first_token = seen.first_token
    step.user_turns = seen.user_turns
    if seen.user_turn:
        step.user_turn = hashlib.sha256(seen.user_turn.encode("utf-8", "replace")).digest()[:16]
    if seen.task is not NOT_CAPTURED:
        task = seen.task if isinstance(seen.task, str) else canonical(seen.task)
        step.task = hashlib.sha256(task.encode("utf-8", "replace")).digest()[:16]
    if seen.handoff:
        step.handoff = storable(seen.handoff)
    step.view = seen.view
    if seen.agent_name:
        step.agent_name = storable(seen.agent_name)
    if seen.agent_id:
        step.agent_id = storable(seen.agent_id)
    _failed(step, seen)


def _failed(step: Step, seen: Observation) -> None:
    if seen.error:
        step.error = True
        text = " ".join(seen.error_text[: 4 * ERROR_TEXT].split())[:ERROR_TEXT]
        step.error_text = storable(text)[:ERROR_TEXT]


def _failure(seen: Observation) -> str:
    """What failed calls are compared by: the message, and the result where it says more (rule 1)."""
    message, result = seen.error_text, seen.result
    if result is NOT_CAPTURED or result is None:
        return message
    text = without_record(result if isinstance(result, str) else canonical(result))
    message = without_record(message)
    if text in message:
        return message
    return text if message in text else f"{message}\n{text}"
