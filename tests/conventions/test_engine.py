"""Every fixture through the engine: admitted, journalled, stored, read, and detected when it goes on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_ext.cli.folder import engines
from otel_ext.cli.verify import check_engine
from otel_ext.pipeline import EngineSettings
from otel_ext.span import Event, Log, Span
from otel_ext.step import Kind
from tests.builders import START, log, logs, span_id, trace_id
from tests.conventions.fixtures import FIXTURES, Fixture
from tests.conventions.wire import log_request, span_request
from tests.pipeline.test_exactly_once import SECOND, Run

SETTINGS = EngineSettings(idle_timeout=20.0, min_free=0, reserve=0, checkpoint_interval=1e9)

CALLS = [
    one
    for one in FIXTURES
    if one.expect["kind"] is Kind.TOOL
    and "arguments" in one.expect
    and ("result" in one.expect or "error" in one.expect)
]


def again(one: Fixture, number: int, turn: int) -> bytes:
    """The call once more: another span or record, two seconds later, under another call id."""
    text = json.dumps(dict(one.made.attributes), ensure_ascii=False)
    for name in filter(None, (one.expect.get("call_id"), one.session)):
        text = text.replace(name, f"{name}-{number}" if name == one.session else f"{name}-{turn}")
    attributes = json.loads(text)
    later = 2 * turn * SECOND
    if isinstance(one.made, Log):
        fields = {name: getattr(one.made, name) for name in one.made.__slots__}
        return log_request(Log(**fields | {"attributes": attributes, "time": one.made.time + later}))
    fields = {name: getattr(one.made, name) for name in one.made.__slots__}
    made = {
        "attributes": attributes,
        "trace_id": trace_id(1000 + number),
        "span_id": span_id(100 * (1000 + number) + turn),
        "start": one.made.start + later,
        "end": one.made.end + later,
    }
    return span_request(Span(**fields | made))


def findings(made: Run) -> Iterator[dict[str, Any]]:
    """Attributes of every derived span, with its trace id."""
    for name, text in made.files().items():
        if ".logs." not in name:
            for line in map(json.loads, text.splitlines()):
                for group in line["resourceSpans"]:
                    for scope in group["scopeSpans"]:
                        for span in scope["spans"] if scope["scope"].get("name") == "otel_ext" else ():
                            values = {
                                a["key"]: next(iter(a["value"].values()), "") for a in span["attributes"]
                            }
                            yield values | {"trace": span["traceId"]}


def test_a_call_that_goes_on_and_on_is_found_in_every_dialect(tmp_path: Path) -> None:
    """Each tool call whose arguments and outcome are told, twelve times: a finding names the tool."""
    made = Run(tmp_path, SETTINGS)
    for turn in range(12):
        for number, one in enumerate(CALLS):
            made.accept(again(one, number, turn))
    made.finish()
    found = {(f["trace"], f.get("gen_ai.tool.name")) for f in findings(made)}
    tools = {(f.get("gen_ai.conversation.id"), f.get("gen_ai.tool.name")) for f in findings(made)}
    missed = []
    for number, one in enumerate(CALLS):
        name = one.expect["name"]
        if isinstance(one.made, Span):
            here = (trace_id(1000 + number).hex(), name) in found
        else:
            here = (f"{one.session}-{number}", name) in tools
        if not here:
            missed.append((one.dialect, one.what))
    assert missed == []
    assert made.ledger()["received"] == made.ledger()["stored"]
    assert made.ledger()["logs"]["received"] == made.ledger()["logs"]["stored"] > 0


def codex(turn: int, *, trace: int = 0, failed: bool = True) -> bytes:
    """A tool call as Codex records it, and the model's response before it."""
    common = {"conversation__id": "conv"}
    said = log(
        "",
        trace=trace,
        seconds=4 * turn,
        event__name="codex.sse_event",
        event__kind="response.completed",
        input_token_count="100",
        output_token_count="5",
        **common,
    )
    done = log(
        "",
        trace=trace,
        seconds=4 * turn + 2,
        event__name="codex.tool_result",
        tool_name="shell",
        call_id=f"call_{turn}",
        arguments='{"command":["make"]}',
        success="false" if failed else "true",
        duration_ms="500",
        output="make: no rule",
        **common,
    )
    return logs(said, done)


def test_a_loop_told_by_log_records_alone_is_found(tmp_path: Path) -> None:
    """Codex: the finding stands in the session's files, says what it cost, and ends with the session."""
    made = Run(tmp_path, SETTINGS)
    for turn in range(6):
        made.accept(codex(turn))
    made.finish()
    told = [f for f in findings(made) if f["otel_ext.signal.name"] == "loop.error_repeat"]
    assert (told[-1]["otel_ext.loop.repeat_count"], told[-1]["otel_ext.signal.status"]) == ("6", "persisted")
    assert told[-1]["gen_ai.conversation.id"] == "conv"
    assert told[-1]["otel_ext.waste.tokens.input"] == "500"
    (session,) = made.sessions()
    assert (session.spans, session.traces, session.logs, session.state) == (0, 0, 12, "completed")
    (engine,) = engines(tmp_path)
    assert check_engine(engine)["ok"]


def test_a_record_that_came_twice_is_one_call(tmp_path: Path) -> None:
    """Log records have no identity; the same call in the same instant is the same call."""
    made = Run(tmp_path, SETTINGS)
    for _ in range(3):
        made.accept(codex(0))
    made.finish()
    assert "loop.error_repeat" not in {f["otel_ext.signal.name"] for f in findings(made)}


@pytest.mark.parametrize("first", ["span", "record"])
def test_a_call_told_by_a_record_and_a_span_is_one(tmp_path: Path, first: str) -> None:
    """Two failures are the first that is worth telling; one failure told twice is none."""
    for number, calls in enumerate((1, 2)):
        made = Run(tmp_path / str(number), SETTINGS)
        for turn in range(calls):
            time = START + (4 * turn + 2) * SECOND
            span = Span(
                trace_id=trace_id(7),
                span_id=span_id(50 + turn),
                parent_id=span_id(7),
                name="tool",
                kind=1,
                start=time - SECOND,
                end=time,
                attributes={
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": "shell",
                    "gen_ai.tool.call.id": f"call_{turn}",
                    "gen_ai.conversation.id": "conv",
                },
                status_code=2,
                status_message="make: no rule",
            )
            bodies = [span_request(span), codex(turn, trace=7)]
            for body in bodies if first == "span" else reversed(bodies):
                made.accept(body)
        made.finish()
        counts = [
            f["otel_ext.loop.repeat_count"]
            for f in findings(made)
            if f["otel_ext.signal.name"] == "loop.error_repeat"
        ]
        assert counts == ([] if calls == 1 else ["2", "2"])


@pytest.mark.parametrize("asked", [True, False])
def test_a_new_prompt_begins_anew(tmp_path: Path, asked: bool) -> None:
    """The same call with the same result after a person's next message is no loop (precision rule 9)."""
    made = Run(tmp_path, SETTINGS)
    for turn in range(4):
        prompt = log("", seconds=4 * turn - 1, event__name="codex.user_prompt", conversation__id="conv")
        if asked:
            made.accept(logs(prompt))
        made.accept(codex(turn, failed=False))
    made.finish()
    assert ("loop.exact_repeat" in {f["otel_ext.signal.name"] for f in findings(made)}) is not asked


def test_events_of_a_span_are_calls(tmp_path: Path) -> None:
    """Codex's traces tell a tool call as an event; its record tells the same one with its values."""
    made = Run(tmp_path, SETTINGS)
    for turn in range(5):
        time = START + (4 * turn + 2) * SECOND
        event = {
            "event.name": "codex.tool_result",
            "tool_name": "shell",
            "call_id": f"call_{turn}",
            "arguments_length": "20",
            "success": "false",
        }
        outer = FIXTURES[0].made
        assert isinstance(outer, Span)
        fields = {name: getattr(outer, name) for name in outer.__slots__}
        made.accept(
            span_request(
                Span(
                    **fields
                    | {
                        "name": "turn",
                        "trace_id": trace_id(9),
                        "span_id": span_id(900 + turn),
                        "start": time - SECOND,
                        "end": time + SECOND,
                        "attributes": {"conversation.id": "conv"},
                        "events": [Event("", time, event)],
                    }
                )
            )
        )
        made.accept(codex(turn, trace=9))
    made.finish()
    told = [f for f in findings(made) if f["otel_ext.signal.name"] == "loop.error_repeat"]
    assert told[-1]["otel_ext.loop.repeat_count"] == "5"
