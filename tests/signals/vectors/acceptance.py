"""The acceptance vectors of the specification: loops that some peer misses, and some peer's false alarms."""

from typing import Any

from otel_ext.testing import AgentRun
from tests.signals.vectors import Vector

HOUR = 3600


def page_down(run: AgentRun, arguments: dict[str, Any]) -> None:
    """A call that Python itself refuses; the failure quotes what was passed."""
    key = next(iter(arguments))
    run.fail("page_down", arguments, f"TypeError: page_down() got an unexpected keyword argument '{key}'")


def page_down_type_error(run: AgentRun) -> None:
    """The clearest loop there is: empty arguments, identical error."""
    for _ in range(3):
        page_down(run, {"": ""})


def empty_arguments(run: AgentRun) -> None:
    """An empty object that was captured is a normal value."""
    for _ in range(3):
        run.fail("page_down", {}, "TypeError: no page is open")


def mutated_arguments(run: AgentRun) -> None:
    """The arguments change, the error does not."""
    mutations: list[dict[str, Any]] = [{"": ""}, {"": {}}, {"arguments": {}}]
    for arguments in mutations:
        page_down(run, arguments)


def mutated_after_a_repeat(run: AgentRun) -> None:
    """A repeat and a variant: the variants count all three."""
    mutations: list[dict[str, Any]] = [{"": ""}, {"": ""}, {"arguments": {}}]
    for arguments in mutations:
        page_down(run, arguments)


def same_error_across_tools(run: AgentRun) -> None:
    """Five of the last six failures are alike, over three tools."""
    for index in range(5):
        run.fail(f"tool_{'abc'[index % 3]}", {"n": index}, "Error: the database user has no permission")


def varied_thought(run: AgentRun) -> None:
    """A free-text label differs, all else is equal."""
    for index in range(5):
        run.call("search", {"query": "q", "thought": f"let me try again, attempt {index}"}, "hits")


def key_order(run: AgentRun) -> None:
    """The order of keys, blanks and the spelling of numbers do not matter."""
    for text in ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', '{"a":1,"b":2}', '{"a": 1.0, "b": 2}') * 2:
        run.call("search", text, "hits")


def interleaved_reads(run: AgentRun) -> None:
    """The same read with other reads between."""
    for index in range(5):
        run.call("read_file", {"path": "/a.py"}, "the same content")
        run.call("read_file", {"path": f"/other/{index}.py"}, f"content {index}")


def abab_with_gaps(run: AgentRun) -> None:
    """A B A B, an hour apart."""
    for _ in range(5):
        for name in "ab":
            run.call("read_file", {"path": f"/{name}.py"}, f"content of {name}")
            run.wait(HOUR)


def strict_alternation(run: AgentRun) -> None:
    """Two calls in turn over ten rounds."""
    for _ in range(5):
        run.call("read_file", {"path": "/a.py"}, "content of a")
        run.call("list_files", {"path": "/"}, "a.py b.py")


def cycle_of_three(run: AgentRun) -> None:
    """A, B, C five times with the same results."""
    for _ in range(5):
        for name in "abc":
            run.call("read_file", {"path": f"/{name}.py"}, f"content of {name}")


def three_cycles_of_three(run: AgentRun) -> None:
    """A, B, C three times with the same results."""
    for _ in range(3):
        for name in "abc":
            run.call("read_file", {"path": f"/{name}.py"}, f"content of {name}")


def same_file_written_nine_times(run: AgentRun) -> None:
    """A repeated write does not reset its own key."""
    for _ in range(9):
        run.write({"file_path": "/a.py", "content": "version 1"}, "written", tool="Write")


def unknown_effect(run: AgentRun) -> None:
    """A tool of unknown effect between does not excuse an equal result."""
    for index in range(5):
        run.call("read_file", {"path": "/a.py"}, "the same content")
        run.call("mystery", {"n": index}, f"result {index}")


def one_write_repeated_between(run: AgentRun) -> None:
    """The very same write over and over does not hide the loop that it is part of."""
    for _ in range(5):
        run.call("read_file", {"path": "/a.py"}, "the same content")
        run.write({"path": "/b.py", "text": "version 1"})


def poll_thirty(run: AgentRun) -> None:
    """A poll whose answer never changes."""
    for _ in range(30):
        run.call("get_job_status", {"job": 7}, "pending")


def transient_six(run: AgentRun) -> None:
    """Six attempts are enough even for a failure that waiting mends."""
    for _ in range(6):
        run.fail("fetch", {"url": "https://example.org/a"}, "429 Too Many Requests")


def five_queries_without_a_hit(run: AgentRun) -> None:
    """Five queries, one empty result."""
    for query in ("apples", "red fruit", "pome fruit trees", "orchards", "cider makers"):
        run.call("search_documents", {"query": query}, "No documents match. Try other words.")


def edit_and_the_same_failing_test(run: AgentRun) -> None:
    """Edit, test, the same failure, three times."""
    for index in range(3):
        run.write({"path": "/a.py", "text": f"version {index}"})
        run.fail("bash", {"command": "pytest -q"}, "Exit code 1", result="FAILED test_a: 1 != 2")


def compaction_refill(run: AgentRun) -> None:
    """The context is compacted and at once full again, four times over."""
    for turn in range(4):
        for size in (185_000, 20_000, 60_000):
            run.think(usage=(size, 50))
            run.more("read_file", {"path": f"/{turn}/{size}.py"}, f"content {turn} {size} " * 50)
    run.think(usage=(185_000, 50))


def three_agents_one_missing_path(run: AgentRun) -> None:
    """A manager and two helpers each fail on the same path."""
    missing: dict[str, Any] = {"path": "/data/input.csv"}
    run.fail("read_file", missing, "FileNotFoundError: /data/input.csv")
    for name in ("first", "second"):
        with run.agent(name) as helper:
            helper.fail("read_file", missing, "FileNotFoundError: /data/input.csv")


def paid_twice(run: AgentRun) -> None:
    """The same payment succeeds twice."""
    for _ in range(2):
        run.call("create_payment", {"account": "DE12", "amount": 100}, "payment accepted")


MUST = [
    Vector(page_down_type_error, "loop.error_repeat", "warning"),
    Vector(empty_arguments, "loop.error_repeat", "warning"),
    Vector(mutated_arguments, "loop.error_variants", "warning"),
    Vector(mutated_after_a_repeat, "loop.error_variants", "warning"),
    Vector(same_error_across_tools, "loop.error_variants", "warning"),
    Vector(varied_thought, "loop.exact_repeat", "warning"),
    Vector(key_order, "loop.exact_repeat", "warning"),
    Vector(interleaved_reads, "loop.exact_repeat", "warning"),
    Vector(abab_with_gaps, "loop.exact_repeat|loop.cycle", "warning"),
    Vector(strict_alternation, "loop.exact_repeat|loop.cycle", "warning"),
    Vector(cycle_of_three, "loop.exact_repeat|loop.cycle", "warning"),
    Vector(three_cycles_of_three, "loop.cycle", "warning"),
    Vector(same_file_written_nine_times, "loop.exact_repeat", "warning"),
    Vector(unknown_effect, "loop.exact_repeat", "warning"),
    Vector(one_write_repeated_between, "loop.exact_repeat|loop.cycle", "warning"),
    Vector(poll_thirty, "loop.poll_stalled", "warning"),
    Vector(transient_six, "loop.error_repeat", "warning"),
    Vector(five_queries_without_a_hit, "loop.same_result"),
    Vector(edit_and_the_same_failing_test, "loop.edit_test_thrash|loop.error_repeat", "warning"),
    Vector(compaction_refill, "loop.compaction_thrash"),
    Vector(three_agents_one_missing_path, "waste.cross_agent_duplicate", "warning"),
    Vector(paid_twice, "risk.duplicate_side_effect", "error"),
]


def pagination(run: AgentRun) -> None:
    """page_down without arguments, a new page each time."""
    for page in range(5):
        run.call("page_down", {}, f"text of page {page}")


def poll_to_done(run: AgentRun) -> None:
    """A poll that moves."""
    for state in ("pending", "running", "done"):
        run.call("job_status", {"job": 7}, state)


def poll_nine(run: AgentRun) -> None:
    """Nine unchanged polls are patience."""
    for _ in range(9):
        run.call("job_status", {"job": 7}, "pending")


def waiting_nine(run: AgentRun) -> None:
    """The same for a tool whose result says that it still waits."""
    for _ in range(9):
        run.call("run_build", {"job": 7}, "the build is still running")


def backoff(run: AgentRun) -> None:
    """429, 429, 200 with backoff."""
    url = {"url": "https://example.org/a"}
    run.fail("fetch", url, "429 Too Many Requests")
    run.wait(2)
    run.fail("fetch", url, "429 Too Many Requests")
    run.wait(4)
    run.call("fetch", url, "body")


def rebuilds(run: AgentRun) -> None:
    """A build that fails differently after each edit."""
    for word in ("missing brace", "unknown name foo", "wrong type", "unused import", "bad indent"):
        run.fail("bash", {"command": "make"}, "Exit code 2", result=f"a.c: error: {word}")
        run.write({"path": "/a.c", "text": f"mend {word}"})
    run.call("bash", {"command": "make"}, "ok")


def read_edit_read(run: AgentRun) -> None:
    """Reading again after an edit, over and over."""
    for index in range(6):
        run.call("read_file", {"path": "/a.py"}, "the same content")
        run.write({"path": "/b.py", "text": f"version {index}"})


def fan_out(run: AgentRun) -> None:
    """Best of eight: identical calls of one response, at once."""
    run.think()
    for _ in range(8):
        run.more("sample", {"prompt": "p"}, "the same", at_once=True)


def fan_out_of_failures(run: AgentRun) -> None:
    """Eight identical failing calls of one response."""
    run.think()
    for _ in range(8):
        run.more("sample", {"prompt": "p"}, error="ValueError: no such model", at_once=True)


def batch_search(run: AgentRun) -> None:
    """The same search over twenty files."""
    for index in range(20):
        run.call("grep", {"pattern": "needle", "path": f"/src/{index}.py"}, f"/src/{index}.py: {index} hits")


def different_tests_fail(run: AgentRun) -> None:
    """test_0 and test_1 fail, each in its own way."""
    for index in range(2):
        run.fail("run_test", {"name": f"test_{index}"}, f"AssertionError: {'ab'[index]} in test_{index}")


def two_user_turns(run: AgentRun) -> None:
    """A user asks the same thing again, told as what is new since the turn before."""
    run.inputs = "new"
    two_user_turns_whole_history(run)


def two_user_turns_whole_history(run: AgentRun) -> None:
    """The same where every input holds all turns so far."""
    for _ in range(4):
        run.user("what is the weather")
        run.call("get_weather", {"city": "Rome"}, "sunny")
        run.think("It is sunny.")


def replayed_attempt(run: AgentRun) -> None:
    """One model response, replayed: its calls are one round."""
    for _ in range(5):
        run.think(response="response-1")
        run.more("search", {"query": "q"}, "hits")


def arguments_not_captured(run: AgentRun) -> None:
    """Nothing is known about the arguments."""
    for _ in range(10):
        run.call("search", None, "hits")


def arguments_redacted(run: AgentRun) -> None:
    """They were, but what stands there is the same for all."""
    for _ in range(10):
        run.call("search", "[REDACTED]", "hits")


def arguments_of_failures_not_captured(run: AgentRun) -> None:
    """The same for failures."""
    for _ in range(10):
        run.fail("search", None, "ValueError: no")


def result_not_captured(run: AgentRun) -> None:
    """Nothing is known about the results; at most a candidate may be told."""
    for index in range(10):
        run.call("search", {"query": "q"}, None)
        run.call("open", {"url": f"https://example.org/{index}"}, f"page {index}")


def snowflakes(run: AgentRun) -> None:
    """Ids that differ by one are different."""
    for index in range(6):
        run.call("get_post", {"id": 1234567890123456789 + index}, f"post {index}")


def exempt_tool(run: AgentRun) -> None:
    """Thinking is no loop."""
    for _ in range(25):
        run.call("think", {"thought": "hm"}, "ok")


def error_then_success(run: AgentRun) -> None:
    """Each failure is mended by the next attempt."""
    for index in range(3):
        run.fail("open_document", {"name": index}, "Error: locked by the editor")
        run.call("open_document", {"name": index}, f"document {index}")


def first_exploration(run: AgentRun) -> None:
    """Twelve reads before anything is done."""
    for name in (
        "main",
        "app",
        "api",
        "db",
        "auth",
        "cache",
        "jobs",
        "mail",
        "views",
        "forms",
        "urls",
        "tests",
    ):
        run.call("read_file", {"path": f"/src/{name}.py"}, f"def {name}(): return {name!r}\n" * 3)
    run.write({"path": "/src/main.py", "text": "def main(): ..."})


def every_second_span(run: AgentRun) -> None:
    """Of a sampled trace only a part arrives: a healthy run with holes."""
    for index in range(12):
        run.think()
        if index % 2:
            run.more("read_file", {"path": f"/{index}.py"}, f"content {index}")


MUST_NOT = [
    Vector(story, "loop.")
    for story in (
        pagination,
        poll_to_done,
        poll_nine,
        waiting_nine,
        backoff,
        rebuilds,
        read_edit_read,
        fan_out,
        fan_out_of_failures,
        batch_search,
        different_tests_fail,
        two_user_turns,
        two_user_turns_whole_history,
        replayed_attempt,
        arguments_not_captured,
        arguments_redacted,
        arguments_of_failures_not_captured,
        snowflakes,
        exempt_tool,
        error_then_success,
        first_exploration,
        every_second_span,
    )
] + [Vector(result_not_captured, "loop.exact_repeat")]
