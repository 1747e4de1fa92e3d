"""A derived span read back as the finding that it was made of.

Law of this file: the inverse of `derived`: every revision of every finding that was written as a span comes
back equal, so that the files alone say what the catalog says. Changed together with it, or the property test
fails.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext.errors import DamageError
from otel_ext.signals.findings.finding import Finding, Waste

_SESSION: Final = "otel_ext.session."


def finding_of(raw: bytes) -> Finding:
    """The finding that a serialized derived span tells.

    Raises:
        DamageError: it is no derived span of ours.
    """
    span = Span.FromString(raw)
    told = {attribute.key: _value(attribute.value) for attribute in span.attributes}
    try:
        return _finding(span, told)
    except (KeyError, TypeError, ValueError) as error:
        raise DamageError(f"span {span.span_id.hex()} is no finding of this program: {error}") from error


def _finding(span: Span, told: Mapping[str, Any]) -> Finding:
    session = {key.removeprefix(_SESSION): value for key, value in told.items() if key.startswith(_SESSION)}
    return Finding(
        signal=told["otel_ext.signal.name"],
        id=told["otel_ext.signal.id"],
        revision=told["otel_ext.signal.revision"],
        status=told["otel_ext.signal.status"],
        severity=told["otel_ext.signal.severity"],
        confidence=told["otel_ext.signal.confidence"],
        explanation=told["otel_ext.signal.explanation"],
        rule=told["otel_ext.rule.id"],
        rule_version=told["otel_ext.rule.version"],
        trace_id=span.trace_id,
        session_id=told.get("gen_ai.conversation.id", span.trace_id.hex()),
        agent=told.get("gen_ai.agent.name", ""),
        tool=told.get("gen_ai.tool.name", ""),
        service=told.get("otel_ext.signal.service", ""),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        parent=span.parent_span_id,
        arguments_hash=told.get("otel_ext.tool.call.arguments.hash", ""),
        result_hash=told.get("otel_ext.tool.call.result.hash", ""),
        error_fingerprint=told.get("otel_ext.error.fingerprint", ""),
        session=session,
        **(_ending(span) if session else _measured(told)),
    )


def _measured(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "thresholds": {
            name: int(value)
            for name, _, value in (text.rpartition("=") for text in told["otel_ext.rule.thresholds"])
        },
        "scope": told["otel_ext.scope.kind"],
        "lane": bytes.fromhex(told["otel_ext.scope.span_id"]),
        "depth": told["otel_ext.scope.agent.depth"],
        "count": told["otel_ext.loop.repeat_count"],
        "distinct_arguments": told["otel_ext.loop.distinct_arguments"],
        "waste": Waste(
            input_tokens=told["otel_ext.waste.tokens.input"],
            output_tokens=told["otel_ext.waste.tokens.output"],
            cached_tokens=told["otel_ext.waste.tokens.cached"],
            carried_tokens=told["otel_ext.waste.tokens.carried"],
            duration=_billionths(told["otel_ext.waste.duration"]),  # exact up to 52 days
            cost=_billionths(told["otel_ext.waste.cost"]) if "otel_ext.waste.cost" in told else None,
            currency=told.get("otel_ext.waste.cost.currency", ""),
            avoidable_tokens=told["otel_ext.waste.tokens.avoidable"],
            avoidable_cost=(
                _billionths(told["otel_ext.waste.cost.avoidable"])
                if "otel_ext.waste.cost.avoidable" in told
                else None
            ),
            basis=told["otel_ext.waste.basis"],
        ),
        "evidence": [bytes.fromhex(span) for span in told["otel_ext.evidence.span_ids"]],
        "evidence_count": told["otel_ext.evidence.count"],
        "evidence_dropped": told["otel_ext.evidence.dropped_count"],
        "context": [bytes.fromhex(span) for span in told["otel_ext.evidence.shared_span_ids"]],
        "missing": told["otel_ext.evidence.missing"],
    }


def _billionths(value: float) -> int:
    return round(Fraction(value) * 10**9)


def _ending(span: Span) -> dict[str, Any]:
    """What `terminal.termination` leaves out of a session's end, which rests on its root span alone."""
    root = span.parent_span_id
    return {
        "thresholds": {},
        "scope": "trace",
        "lane": root,
        "depth": 0,
        "count": 0,
        "distinct_arguments": 0,
        "waste": Waste(),
        "evidence": [root] if root else [],
        "evidence_count": 1 if root else 0,
        "evidence_dropped": 0,
        "context": [],
        "missing": [] if root else ["root span"],
    }


def _value(value: AnyValue) -> Any:
    if value.HasField("array_value"):
        return [_value(item) for item in value.array_value.values]
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
