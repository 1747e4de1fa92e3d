"""What a call is about: resource, lines, content, verification, pages, words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.signals import effect_of, subject_of
from otel_ext.signals.calls.commands import Target, target, verifies
from otel_ext.signals.calls.similar import KEPT, likeness, samples, sketch
from otel_ext.signals.calls.written import together
from otel_ext.step import NOT_CAPTURED, Kind, Observation, Subject


def subject(tool: str, arguments: Any = NOT_CAPTURED, result: Any = NOT_CAPTURED, **fields: Any) -> Subject:
    """What a call is about; an empty subject where nothing is known."""
    seen = Observation(kind=Kind.TOOL, name=tool, arguments=arguments, result=result, **fields)
    return subject_of(seen, effect_of(seen)) or Subject()


def shell(command: str, result: Any = NOT_CAPTURED) -> Subject:
    """The same for a command line."""
    return subject("Bash", {"command": command}, result)


SAME_FILE = [
    subject("Read", {"file_path": "/app/a.py"}),
    subject("read_file", {"path": "/app/./a.py"}),
    subject("view", {"filename": "/app/b/../a.py"}),
    subject("Edit", {"file_path": "/app/a.py", "old_string": "x", "new_string": "y"}),
    subject("fs.write", {"path": "file:///app/a.py", "content": "x"}),
    subject("apply_patch", "*** Begin Patch\n*** Update File: /app/a.py\n@@\n-x\n+y\n*** End Patch"),
    subject("apply_patch", {"patch": "--- /app/a.py\n+++ /app/a.py\n@@ -1 +1 @@\n-x\n+y\n"}),
    shell("cat /app/a.py"),
    shell("cd /app && cat a.py 2>/dev/null"),
    shell("sed -n '3,9p' /app/a.py"),
    shell("cat > /app/a.py <<'EOF'\nrm -rf /\nEOF"),
    shell("sed -i 's/x/y/' /app/a.py"),
]


def test_one_file_is_one_resource_however_it_is_named() -> None:
    """Readers, writers, patches and command lines meet in the same digest."""
    assert len({found.resource for found in SAME_FILE}) == 1
    assert SAME_FILE[0].resource is not None


@pytest.mark.parametrize(
    "found",
    [
        subject("Read"),
        subject("Read", {}),
        subject("Read", {"file_path": ""}),
        subject("Grep", {"pattern": "x", "path": "/app/a.py"}),
        subject("WebFetch", {"url": "https://a.example", "prompt": "why"}),
        subject("update_reservation", {"reservation_id": "A", "payment_id": "B"}),
        shell("grep x /app/a.py"),
        shell("cat /app/a.py | sort"),
        shell("cat a.py b.py"),
        shell("cat a.py > b.py; cat c.py"),
        shell("tail -5 a.py"),
        shell("echo 'open"),
        subject("Bash", {"description": "none"}),
    ],
)
def test_what_is_not_plain_is_not_told(found: Subject) -> None:
    """A question about a file, several ids or files, half a line."""
    assert found.resource is None


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (subject("Read", {"file_path": "a"}), (-1, -1)),
        (subject("Read", {"file_path": "a", "limit": 50}), (1, 50)),
        (subject("Read", {"file_path": "a", "offset": 100, "limit": 50}), (100, 149)),
        (subject("Read", {"file_path": "a", "offset": 100}), (100, -1)),
        (subject("view", {"path": "a", "view_range": [3, 9]}), (3, 9)),
        (subject("view", {"path": "a", "view_range": [3, -1]}), (3, -1)),
        (subject("read_file", {"path": "a", "start_line": "3", "end_line": 9}), (3, 9)),
        (subject("read_file", {"path": "a", "end_line": 9}), (1, 9)),
        (subject("read_file", {"path": "a", "offset": True, "limit": -2}), (-1, -1)),
        (shell("sed -n '3,9p' a"), (3, 9)),
        (shell("sed -n 3p a"), (3, 3)),
        (shell("sed -n '3,$p' a"), (3, -1)),
        (shell("head -20 a"), (1, 20)),
        (shell("head -n 20 a"), (1, 20)),
        (shell("head a"), (1, 10)),
        (shell("cat a | head -n5"), (1, 5)),
    ],
)
def test_lines(found: Subject, lines: tuple[int, int]) -> None:
    """The lines that were asked for, in the usual spellings."""
    assert found.resource is not None
    assert (found.first, found.last) == lines


def edit(old: str, new: str, **fields: Any) -> Subject:
    """A replacement."""
    return subject("Edit", {"file_path": "a", "old_string": old, "new_string": new}, **fields)


def test_edits_add_up() -> None:
    """An edit and its reverse are nothing, in whatever pieces they come."""
    whole = subject("Write", {"file_path": "a", "content": "x"})
    forth, back = edit("x", "y"), edit("y", "x")
    several = subject(
        "MultiEdit",
        {"edits": [{"old_string": "x", "new_string": "z"}, {"old_string": "z", "new_string": "y"}]},
    )
    assert whole.content is not None
    assert forth.content is not None
    assert back.content is not None
    assert [found.partial for found in (whole, forth, back)] == [False, True, True]
    assert together(together(whole.content, forth.content), back.content) == whole.content
    assert several.content == forth.content != back.content


@pytest.mark.parametrize(
    ("found", "unchanged"),
    [
        (edit("x", "x"), True),
        (edit("x", "y"), False),
        (edit("x", "y", result="No changes made to a"), True),
        (edit("x", "y", result="The file is unchanged."), True),
        (edit("x", "y", result={"changed": False}), True),
        (edit("x", "y", result="Updated.\n" + "no changes to\n" * 90), False),
        (edit("x", "y", error=True, error_text="No changes to make: old_string and ..."), True),
        (edit("x", "y", result='ok\n\n[metadata] {"structuredPatch": [], "originalFile": "x"}'), True),
        (edit("x", "y", result='ok\n\n[metadata] {"structuredPatch": [], "originalFile": null}'), False),
        (edit("x", "y", result='ok\n\n[metadata] {"content": "\\"structuredPatch\\": []"}'), False),
        (subject("Read", {"file_path": "a"}, "No changes to make"), False),
    ],
)
def test_what_changed_nothing(found: Subject, unchanged: bool) -> None:
    """A write that says so, or whose old and new are equal."""
    assert found.unchanged is unchanged


@pytest.mark.parametrize(
    "command",
    [
        "pytest -q",
        "cd /app && timeout 60 python3 -m pytest tests 2>&1 | tail -5",
        "npm test",
        "npm run test:unit",
        "npm run build",
        "npx tsc --noEmit",
        "go test ./...",
        "cargo build --release",
        "make -j4",
        "uv run ruff check .",
        "poetry run mypy src",
        "./gradlew test",
        "bash -n run.sh",
        "gcc -o a a.c && ./a",
    ],
)
def test_commands_that_verify(command: str) -> None:
    """Tests, builds, linters and type checkers."""
    assert verifies(command)
    assert shell(command).verifies


@pytest.mark.parametrize(
    "command",
    [
        "ls",
        "npm install",
        "cat pytest.ini",
        "python run.py",
        "go mod tidy",
        "cargo add x",
        "bash -c ls",
        "",
        "'",
    ],
)
def test_commands_that_do_not(command: str) -> None:
    """Programs that only look alike."""
    assert not verifies(command)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("run_tests", True),
        ("mcp__ide__getDiagnostics", True),
        ("lint", True),
        ("create_test", False),
        ("list_reservations", False),
    ],
)
def test_tools_that_verify(name: str, found: bool) -> None:
    """By the words of the tool's own name."""
    assert subject(name, {}).verifies is found


def test_a_command_line_that_writes_a_file() -> None:
    """Only a file that is written anew has a known content."""
    assert target("cd d && echo x > f") == Target("d/f", whole=True)
    assert target("echo x >> f") == Target("f")
    assert shell("echo x > f").content != shell("echo y > f").content
    assert shell("echo x >> f").content is None


@pytest.mark.parametrize(
    ("name", "arguments", "adds"),
    [
        ("send_email", {"to": "a"}, True),
        ("mcp__bank__pay", {"amount": 1}, True),
        ("create_ticket", {"title": "x"}, True),
        ("create_ticket", {"title": "x", "idempotencyKey": "1"}, False),
        ("create_file", {"path": "a"}, False),
        ("update_user", {"name": "x"}, False),
        ("submit", {}, False),
        ("order_status", {"id": 1}, False),
    ],
)
def test_writes_that_add(name: str, arguments: dict[str, Any], adds: bool) -> None:
    """By the leading verb; a file or a key that tells repeats makes the call the same call."""
    assert subject(name, arguments).adds is adds


def test_a_question_names_where_it_looks() -> None:
    """Not what it is about."""
    found = subject("Grep", {"pattern": "x", "path": "/app/a.py"})
    assert (found.asks, found.resource, found.place) == (True, None, SAME_FILE[0].resource)


def test_pages() -> None:
    """A number under one of the usual names."""
    pages = ({"page": 3}, {"offset": "40"}, {"cursor": "abc"}, {"page": True}, {"page": -1})
    assert [subject("list", each).page for each in pages] == [3, 40, -1, -1, -1]


def test_words_are_those_of_calls_that_ask() -> None:
    """Labels do not count, writes and long arguments have none."""
    plain = subject("search", {"query": "red shoes"}, "No hits")
    assert plain.words == subject("search", {"query": "shoes RED", "description": "again"}).words != b""
    assert plain.result_words != b""
    assert subject("Write", {"content": "red shoes"}).words == b""
    assert subject("search", {"query": "red " * 1000}).words == b""


texts = st.lists(st.sampled_from("abcdefgh"), max_size=12).map(" ".join)


@given(texts, texts)
def test_the_likeness_of_short_texts_is_exact(one: str, other: str) -> None:
    """Shared words / all words."""
    first, second = set(one.split()), set(other.split())
    expected = len(first & second) / len(first | second) if first and second else 0.0
    assert likeness(sketch(one), sketch(other)) == pytest.approx(expected)


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_likeness_is_symmetric_and_bounded(one: str, other: str) -> None:
    """Whatever the letters."""
    first, second = sketch(one), sketch(other)
    assert len(first) <= 4 * KEPT
    assert 0.0 <= likeness(first, second) == likeness(second, first) <= 1.0
    assert likeness(first, first) == bool(first)


def test_the_likeness_of_long_texts_is_near() -> None:
    """200 words each, half of them shared: a third, which a sketch of 32 tells within .2."""
    one = " ".join(f"w{number}" for number in range(200))
    other = " ".join(f"w{number}" for number in range(100, 300))
    assert abs(likeness(sketch(one), sketch(other)) - 1 / 3) < 0.2


def test_a_shared_header_does_not_make_two_long_results_alike() -> None:
    """The middle and the end count as well."""
    one = "header " * 100 + " ".join(f"left{number}" for number in range(300))
    other = "header " * 100 + " ".join(f"right{number}" for number in range(300))
    assert likeness(sketch(samples(one)), sketch(samples(other))) < 0.5


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(
    [7, "path", "url", "id", "content", "edits", "old_string", "view_range", "limit", "command"]
)


@given(
    st.sampled_from(["Read", "Edit", "Bash", "apply_patch", "frob"]),
    json | st.dictionaries(keys, json, max_size=5),
    json,
)
def test_it_never_raises(tool: str, arguments: Any, result: Any) -> None:
    """Whatever JSON a call carries."""
    subject(tool, arguments, result)


@given(st.text(max_size=80))
def test_no_command_line_raises(command: str) -> None:
    """Whatever is in it."""
    target(command)
    verifies(command)
