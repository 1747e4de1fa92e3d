"""Loops over calls: sequences, likeness, results, edits, states, tools that are not there, compaction."""

from collections.abc import Callable

from otel_ext.testing import AgentRun
from tests.signals.vectors import Vector

LONG = "The quick brown fox jumps over the lazy dog while nine wizards box "
"""A result that says something."""


def read(run: AgentRun, name: str, version: int = 0) -> None:
    """Read a file whose content depends on the version."""
    run.call("read_file", {"path": f"/app/{name}.py"}, f"{LONG} {name} version {version}")


def edit(run: AgentRun, old: str, new: str, result: str = "edited", path: str = "/app/a.py") -> None:
    """Replace one text by another."""
    run.write({"file_path": path, "old_string": old, "new_string": new}, result, tool="Edit")


def failing_test(run: AgentRun, failure: str = "AssertionError: 3 != 4") -> None:
    """Run the tests, which fail."""
    run.fail("Bash", {"command": "pytest -q"}, f"1 failed: {failure}")


# loop.cycle


def sequence_of_two(run: AgentRun) -> None:
    """A, B three times, nothing changes."""
    for _ in range(3):
        read(run, "a")
        read(run, "b")


def sequence_of_eight(run: AgentRun) -> None:
    """Eight files in turn, three times."""
    for _ in range(3):
        for name in "abcdefgh":
            read(run, name)


def sequence_of_parallel_rounds(run: AgentRun) -> None:
    """Two rounds of two parallel calls each, whose order within a round varies."""
    for time in range(4):
        for names in ("ab", "cd"):
            run.think()
            for name in names if time % 2 else reversed(names):
                run.more("read_file", {"path": f"/{name}"}, f"{LONG} {name}", at_once=True)
            run.wait(1)


def sequence_with_a_failure(run: AgentRun) -> None:
    """Three reads, one of which fails each time: the failure is told by itself, and so is the rest."""
    for _ in range(5):
        read(run, "a")
        read(run, "b")
        read(run, "c")
        run.fail("read_file", {"path": "/app/d.py"}, "no such file: /app/d.py")


def two_times_through(run: AgentRun) -> None:
    """Reading three files twice is care."""
    for _ in range(2):
        for name in "abc":
            read(run, name)


def a_sequence_whose_last_result_moves(run: AgentRun) -> None:
    """Read, read, look at what was produced: it grows."""
    for version in range(6):
        read(run, "a")
        read(run, "b", version)


def a_sequence_with_new_edits(run: AgentRun) -> None:
    """Read, edit, test: each edit is another one."""
    for version in range(6):
        read(run, "a", version)
        edit(run, f"x = {version}", f"x = {version + 1}")
        run.call("Bash", {"command": "pytest -q"}, f"{version} passed")


def a_sequence_of_polls(run: AgentRun) -> None:
    """Two jobs are waited for, in turn."""
    for _ in range(8):
        run.call("job_status", {"job": 1}, "pending")
        run.call("job_status", {"job": 2}, "pending")


# loop.cycle_unverified, loop.repeat_unverified


def sequence_without_results(run: AgentRun) -> None:
    """A, B five times, results not captured."""
    for _ in range(5):
        run.call("read_file", {"path": "/a"})
        run.call("read_file", {"path": "/b"})


def five_in_a_row_without_results(run: AgentRun) -> None:
    """One call five times, results not captured."""
    for _ in range(5):
        run.call("read_file", {"path": "/a"})


def eight_of_thirty_without_results(run: AgentRun) -> None:
    """One call eight times with others between, results not captured."""
    for index in range(8):
        run.call("read_file", {"path": "/a"})
        run.call("read_file", {"path": f"/other/{index}"})


def four_in_a_row_without_results(run: AgentRun) -> None:
    """Not enough to look at."""
    for _ in range(4):
        run.call("read_file", {"path": "/a"})


def polls_without_results(run: AgentRun) -> None:
    """Polling is to repeat."""
    for _ in range(12):
        run.call("job_status", {"job": 1})


def writes_between_without_results(run: AgentRun) -> None:
    """Each is asked after something was changed."""
    for index in range(9):
        run.call("read_file", {"path": "/a"})
        run.write({"file_path": "/b", "content": f"version {index}"}, tool="Write")


# loop.near_duplicate

HITS = "Found 3 results: Alligators of the south; Wildlife west of Texas; A survey of reptiles"


def reworded_searches(run: AgentRun) -> None:
    """The same words in another order, with the same hits in another order."""
    words = ["american", "alligator", "first", "seen", "west", "of", "texas"]
    for turn in range(5):
        run.call("web_search", {"query": " ".join(words[turn:] + words[:turn])}, f"{HITS} (page {turn})")


def three_reworded_searches(run: AgentRun) -> None:
    """Three are worth a notice."""
    for extra in ("", "the", "an"):
        query = f"american alligator first seen west of texas {extra} year usgs record"
        run.call("web_search", {"query": query}, f"{HITS} for {extra or 'it'}")


def one_search_over_many_files(run: AgentRun) -> None:
    """The differing word is a path."""
    for index in range(12):
        run.call("grep", {"pattern": "def main", "path": f"/app/module_{index}.py"}, f"{LONG} line {index}")


def pages_of_one_search(run: AgentRun) -> None:
    """The differing word is the page."""
    for page in range(8):
        run.call("web_search", {"query": "american alligator west of texas", "page": page}, f"{HITS} {page}")


def records_by_id(run: AgentRun) -> None:
    """Records that look alike, one after another."""
    for index in range(9):
        order = {"order_id": f"W{1000 + index}"}
        run.call("get_order_details", order, {"status": "delivered", "items": 3, **order})


def alike_searches_with_other_hits(run: AgentRun) -> None:
    """Words alike, results not."""
    for index in range(6):
        query = f"population of the largest city in the state of texas in the year {1990 + index}"
        run.call("web_search", {"query": query}, " ".join(f"w{index}x{word}" for word in range(40)))


# loop.same_result


def eight_silent_commands(run: AgentRun) -> None:
    """The shell's null command in front of each: nothing is ever run."""
    for name in ("ls", "python3 run.py", "pytest", "which python3", "echo ok", "ls -la", "uname", "pwd"):
        run.call("Bash", {"command": f": {name}"}, "(Bash completed with no output)")


def a_tool_that_does_not_listen(run: AgentRun) -> None:
    """Whatever is asked, the same page comes back."""
    for index in range(5):
        run.call("lookup_customer", {"name": f"customer {index}"}, f"Welcome! {LONG} Please sign in first.")


def files_with_equal_content(run: AgentRun) -> None:
    """Different files may hold the same."""
    for index in range(12):
        run.call("read_file", {"path": f"/app/p{index}/__init__.py"}, f"{LONG} all the same")


def seven_small_answers(run: AgentRun) -> None:
    """An answer of few words is what many calls give."""
    for index in range(7):
        run.call("check_item", {"name": f"item {index}"}, "ok")


def commands_that_say_nothing(run: AgentRun) -> None:
    """Programs that are silent when all is well."""
    for index in range(12):
        run.call("Bash", {"command": f"python3 step_{index}.py"}, "(Bash completed with no output)")


def four_queries_without_a_hit(run: AgentRun) -> None:
    """Not enough."""
    for query in ("alpha", "beta gamma", "delta", "epsilon zeta"):
        run.call("web_search", {"query": query}, "No results found")


# loop.low_novelty, loop.tool_streak


def going_over_old_things(run: AgentRun) -> None:
    """Twenty-eight calls in no order, over nine files, results not captured."""
    for name in "abcdefghibdacgfehicabihgfedi":
        run.call("read_file", {"path": f"/app/{name}.py"})


def always_something_new(run: AgentRun) -> None:
    """Forty calls, forty contents."""
    for index in range(40):
        read(run, f"file{index}")


def one_file_that_grows(run: AgentRun) -> None:
    """One call over and over, each time with something new."""
    for version in range(40):
        read(run, "log", version)


def three_answers_to_twelve_questions(run: AgentRun) -> None:
    """One tool twelve times in a row, three results."""
    for index in range(12):
        run.call("consult", {"term": f"term {index}"}, f"{LONG} answer {index % 3}")


def exploration_of_equal_answers(run: AgentRun) -> None:
    """The same at the start of a run is finding one's way."""
    for index in range(12):
        run.call("lookup", {"term": f"term {index}"}, f"{LONG} answer {index % 3}")


# loop.edit_test_thrash


def edits_and_the_same_failure(run: AgentRun) -> None:
    """One file edited three times, the tests fail in the same way after each."""
    for version in range(3):
        edit(run, f"x = {version}", f"x = {version + 1}")
        failing_test(run)


def edits_and_the_same_build_error(run: AgentRun) -> None:
    """The same with a patch tool and a build, other calls between."""
    for version in range(4):
        patch = f"*** Begin Patch\n*** Update File: /app/a.c\n@@\n-{version}\n+{version + 1}\n*** End Patch"
        run.write({"input": patch}, "Done!", tool="apply_patch")
        read(run, "a", version)
        run.fail("shell", {"command": ["bash", "-lc", "make -j2"]}, "a.c:3: error: expected ';'")


def each_edit_moves_the_failure(run: AgentRun) -> None:
    """Another failure after each edit."""
    for version in range(6):
        edit(run, f"x = {version}", f"x = {version + 1}")
        failing_test(run, f"AssertionError: {version} != {version + 1}")


def edits_until_it_passes(run: AgentRun) -> None:
    """Two failures alike, then it passes; and again."""
    for version in range(4):
        for attempt in range(2):
            edit(run, f"x = {version}.{attempt}", f"x = {version}.{attempt + 1}")
            failing_test(run)
        edit(run, f"x = {version}.2", f"x = {version + 1}.0")
        run.call("Bash", {"command": "pytest -q"}, "1 passed")


def edits_of_several_files(run: AgentRun) -> None:
    """A change that spans files fails until the last of them is done."""
    for name in "abcdef":
        edit(run, "old_name", "new_name", path=f"/app/{name}.py")
        failing_test(run)


# loop.noop_edit


def edits_of_nothing(run: AgentRun) -> None:
    """Old and new are equal; the text differs from call to call."""
    for line in ("x = 1", "y = 2"):
        edit(run, line, line)


def edits_that_say_so(run: AgentRun) -> None:
    """The tool says that nothing was changed."""
    for line in range(3):
        edit(run, f"x{line} ", f"x{line}", "No changes were made to /app/a.py")


def one_edit_of_nothing(run: AgentRun) -> None:
    """Once happens."""
    edit(run, "x = 1", "x = 1")
    edit(run, "x = 1", "x = 2")
    edit(run, "y = 1", "y = 1")


def edits_that_change(run: AgentRun) -> None:
    """Six real edits of one file."""
    for version in range(6):
        edit(run, f"x = {version}", f"x = {version + 1}")


# loop.state_oscillation


def there_and_back_again(run: AgentRun) -> None:
    """An edit, its reverse, the edit, its reverse."""
    for _ in range(2):
        edit(run, "x = 1", "x = 2")
        edit(run, "x = 2", "x = 1")


def two_versions_in_turn(run: AgentRun) -> None:
    """A file written whole: A, B, A, B; its result names the time, so no call is the same again."""
    for time in range(4):
        content = {"file_path": "/app/a.py", "content": "AB"[time % 2]}
        run.write(content, f"written as revision {time}", tool="Write")


def one_step_back(run: AgentRun) -> None:
    """A decision that is taken back."""
    edit(run, "x = 1", "x = 2")
    edit(run, "x = 2", "x = 1")
    edit(run, "x = 1", "x = 3")


def steps_back_far_apart(run: AgentRun) -> None:
    """Taken back twice, with new things between."""
    for version in range(0, 9, 3):
        edit(run, f"x = {version}", f"x = {version + 1}")
        edit(run, f"x = {version + 1}", f"x = {version}")
        edit(run, f"x = {version}", f"x = {version + 2}")
        edit(run, f"x = {version + 2}", f"x = {version + 3}")


# loop.state_stagnation


def state(run: AgentRun, action: int, digest: str, tool: str = "click") -> None:
    """An action after which the app reports its state."""
    run.call(tool, {"target": action}, f"clicked {action}", otel_ext__state__digest=digest)


def clicks_without_effect(run: AgentRun) -> None:
    """Six different clicks, the page stays as it is."""
    for action in range(6):
        state(run, action, "page 1")


def clicks_with_effect(run: AgentRun) -> None:
    """Each click changes the page."""
    for action in range(9):
        state(run, action, f"page {action}")


def reading_a_page(run: AgentRun) -> None:
    """Reading changes nothing, and need not."""
    for action in range(9):
        state(run, action, "page 1", tool="read_element")


def clicks_without_a_state(run: AgentRun) -> None:
    """The app says nothing of its state."""
    for action in range(9):
        run.call("click", {"target": action}, f"clicked {action}")


# loop.invalid_tool


def tools_that_are_not_there(run: AgentRun) -> None:
    """One made-up tool, told in other words each time."""
    for words in ("Unknown tool: browse", "Tool 'browse' not found", "browse is not a valid tool"):
        run.fail("browse", {"url": f"https://example.org/{len(words)}"}, words)


def arguments_that_do_not_fit(run: AgentRun) -> None:
    """One tool, each time another thing is wrong with the arguments."""
    run.fail("search", {"q": "x"}, "1 validation error for Search: query is missing")
    run.fail("search", {"query": 7}, "invalid arguments: query is an integer")
    run.fail("search", {"query": "x", "top": "y"}, "search() got an unexpected keyword argument 'top'")


def arguments_that_fit_at_last(run: AgentRun) -> None:
    """One slip each time, mended at once."""
    for index in range(3):
        run.fail("search", {"q": index}, f"1 validation error for Search {index}")
        run.call("search", {"query": index}, f"{LONG} {index}")


def a_program_with_a_wrong_call(run: AgentRun) -> None:
    """What a program says of its own functions is not about the tool."""
    for name in ("alpha", "beta", "gamma"):
        text = f"{name} failed: TypeError: {name}() got an unexpected keyword argument '{name}x'"
        run.fail("Bash", {"command": f"python3 {name}.py"}, text)


# loop.compaction_persisted


def as_before(run: AgentRun, first: int) -> None:
    """A compaction, and the same read before and after it, in between each time another one."""
    for turn in range(8):
        run.think(usage=(first if turn < 2 else 12_000 + turn, 50))
        run.more("read_file", {"path": "/app/plan.md"}, f"{LONG} the plan")
        run.think(usage=(first if turn < 1 else 12_000 + turn, 50))
        run.more("read_file", {"path": f"/app/{turn}.py"}, f"{LONG} {turn}")


def back_to_the_same_after_compaction(run: AgentRun) -> None:
    """From 150,000 tokens to 12,000, and the same file is read seven times."""
    as_before(run, 150_000)


def the_same_without_compaction(run: AgentRun) -> None:
    """The input does not shrink."""
    as_before(run, 12_000)


def one_look_after_compaction(run: AgentRun) -> None:
    """What was lost is read again, once each."""
    for name in "abc":
        run.think(usage=(150_000, 50))
        run.more("read_file", {"path": f"/app/{name}.py"}, f"{LONG} {name}")
    for number, name in enumerate("abcdef"):
        run.think(usage=(12_000 + number, 50))
        run.more("read_file", {"path": f"/app/{name}.py"}, f"{LONG} {name}")


MUST = [
    Vector(sequence_of_two, "loop.cycle", "warning"),
    Vector(sequence_of_eight, "loop.cycle", "warning"),
    Vector(sequence_of_parallel_rounds, "loop.cycle", "warning"),
    Vector(sequence_with_a_failure, "loop.cycle", "warning"),
    Vector(sequence_without_results, "loop.cycle_unverified"),
    Vector(five_in_a_row_without_results, "loop.repeat_unverified"),
    Vector(eight_of_thirty_without_results, "loop.repeat_unverified"),
    Vector(reworded_searches, "loop.near_duplicate", "warning"),
    Vector(three_reworded_searches, "loop.near_duplicate", "notice"),
    Vector(eight_silent_commands, "loop.same_result", "warning"),
    Vector(a_tool_that_does_not_listen, "loop.same_result", "warning"),
    Vector(going_over_old_things, "loop.low_novelty"),
    Vector(three_answers_to_twelve_questions, "loop.tool_streak"),
    Vector(edits_and_the_same_failure, "loop.edit_test_thrash", "warning"),
    Vector(edits_and_the_same_build_error, "loop.edit_test_thrash", "warning"),
    Vector(edits_of_nothing, "loop.noop_edit", "warning"),
    Vector(edits_that_say_so, "loop.noop_edit", "warning"),
    Vector(there_and_back_again, "loop.state_oscillation", "warning"),
    Vector(two_versions_in_turn, "loop.state_oscillation", "warning"),
    Vector(clicks_without_effect, "loop.state_stagnation", "warning"),
    Vector(tools_that_are_not_there, "loop.invalid_tool", "warning"),
    Vector(arguments_that_do_not_fit, "loop.invalid_tool", "warning"),
    Vector(back_to_the_same_after_compaction, "loop.compaction_persisted", "warning"),
]

_SILENT: tuple[Callable[[AgentRun], None], ...] = (
    two_times_through,
    a_sequence_with_new_edits,
    a_sequence_of_polls,
    four_in_a_row_without_results,
    polls_without_results,
    writes_between_without_results,
    one_search_over_many_files,
    pages_of_one_search,
    records_by_id,
    alike_searches_with_other_hits,
    files_with_equal_content,
    seven_small_answers,
    commands_that_say_nothing,
    four_queries_without_a_hit,
    always_something_new,
    one_file_that_grows,
    exploration_of_equal_answers,
    each_edit_moves_the_failure,
    edits_until_it_passes,
    edits_of_several_files,
    one_edit_of_nothing,
    edits_that_change,
    one_step_back,
    steps_back_far_apart,
    clicks_with_effect,
    reading_a_page,
    clicks_without_a_state,
    arguments_that_fit_at_last,
    one_look_after_compaction,
)

MUST_NOT = [Vector(story, "loop.") for story in _SILENT] + [
    Vector(a_program_with_a_wrong_call, "loop.invalid_tool"),
    Vector(the_same_without_compaction, "loop.compaction_persisted"),
    Vector(a_sequence_whose_last_result_moves, "loop.cycle"),
    Vector(edits_and_the_same_failure, "loop.error_repeat"),
]
