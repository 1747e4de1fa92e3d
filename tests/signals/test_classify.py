"""What a call does, whether its failure passes, whether it still waits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.signals import (
    absent_path,
    effect_of,
    is_invalid,
    is_transient,
    is_vague,
    is_waiting,
)
from otel_ext.signals.calls import classify, words
from otel_ext.step import Effect, Kind, Observation


def tool(name: str, arguments: Any = None, **fields: Any) -> Observation:
    """A tool call as a dialect reads it."""
    return Observation(kind=Kind.TOOL, name=name, arguments=arguments, **fields)


@pytest.mark.parametrize(
    ("effect", "names"),
    [
        (
            Effect.READ,
            "Read get_reservation_details web_search WebFetch mcp__github__list_issues fs.read_file Glob "
            "order_lookup book_search store_locator post_details user_profile",
        ),
        (
            Effect.WRITE,
            "Write Edit MultiEdit create_file update_reservation_flights send_email book_reservation "
            "update_status cancel_order payInvoice mcp__db__insert_row post_message order_pizza book "
            "set_status user_profile_update store_order",
        ),
        (
            Effect.POLL,
            "job_status get_logs wait_for_job poll_build tail_output BashOutput order_status deploy_logs",
        ),
        (Effect.EXEMPT, "think final_answer TodoWrite wait update_plan done"),
        (Effect.UNKNOWN, "page_down Task frobnicate click python_interpreter"),
    ],
)
def test_names_tell_the_effect(effect: Effect, names: str) -> None:
    """Word pieces decide; a leading write verb wins over a poll word, unless it may be a noun."""
    assert {name: effect_of(tool(name)) for name in names.split()} == dict.fromkeys(names.split(), effect)


@pytest.mark.parametrize(
    ("command", "effect"),
    [
        ("ls -la /app", Effect.READ),
        ("cd /app && cat a.txt | grep -n 'x > y' | head", Effect.READ),
        ("git -C /repo status --short", Effect.READ),
        ("FOO=1 timeout 5 grep x file 2>/dev/null", Effect.READ),
        ("cat a 2>&1", Effect.READ),
        (": python3 run.py", Effect.READ),
        (": > out.txt", Effect.WRITE),
        ("rm -rf build", Effect.WRITE),
        ("echo hi > out.txt", Effect.WRITE),
        ("cat > f.py <<'EOF'\nrm nothing\nEOF", Effect.WRITE),
        ("sed -i s/a/b/ f", Effect.WRITE),
        ("ls; git commit -m 'x'", Effect.WRITE),
        ("make 2>&1 | tee log", Effect.WRITE),
        ("find . -name x -delete", Effect.WRITE),
        ("sleep 30 && cat log", Effect.POLL),
        ("tail -f log", Effect.POLL),
        ("kubectl -n prod get pods", Effect.POLL),
        ("kubectl apply -f x", Effect.WRITE),
        ("pytest -q", Effect.UNKNOWN),
        ("python - <<EOF\nprint(1)\nEOF", Effect.UNKNOWN),
        ("echo 'open quote", Effect.UNKNOWN),
        ("", Effect.UNKNOWN),
        (" ; ; ", Effect.UNKNOWN),
    ],
)
def test_commands_tell_the_effect(command: str, effect: Effect) -> None:
    """A write anywhere is a write, then a wait is a poll, then what is unknown is unknown."""
    assert effect_of(tool("Bash", {"command": command})) is effect
    assert effect_of(tool("shell", {"command": ["bash", "-lc", command]})) is effect


def test_declared_effects_win() -> None:
    """What a user says of a tool is not guessed at."""
    assert effect_of(tool("read_it"), {"read_it": Effect.WRITE}) is Effect.WRITE


@pytest.mark.parametrize(
    ("arguments", "effect"),
    [({"chars": ""}, Effect.POLL), ({"chars": "y\n"}, Effect.WRITE), ({"session_id": 1}, Effect.POLL)],
)
def test_empty_standard_input_is_a_poll(arguments: dict[str, Any], effect: Effect) -> None:
    """Writing nothing to a running command asks for its output."""
    assert effect_of(tool("write_stdin", arguments)) is effect


def test_an_editor_tells_by_its_command() -> None:
    """Viewing is reading, replacing is writing."""
    assert effect_of(tool("str_replace_editor", {"command": "view"})) is Effect.READ
    assert effect_of(tool("str_replace_based_edit_tool", {"command": "create"})) is Effect.WRITE


@pytest.mark.parametrize(
    ("text", "transient"),
    [
        ("HTTP 429 Too Many Requests", True),
        ("Error code: 503 - service unavailable", True),
        ("504 Server Error: Gateway Timeout for url", True),
        ("openai.RateLimitError", True),
        ("Read timed out", True),
        ("Connection reset by peer", True),
        ("database is locked", True),
        ("model is overloaded", True),
        ("404 Client Error: Not Found", False),
        ("TypeError at line 500", False),
        ("File does not exist", False),
        ("500 rows deleted is not a number", False),
        ("500", True),
        ("timeout", True),
        ("Error: Command timed out after 30 s", True),
        ("TimeoutError: waited too long", True),
        ("('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))", True),
        ('{"error": {"message": "Rate limit reached for gpt-4"}}', True),
        ("Error code: 429 - {'error': 'x'}", True),
        ("HTTP/1.1 502 Bad Gateway", True),
        ("requests.exceptions.ReadTimeout: x", True),
        ("Temporary failure in name resolution", True),
        ("dial tcp: connect: connection refused", True),
        ("TypeError: get() got an unexpected keyword argument 'timeout'", False),
        ("KeyError: 'timeout'", False),
        ("ValueError: rate_limit must be positive", False),
        ("ValueError: connection timed out must be a number", False),
        ("SyntaxError: invalid syntax in temporary file /tmp/x.py", False),
        ("tsc exited with code 502", False),
        ("main.c:3: error: no matching call of overloaded function", False),
        ("request timeout must be positive", False),
        ('grep: "connection reset by peer" matched nothing', False),
    ],
)
def test_failures_that_waiting_mends(text: str, transient: bool) -> None:
    """Rate limits, server errors, time-outs, resets and locks pass; words and quotes do not."""
    assert is_transient(tool("x", error=True, error_text=text)) is transient
    assert is_transient(tool("x", error=False, error_text=text)) is False


def test_the_calls_own_words_are_not_its_failure() -> None:
    """A failing search for an error's words is not that error."""
    text = "no match for Read timed out in log"
    assert not is_transient(tool("grep", {"pattern": "Read timed out"}, error=True, error_text=text))
    assert is_transient(
        tool("grep", {"pattern": "x", "timeout": 3}, error=True, error_text="timeout after 3")
    )


@pytest.mark.parametrize(
    ("text", "vague"),
    [
        ("", True),
        ("Exit code 1", True),
        ("_OTHER", True),
        ("<tool_use_error>Error: '<arg>' failed</tool_use_error>", True),
        ("error", True),
        ("Command failed with exit status 2", True),
        ("Exit code 1\nFAILED 9 tests", False),
        ("page_down() got an unexpected keyword argument", False),
        ("没有权限", False),
    ],
)
def test_failures_that_say_nothing(text: str, vague: bool) -> None:
    """An exit code is no cause; every other word is one."""
    assert is_vague(text) is vague


@pytest.mark.parametrize(
    ("text", "arguments", "absent"),
    [
        ("Error: '/a/b.py' not found", {"path": "/a/b.py"}, True),
        ("cat: notes.txt: No such file or directory", {"files": ["notes.txt"]}, True),
        ("Error: '/a/b.py' not found", {"path": "/c/d.py"}, False),
        ("Error: user mia not found", {"user": "mia"}, False),
        ("'/a/b.py' is a directory", {"path": "/a/b.py"}, False),
    ],
)
def test_paths_that_are_not_there(text: str, arguments: Any, absent: bool) -> None:
    """The failure must name a path that the call named."""
    assert bool(absent_path(tool("x", arguments, error=True, error_text=text))) is absent


@pytest.mark.parametrize(
    ("result", "waiting"),
    [
        ({"status": "pending"}, True),
        ({"status": "done"}, False),
        ('{"id": 7, "state": "in_progress"}', True),
        ("Job is still running.", True),
        ("still running " + "content " * 100, False),
        ({"status": 3}, False),
        (None, False),
        ("all good", False),
    ],
)
def test_results_that_still_wait(result: Any, waiting: bool) -> None:
    """A status field or a short phrase says so; a long text is content."""
    assert is_waiting(tool("x", result=result)) is waiting


VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet="ab<>|&;'\"\\\n #$()=-0\ud800") | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["command", "cmd", "status"]), inner)
    ),
    max_leaves=6,
)


@given(st.sampled_from(["Bash", "write_stdin", "edit_tool"]) | st.text(), VALUES, VALUES, st.text())
def test_classes_are_total(name: str, arguments: Any, result: Any, text: str) -> None:
    """Nothing that was captured makes a class raise."""
    seen = tool(name, arguments, result=result, error=bool(text), error_text=text)
    assert effect_of(seen) in Effect
    assert is_transient(seen) in (True, False)
    assert isinstance(absent_path(seen), str)
    assert is_vague(text) in (True, False)
    assert is_waiting(seen) in (True, False)


@given(
    st.lists(
        st.sampled_from(
            ["still ", "Still running", "not ", "ready", "IN PROGRESS", "\u017ftill running", "status: "]
        )
        | st.sampled_from(["pha\u017fe: ", "'state'='Queued'", "pending", "x", "\n", "please wait", ", "])
    ).map("".join)
)
def test_words_looked_for_first_hide_no_waiting(text: str) -> None:
    """The quick look for words leaves out nothing that the patterns find."""
    phrase = classify._WAITING_PHRASE.search(text) is not None
    fields = (state.lower() in words.WAITING_STATES for state in classify._WAITING_FIELD.findall(text))
    assert len(text) > classify.LONGEST_PHRASE or is_waiting(tool("x", result=text)) is (
        phrase or any(fields)
    )


@pytest.mark.parametrize(
    ("name", "text", "invalid"),
    [
        ("frob", "Unknown tool: frob", True),
        ("bash", "Tool 'bash' not found", True),
        ("page_down", "PageDownTool.forward() got an unexpected keyword argument 'x'", True),
        ("search", "1 validation error for SearchInput", True),
        ("search", "InputValidationError: required parameter `query` is missing", True),
        ("call", "MCP error -32602: bad", True),
        ("bash", "TypeError: f() got an unexpected keyword argument 'x'", False),
        ("python_interpreter", "missing 1 required positional argument: 'x'", False),
        ("run", "Traceback (most recent call last)\nTypeError: unexpected keyword argument", False),
        ("read", "File not found", False),
        ("search", "", False),
    ],
)
def test_failures_of_calls_that_no_tool_takes(name: str, text: str, invalid: bool) -> None:
    """No such tool, or not such arguments; what a program says of its own functions is neither."""
    assert is_invalid(tool(name, error=True, error_text=text)) is invalid
    assert not is_invalid(tool(name, error_text=text))
