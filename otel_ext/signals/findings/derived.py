"""A finding as an OpenTelemetry span, so that any backend shows it beside its evidence.

Law of this file: the span is a pure function of the finding, its id one of (finding id, revision), so a
re-delivery is byte-identical. It carries no `gen_ai.usage.*` and no `gen_ai.operation.name` (they would be
counted a second time), its status is unset (a finding is not a failed operation), and nothing of ours
stands under `gen_ai.*` or `otel.*`.
"""

from hashlib import sha256
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext.signals.findings.finding import Finding

SCOPE_NAME: Final = "otel_ext"
"""The scope of every span of ours; spans of this scope are never read as steps."""

_MONEY: Final = {
    "cost": "otel_ext.waste.cost",
    "avoidable_cost": "otel_ext.waste.cost.avoidable",
    "currency": "otel_ext.waste.cost.currency",
}


def scope_bytes(version: str) -> bytes:
    """The serialized InstrumentationScope of derived spans."""
    return InstrumentationScope(name=SCOPE_NAME, version=version).SerializeToString(deterministic=True)


def derived_id(finding: Finding) -> bytes:
    """The 8-byte span id of one revision of a finding; never all zeros."""
    found = sha256(f"{finding.id}:{finding.revision}".encode()).digest()[:8]
    return found if any(found) else b"\1" * 8


def derived_span(finding: Finding) -> bytes:
    """The serialized span of one revision of a finding."""
    span = Span(
        trace_id=finding.trace_id,
        span_id=derived_id(finding),
        parent_span_id=finding.parent,
        name=f"detect {finding.signal}",
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=max(0, finding.start),
        end_time_unix_nano=max(0, finding.end),
        attributes=[KeyValue(key=key, value=any_value(value)) for key, value in attributes(finding).items()],
        links=_links(finding),
    )
    return span.SerializeToString(deterministic=True)


def attributes(finding: Finding) -> dict[str, object]:
    """The attributes of a derived span, in the order in which they are written."""
    found: dict[str, object] = {
        "otel_ext.signal.name": finding.signal,
        "otel_ext.signal.family": finding.signal.partition(".")[0],
        "otel_ext.signal.id": finding.id,
        "otel_ext.signal.revision": finding.revision,
        "otel_ext.signal.status": finding.status,
        "otel_ext.signal.severity": finding.severity,
        "otel_ext.signal.confidence": finding.confidence,
        "otel_ext.signal.explanation": finding.explanation,
        "otel_ext.rule.id": finding.rule,
        "otel_ext.rule.version": finding.rule_version,
    }
    if finding.session:
        found.update((f"otel_ext.session.{name}", value) for name, value in finding.session.items())
    else:
        found.update(_measured(finding))
    optional = {
        "otel_ext.tool.call.arguments.hash": finding.arguments_hash,
        "otel_ext.tool.call.result.hash": finding.result_hash,
        "otel_ext.error.fingerprint": finding.error_fingerprint,
        "gen_ai.agent.name": finding.agent,
        # Without a session of its own a span is stored under its trace id, which is no conversation.
        "gen_ai.conversation.id": "" if finding.session_id == finding.trace_id.hex() else finding.session_id,
        "gen_ai.tool.name": finding.tool,
        "otel_ext.signal.service": finding.service,
    }
    found.update({key: value for key, value in optional.items() if value})
    return found


def _measured(finding: Finding) -> dict[str, object]:
    """What a rule counted, and by which thresholds."""
    return {
        "otel_ext.rule.threshold": finding.thresholds.get(finding.severity, 1),
        "otel_ext.rule.thresholds": [f"{name}={value}" for name, value in finding.thresholds.items()],
        "otel_ext.scope.kind": finding.scope,
        "otel_ext.scope.span_id": finding.lane.hex(),
        "otel_ext.scope.agent.depth": finding.depth,
        "otel_ext.loop.repeat_count": finding.count,
        "otel_ext.loop.distinct_arguments": finding.distinct_arguments,
        "otel_ext.waste.tokens.input": finding.waste.input_tokens,
        "otel_ext.waste.tokens.output": finding.waste.output_tokens,
        "otel_ext.waste.tokens.cached": finding.waste.cached_tokens,
        "otel_ext.waste.tokens.carried": finding.waste.carried_tokens,
        "otel_ext.waste.tokens.avoidable": finding.waste.avoidable_tokens,
        "otel_ext.waste.duration": finding.waste.duration / 1e9,  # seconds: a duration, never an instant
        "otel_ext.waste.basis": finding.waste.basis,
        **{_MONEY[name]: value for name, value in finding.waste.money().items()},
        "otel_ext.evidence.span_ids": [span.hex() for span in finding.evidence],
        "otel_ext.evidence.count": finding.evidence_count,
        "otel_ext.evidence.dropped_count": finding.evidence_dropped,
        "otel_ext.evidence.shared_span_ids": [span.hex() for span in finding.context],
        "otel_ext.evidence.missing": finding.missing,
    }


def _links(finding: Finding) -> list[Span.Link]:
    linked = [(span, "repeat") for span in finding.evidence]
    if linked:
        linked[-1] = (linked[-1][0], "last")
        linked[0] = (linked[0][0], "first")
    return [
        Span.Link(
            trace_id=finding.trace_id,
            span_id=span,
            attributes=[
                KeyValue(key="otel_ext.evidence.role", value=any_value(role)),
                KeyValue(key="otel_ext.evidence.ordinal", value=any_value(ordinal)),
            ],
        )
        for ordinal, (span, role) in enumerate(linked, 1)
    ]


def any_value(value: object) -> AnyValue:
    """A value of ours as OTLP tells it; what is no number, truth or list is told as text."""
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list | tuple):
        return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
    # Names come from anybody's program; a lone surrogate must not cost the finding.
    return AnyValue(string_value=str(value).encode("utf-8", "replace").decode())
