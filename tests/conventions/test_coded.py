"""Agents that act by code: the code in an answer, and what the next input tells of it."""

import json
from typing import Any

import pytest

from otel_ext.conventions import observe
from otel_ext.conventions.coded import code_in, ran
from otel_ext.step import NOT_CAPTURED
from tests.conventions.spans import corpus, make

ANSWER = "Thought: look\n\nCode:\n```py\nprint(find('a'))\n```<end_code>"
CODE = {"code": "print(find('a'))"}
CALLING = ("tool-call", "Calling tools:\n[{'id': 'call_2', ...}]")


def told(*reports: str, role: str = "tool-response", answer: str = ANSWER) -> Any:
    """What a history tells that ends in an answer and these reports."""
    history = [("user", "New task:\nx"), ("assistant", answer), CALLING, *((role, text) for text in reports)]
    return ran(reversed(history))


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        (ANSWER, "python", CODE),
        ("```python\na\n```\ntext\n```python\nb\n```", "python", {"code": "a\n\nb"}),
        ("```bash\nls -l\n```", "bash", {"command": "ls -l"}),
        ("<execute_bash>ls</execute_bash>", "bash", {"command": "ls"}),
        ("<code>\nx = 1\n</code>", "python", {"code": "x = 1"}),
        ("```py\ncut off", "python", {"code": "cut off"}),
    ],
)
def test_code_is_found(text: str, name: str, arguments: dict[str, str]) -> None:
    """Fences and tags of a runnable language; several blocks are one call."""
    found = code_in(text)
    assert found is not None
    assert (found.name, found.arguments) == (name, arguments)


@pytest.mark.parametrize(
    "text", ["", "plain", "```\nplain\n```", "```json\n{}\n```", "```py\n```", 7, NOT_CAPTURED]
)
def test_other_blocks_are_no_code(text: object) -> None:
    """A block in no language, or in one that nobody runs, is text."""
    assert code_in(text) is None


def test_an_outcome_is_read() -> None:
    """Smolagents' wrapping is no part of a result, its advice and the code's own line no part of an error."""
    found = told(
        "Call id: call_2\nObservation:\nExecution logs:\nhits: 3\nLast output from code snippet:\nNone"
    )
    assert (found.name, found.arguments, found.result, found.error) == ("python", CODE, "hits: 3", False)
    failed = told(
        "Call id: call_2\nError:\nCode execution failed at line 'print(find('a'))' due to: TypeError: no\n"
        "Now let's retry: take care not to repeat previous errors!\n"
    )
    assert (failed.error, failed.error_text, failed.result) == (True, "TypeError: no", NOT_CAPTURED)
    assert told("exitcode: 0 (execution succeeded)\nCode output: 7", role="user").result == "7"
    wrong = told("exitcode: 1 (execution failed)\nCode output: boom", role="user")
    assert (wrong.error, wrong.error_text) == (True, "boom")
    both = told("Observation:\nExecution logs:\nhalf", "Error:\nTypeError: no")
    assert (both.result, both.error, both.error_text) == ("half", True, "TypeError: no")


def test_a_person_reports_nothing() -> None:
    """Code that is shown to a person, and what the person answers, is no call."""
    assert told("it does not work", role="user") is None
    assert told("Error: it still fails", role="user") is None
    assert told("Observation:\nx", answer="no code here") is None
    assert ran(iter([("assistant", ANSWER)])) is None
    assert ran(iter([])) is None


def test_plans_between_are_passed_over() -> None:
    """A plan that the framework puts after the report does not hide it."""
    history = [("assistant", ANSWER), ("tool-response", "Observation:\nx"), ("assistant", "[PLAN]:\ny")]
    found = ran(reversed(history))
    assert found is not None
    assert found.result == "x"


def test_both_dialects_tell_code_and_outcome() -> None:
    """OpenInference's flat messages and the GenAI conventions' JSON are read alike."""
    flat = {"openinference.span.kind": "LLM", "llm.output_messages.0.message.content": ANSWER}
    texts = [
        ("user", "New task:\nx"),
        *[("user", "more")] * 9,
        ("assistant", ANSWER),
        ("user", "Observation:\n7"),
    ]
    order = sorted(range(len(texts)), key=str)  # some producers sort keys as text
    for index in order:
        flat[f"llm.input_messages.{index}.message.role"] = texts[index][0]
        flat[f"llm.input_messages.{index}.message.content"] = texts[index][1]
    messages = [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in texts]
    output = [{"role": "assistant", "parts": messages[-2]["parts"], "finish_reason": "stop"}]
    genai = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": json.dumps(messages),
        "gen_ai.output.messages": json.dumps(output),
    }
    for attributes in (flat, genai):
        found = observe(make(attributes))
        assert found.text == ANSWER
        assert found.code is not None
        assert found.ran is not None
        assert found.code.arguments == found.ran.arguments == CODE
        assert found.ran.result == "7"
    assert observe(make(genai)).finish == "stop"


@pytest.mark.parametrize("name", ["trail-swe-dev", "trail-gaia-dev"])
def test_each_outcome_in_the_corpus_has_its_code(name: str) -> None:
    """The code whose outcome a model is told is that of an earlier answer in its trace, letter by letter."""
    asked, answered = set(), []
    for span in corpus(name):
        found = observe(span)
        if found.code is not None:
            asked.add((span.trace_id, str(found.code.arguments)))
        if found.ran is not None:
            answered.append((span.trace_id, str(found.ran.arguments)))
    assert len(answered) > 40
    assert sum(one in asked for one in answered) >= len(answered) * 0.95
