"""Findings as spans."""

import pytest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_ext.errors import DamageError
from otel_ext.signals import (
    SCOPE_NAME,
    Finding,
    derived_id,
    derived_span,
    finding_of,
    scope_bytes,
    termination,
)
from tests.signals.builders import ROOT, TRACE, Run, play


def found(count: int = 5) -> list[Finding]:
    """All revisions of one exact repeat."""
    run = Run()
    for _ in range(count):
        run.call("read_file")
    return play(run)


def parsed(finding: Finding) -> Span:
    """A derived span as its reader sees it."""
    return Span.FromString(derived_span(finding))


def test_it_hangs_under_its_agent_with_links_to_its_evidence() -> None:
    """Same trace, the agent's child, first evidence's start to last one's end, status unset."""
    finding = found()[-1]
    span = parsed(finding)
    assert (span.trace_id, span.parent_span_id, span.name) == (TRACE, ROOT, "detect loop.exact_repeat")
    assert span.kind == Span.SPAN_KIND_INTERNAL
    assert span.status == Status()
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (finding.start, finding.end)
    assert [link.span_id for link in span.links] == finding.evidence
    roles = [
        (link.attributes[0].value.string_value, link.attributes[1].value.int_value) for link in span.links
    ]
    assert roles == [("first", 1), ("repeat", 2), ("repeat", 3), ("repeat", 4), ("last", 5)]


def test_its_attributes_are_ours_but_for_three_copies() -> None:
    """Nothing that a consumer would count again, and no key of ours in a foreign namespace."""
    attributes = {pair.key: pair.value for pair in parsed(found()[-1]).attributes}
    foreign = {
        key: value.string_value for key, value in attributes.items() if not key.startswith("otel_ext.")
    }
    assert foreign == {
        "gen_ai.agent.name": "solver",
        "gen_ai.conversation.id": "conversation",
        "gen_ai.tool.name": "read_file",
    }
    assert attributes["otel_ext.signal.severity"].string_value == "warning"
    assert attributes["otel_ext.rule.threshold"].int_value == 5
    assert attributes["otel_ext.waste.tokens.input"].int_value == 4000
    assert attributes["otel_ext.waste.duration"].double_value == 2.0
    assert len(attributes["otel_ext.evidence.span_ids"].array_value.values) == 5


def test_a_trace_id_is_no_conversation() -> None:
    """A span without a session is stored under its trace id, which is not copied as a conversation."""
    finding = found()[-1]
    finding.session_id = TRACE.hex()
    assert "gen_ai.conversation.id" not in {pair.key for pair in parsed(finding).attributes}


def test_its_id_is_of_finding_and_revision() -> None:
    """Each revision is a span of its own, and the same revision always the same bytes."""
    findings = found(12)
    ids = [derived_id(finding) for finding in findings]
    assert len(set(ids)) == len(ids) > 3
    assert all(len(span_id) == 8 and any(span_id) for span_id in ids)
    assert [derived_span(one) for one in findings] == [derived_span(one) for one in found(12)]


def test_a_name_that_is_no_text_does_not_cost_the_finding() -> None:
    """A lone surrogate is replaced."""
    finding = found()[-1]
    finding.tool = "read\ud800"
    assert parsed(finding).name == "detect loop.exact_repeat"


def test_the_scope_is_ours() -> None:
    """Name and version of the scope."""
    scope = InstrumentationScope.FromString(scope_bytes("1.2"))
    assert (scope.name, scope.version) == (SCOPE_NAME, "1.2")


def test_a_derived_span_is_read_back() -> None:
    """A finding and a session's end come back equal; a span that is none is refused."""
    facts = {"state": "crashed", "reason": "boom", "generation": 2, "spans": 7, "crash_notes": ["x", "y"]}
    for root in (ROOT, b""):
        end = termination(
            state="crashed",
            reason="boom",
            session_id="conversation",
            revision=3,
            trace_id=TRACE,
            root=root,
            start=5,
            end=9,
            facts=facts,
        )
        assert finding_of(derived_span(end)) == end
    for finding in found():
        finding.service = "billing"
        finding.waste.duration = 40 * 86_400 * 10**9 + 1
        assert finding_of(derived_span(finding)) == finding
    with pytest.raises(DamageError):
        finding_of(Span(name="detect nothing").SerializeToString())
