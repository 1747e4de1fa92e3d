"""Marks of ours on spans, and what a session is told of each span.

Law of this file: what is noted of a span follows from that span alone, so it can be noted again from a file.
"""

from collections.abc import Mapping
from typing import Final

from otel_ext import otlp
from otel_ext.pipeline.hold import Item
from otel_ext.sessions import Session
from otel_ext.span import Value
from otel_ext.step import Kind, Step

CONFLICT: Final = ("otel_ext.dedup.conflict", True)
"""Mark of a span whose ids were seen before with other content."""
LATE: Final = ("otel_ext.session.late", True)
"""Mark of a span that came after its session had ended."""
UNFINISHED: Final = ("otel_ext.span.unfinished", True)
"""Mark of a span that had begun and whose end will never come; its end time is 0."""
MARK: Final = "otel_ext.mark."
"""Attributes `otel_ext.mark.crashed` and `otel_ext.mark.ended` state a fact about their span's session, with
the reason as text, so that a program in any language can send it."""

_REMOTE_PARENT: Final = 0x300
"""Span flags bits 8 and 9: the parent is known to be in another process (opentelemetry-proto 1.5)."""


def is_root(span: otlp.RawSpan) -> bool:
    """Whether a span is its trace's root, as far as this process could see."""
    return not span.parent_span_id or has_remote_parent(span.flags)


def has_remote_parent(flags: int) -> bool:
    """Whether a span's flags say that its parent is another process's."""
    return flags & _REMOTE_PARENT == _REMOTE_PARENT


def note_step(item: Item, step: Step) -> None:
    """Note on the item what its session is told of the step before detectors take it."""
    item.agentic = step.kind is not Kind.OTHER
    item.call = item.unfinished and step.kind is Kind.TOOL and not step.view


def count_step(session: Session, step: Step) -> None:
    """Count in its session a step that detectors took: a call once; usage from model calls only."""
    if step.view:
        return  # it tells more of a call that is counted
    session.tool_calls += step.kind is Kind.TOOL
    session.errors += step.error
    if step.kind is Kind.LLM:
        session.input_tokens += step.input_tokens or 0
        session.output_tokens += step.output_tokens or 0


def note_marks(item: Item, attributes: Mapping[str, Value]) -> None:
    """Note what a span states of its session; any value but false and nothing is a statement."""
    item.unfinished = attributes.get(UNFINISHED[0]) is True
    item.root = item.root and not item.unfinished
    for name, field in (("crashed", "crashed"), ("ended", "over")):
        value = attributes.get(MARK + name)
        if value not in (None, False, ""):
            setattr(item, field, value if isinstance(value, str) else f"marked {name} by its program")
