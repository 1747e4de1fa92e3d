"""Every real span that we have is read, and read as what it is."""

from collections import Counter

import pytest

from otel_ext.conventions import observe, session_keys, session_of
from otel_ext.step import NOT_CAPTURED, Kind, Observation
from tests.conventions.spans import corpus

KINDS = {
    "claude-code-kimi": {"tool": 1757, "llm": 1654, "agent": 81},
    "tau-airline-success": {"tool": 347, "llm": 829, "agent": 84},
    "tau-airline-failure": {"tool": 425, "llm": 867, "agent": 58},
    "trail-gaia-dev": {"tool": 259, "llm": 677, "agent": 89, "other": 597},
    "trail-swe-dev": {"tool": 10, "llm": 178, "agent": 12, "other": 202},
    "frameworks": {"tool": 12, "llm": 28, "agent": 28, "other": 22},
}


def observed(name: str, kind: Kind | None = None) -> list[Observation]:
    """What the spans of a file are, of one kind if asked."""
    return [o for o in map(observe, corpus(name)) if kind is None or o.kind is kind]


@pytest.mark.parametrize("name", KINDS)
def test_kinds_are_counted_right(name: str) -> None:
    """Each file's spans fall into the kinds that its README tells of, and nothing raises."""
    assert Counter(o.kind.value for o in observed(name)) == KINDS[name]


@pytest.mark.parametrize("name", [n for n in KINDS if n != "frameworks"])
def test_tool_calls_come_with_name_and_arguments(name: str) -> None:
    """All tool calls of the agent corpora have a name and arguments in structure, no envelope left."""
    for tool in observed(name, Kind.TOOL):
        assert tool.name
        assert isinstance(tool.arguments, dict | list)
        assert "sanitize_inputs_outputs" not in tool.arguments


@pytest.mark.parametrize(
    ("name", "failed"),
    [
        ("claude-code-kimi", 486),
        ("tau-airline-success", 13),
        ("tau-airline-failure", 28),
        ("trail-gaia-dev", 84),
    ],
)
def test_failures_are_the_marked_ones(name: str, failed: int) -> None:
    """Failed calls are exactly those of status ERROR in these files, and each says why."""
    texts = [o.error_text for o in observed(name, Kind.TOOL) if o.error]
    assert (
        len(texts)
        == failed
        == sum(s.status_code == 2 and o.kind is Kind.TOOL for s in corpus(name) for o in [observe(s)])
    )
    assert all(texts)


def test_missing_results_stay_missing() -> None:
    """The 58 calls without a result in claude-code-kimi are not captured; all others are."""
    assert sum(o.result is NOT_CAPTURED for o in observed("claude-code-kimi", Kind.TOOL)) == 58


def test_turns_and_tokens_of_claude_code() -> None:
    """Each session has one genuine user turn; notifications are none; zero tokens are zero, not absent."""
    calls = observed("claude-code-kimi", Kind.LLM)
    assert Counter(o.user_turns for o in calls) == {1: 81, 0: 1573}
    assert sum(o.input_tokens == 0 for o in calls) == 157
    assert all(o.input_tokens is not None for o in calls)


def test_issued_calls_are_the_tool_spans_ids() -> None:
    """Every tool span's call id was issued by a model span of the same trace."""
    for name in ("claude-code-kimi", "tau-airline-success", "tau-airline-failure"):
        issued, called = set(), set()
        for span in corpus(name):
            o = observe(span)
            issued |= {(span.trace_id, i) for i in o.issued}
            if o.kind is Kind.TOOL:
                called.add((span.trace_id, o.call_id))
        assert called <= issued


def test_turns_of_smolagents_are_tasks() -> None:
    """In TRAIL each model call holds one task, or (planning) nothing that could be counted."""
    for name in ("trail-gaia-dev", "trail-swe-dev"):
        calls = observed(name, Kind.LLM)
        assert {o.user_turns for o in calls} == {1, None}
        assert all(o.user_turn.startswith("New task:") for o in calls if o.user_turns)
        assert sum(o.input_tokens is not None for o in calls) >= len(calls) - 2


def test_sessions_of_the_corpus() -> None:
    """GenAI files state a conversation on every span, TRAIL on none."""
    assert all(session_of(s.attributes) for s in corpus("claude-code-kimi") + corpus("tau-airline-success"))
    assert not any(session_of(s.attributes) for s in corpus("trail-gaia-dev"))
    for span in corpus("frameworks"):
        stated = [span.attributes[k] for k in session_keys if k in span.attributes]
        assert session_of(span.attributes) == (stated[0] if stated else None)
