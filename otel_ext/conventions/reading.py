"""The order in which dialects are asked, and what one adds to another.

Law of this file: unknown stays unknown. A span that no discriminator names is `OTHER`, whatever else it
looks like; a dialect is chosen by its discriminator alone, never by a stray attribute.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from otel_ext.conventions.choice import Candidate, candidates
from otel_ext.conventions.coded import read_code
from otel_ext.conventions.dialect import Told
from otel_ext.conventions.dialects import ORDER, langfuse, otel_genai
from otel_ext.conventions.failures import failure
from otel_ext.conventions.handoffs import handoff_of
from otel_ext.conventions.langchain import open_message
from otel_ext.conventions.times import first_token, instant_of
from otel_ext.conventions.usage import cost_of
from otel_ext.conventions.values import first_text
from otel_ext.span import Log, Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

_OTHER, _LLM, _TOOL = Kind.OTHER, Kind.LLM, Kind.TOOL  # looked up once: a member costs more than a branch

OWN_SCOPE: Final = "otel_ext"

STATE: Final = "otel_ext.state.digest"
"""What an app may say of its state after a tool call: a page's or a board's digest, or any text like it."""


def _lean(found: Iterable[bytes]) -> tuple[bytes, ...]:
    """Without those in which another one is found anyway."""
    whole = dict.fromkeys(found)
    return tuple(h for h in whole if not any(other in h for other in whole if other != h))


span_records: Final = _lean(hint for dialect in ORDER for hint in dialect.span_records)
"""A span whose wire bytes hold none of these tells of no call in its events."""

hints: Final = _lean(hint for dialect in ORDER for hint in dialect.hints)
"""A span with none of these in its name or a key is `OTHER`; complete: each discriminator is in it."""

scopes: Final = frozenset(scope for dialect in ORDER for scope in dialect.scopes)
"""A span of such a scope is looked at, whatever its bytes hold."""

record_hints: Final = _lean(hint for dialect in ORDER for hint in dialect.record_hints)
"""A log record whose wire bytes hold none of these tells of no call."""

_RECORDS: Final = tuple(dialect.records for dialect in ORDER if dialect.records)


def observe(span: Span) -> Observation:
    """The span read in its dialect.

    Real spans carry two dialects at once. The first discriminator decides what the span is; values that its
    dialect left empty are completed from the others. Usage is reported for model calls only, because
    producers repeat it up the tree.
    """
    attributes = span.attributes
    if span.scope == OWN_SCOPE:
        return Observation(kind=_OTHER, dialect=OWN_SCOPE, name=span.name)
    # Logfire announces a span by a zero-length twin; Google ADK sums up calls that it has already told.
    if (
        attributes.get("logfire.span_type") == "pending_span"
        or attributes.get("gen_ai.tool.name") == otel_genai.MERGED_TOOLS
    ):
        return Observation(kind=_OTHER, name=span.name)
    chosen, kind = _dialect(span)
    if chosen is None or kind is _OTHER:
        return Observation(kind=_OTHER, dialect=chosen.dialect.name if chosen else "", name=span.name)
    found = chosen.dialect.read(span, kind)
    if chosen.completing:
        others = {other.name: other for key, other in chosen.completing if key in attributes}
        for other in others.values():
            _complete(found, other.read(span, kind))
    if kind is _LLM:
        found.first_token = first_token(span)
        read_code(found, span)
        if found.cost is None:
            found.cost = cost_of(attributes)
    elif not found.name:
        found.name = span.name
    if STATE in span.attributes:
        found.state = first_text(span.attributes, STATE)
    if kind is _TOOL:
        open_message(found)
        if not found.handoff:
            found.handoff = handoff_of(found.name, found.arguments)
    failed, text = failure(span, found.result, marked=found.error)
    if failed:
        found.unmarked = not (found.error or failure(span, NOT_CAPTURED)[0])
        found.error, found.error_text = True, found.error_text or text
    return found


def _dialect(span: Span) -> tuple[Candidate | None, Kind]:
    """Whose span it is, and what it is. Langfuse's word on the kind stands above the others'."""
    stated = langfuse.kind_of(span) if langfuse.TYPE in span.attributes else None
    for candidate in candidates(span):
        if (kind := candidate.dialect.kind_of(span)) is not None:
            return candidate, stated or kind
    return None, _OTHER


def observe_log(log: Log) -> Told | None:
    """What a log record tells of a call, or None."""
    for records in _RECORDS:
        if (told := records(log)) is not None:
            seen = told.seen
            if seen.kind is _TOOL and not seen.handoff:
                seen.handoff = handoff_of(seen.name, seen.arguments)
            if seen.kind is _LLM and seen.cost is None:
                seen.cost = cost_of(log.attributes)
            return told
    return None


def observe_events(span: Span) -> Iterator[tuple[Log, Told]]:
    """`(the event as a record, what it tells)` of each event of a span that tells of a call of its own."""
    for event in span.events:
        name = event.attributes.get("event.name")
        log = Log(
            name if isinstance(name, str) else event.name,
            event.time or instant_of(event.attributes.get("event.timestamp")) or 0,
            event.attributes,
            span.trace_id,
            span.span_id,
            resource=span.resource,
            scope=span.scope,
        )
        if (told := observe_log(log)) is not None and not told.seen.view:
            yield log, told


_FIELDS: Final = tuple(
    (name, default)
    for name, default in (
        *((name, NOT_CAPTURED) for name in ("arguments", "result", "text", "reasoning", "task")),
        *(
            (name, "")
            for name in ("name", "call_id", "response_id", "agent_name", "agent_id", "finish", "handoff")
        ),
        *((name, None) for name in ("input_tokens", "output_tokens", "cached_tokens", "created_tokens")),
        *((name, None) for name in ("reasoning_tokens", "cost")),
    )
)


def _complete(found: Observation, other: Observation) -> None:
    for name, default in _FIELDS:
        value = getattr(found, name)
        if value is default or value == "":
            setattr(found, name, getattr(other, name))
    found.issued = found.issued or other.issued
    if found.user_turns is None:
        found.user_turns, found.user_turn = other.user_turns, other.user_turn
    if other.error and not found.error:
        found.error, found.error_text = True, other.error_text
