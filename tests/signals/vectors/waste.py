"""Waste: what repeats, is read again, retried, carried along or lost, and what only looks like it."""

from otel_ext.testing import AgentRun
from tests.signals.vectors import Vector

PAGE = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all.\n"


def read_twice(run: AgentRun) -> None:
    """The same file, unchanged, still in the context."""
    run.call("read_file", {"path": "a.py"}, PAGE)
    run.call("read_file", {"path": "b.py"}, PAGE * 2)
    run.call("read_file", {"path": "a.py"}, PAGE)


def read_edit_read(run: AgentRun) -> None:
    """A file read again after it was edited."""
    run.call("read_file", {"path": "a.py"}, PAGE)
    run.write({"path": "a.py", "old_string": "x", "new_string": "y"})
    run.call("read_file", {"path": "a.py"}, PAGE)


def read_after_a_command(run: AgentRun) -> None:
    """Nobody knows what the command did."""
    run.call("read_file", {"path": "a.py"}, PAGE)
    run.call("bash", {"command": "./build.sh"}, "built")
    run.call("read_file", {"path": "a.py"}, PAGE)


def read_after_an_hour(run: AgentRun) -> None:
    """Half an hour later it is worth asking again."""
    run.call("fetch_url", {"url": "https://example.org/news"}, PAGE)
    run.wait(1800)
    run.call("fetch_url", {"url": "https://example.org/news"}, PAGE)


def read_for_two_people(run: AgentRun) -> None:
    """Each user turn asks anew."""
    for _ in range(2):
        run.user("what does a.py say?")
        run.call("read_file", {"path": "a.py"}, PAGE)


def lines_read_before(run: AgentRun) -> None:
    """Lines 20 to 40 after lines 1 to 50."""
    run.call("read_file", {"path": "a.py", "start_line": 1, "end_line": 50}, PAGE * 50)
    run.call("read_file", {"path": "a.py", "start_line": 20, "end_line": 40}, PAGE * 20)


def lines_read_one_after_the_other(run: AgentRun) -> None:
    """Adjacent and overlapping ranges, each with something new."""
    for first in range(1, 200, 40):
        run.call("read_file", {"path": "a.py", "start_line": first, "end_line": first + 50}, f"{first} " * 50)


def lines_read_after_an_edit(run: AgentRun) -> None:
    """A part is looked at again after the file was changed."""
    run.call("read_file", {"path": "a.py", "start_line": 1, "end_line": 50}, PAGE * 50)
    run.write({"path": "a.py", "old_string": "x", "new_string": "y"})
    run.call("read_file", {"path": "a.py", "start_line": 20, "end_line": 40}, PAGE * 20)


def compacted(run: AgentRun, rounds: int = 1) -> None:
    """A file is read, the context compacted, the file read again."""
    for index in range(6):
        run.think(usage=(20_000 + index * 1000, 50))
        run.more("read_file", {"path": f"{index}.py"}, PAGE * (index + 2))
    for _ in range(rounds):
        run.think(usage=(5_000, 50))
        run.more("list_files", {"path": "."}, f"{run.time} 0.py 1.py")
        run.think(usage=(6_000, 50))
        run.more("read_file", {"path": "0.py"}, PAGE * 2)
        run.think(usage=(6_500, 50))


def side_call(run: AgentRun) -> None:
    """A small prompt in between is no compaction."""
    run.think(usage=(20_000, 50))
    run.more("read_file", {"path": "0.py"}, PAGE * 2)
    run.think(usage=(500, 5))
    run.think(usage=(20_500, 50))
    run.more("read_file", {"path": "0.py"}, PAGE * 2)


def asked_twice_at_once(run: AgentRun) -> None:
    """One response holds the same search twice."""
    run.think()
    run.more("search", {"query": "otel"}, PAGE, at_once=True)
    run.more("search", {"query": "otel"}, PAGE)


def sampled_at_once(run: AgentRun) -> None:
    """The same question to a sampling tool, a new answer each time."""
    run.think()
    for index in range(4):
        run.more("ask_model", {"prompt": "name a colour"}, f"colour {index}", at_once=index < 3)


def different_at_once(run: AgentRun) -> None:
    """A fan-out over different files."""
    run.think()
    for index in range(8):
        run.more("read_file", {"path": f"{index}.py"}, PAGE, at_once=index < 7)


def managers_and_helpers(run: AgentRun) -> None:
    """A manager and two helpers meet the same missing path, one after the other."""
    run.fail("read_file", {"path": "/srv/data.csv"}, "FileNotFoundError: /srv/data.csv does not exist")
    for name in ("reader", "writer"):
        with run.agent(name) as helper:
            helper.fail(
                "read_file", {"path": "/srv/data.csv"}, "FileNotFoundError: /srv/data.csv does not exist"
            )
            helper.think("it is not there")


def helpers_read_alike(run: AgentRun) -> None:
    """Two helpers read the same page."""
    for name in ("reader", "writer"):
        with run.agent(name) as helper:
            helper.call("fetch_url", {"url": "https://example.org/long"}, PAGE)
            helper.think(f"read by {name}")


def helpers_with_a_write_between(run: AgentRun) -> None:
    """The second helper reads what the first one wrote."""
    for name in ("reader", "writer"):
        with run.agent(name) as helper:
            helper.call("read_file", {"path": "a.py"}, PAGE)
            helper.write({"path": "a.py", "old_string": name, "new_string": "y"})


def helpers_read_different_pages(run: AgentRun) -> None:
    """Each helper has a page of its own."""
    for name in ("reader", "writer"):
        with run.agent(name) as helper:
            helper.call("fetch_url", {"url": f"https://example.org/{name}"}, PAGE + name)


def storm(run: AgentRun) -> None:
    """The search service says 429 to each of four different queries."""
    for index in range(4):
        run.fail("web_search", {"query": f"attempt {index}"}, "429 Too Many Requests")
    run.think("it does not work")


def model_storm(run: AgentRun) -> None:
    """The model itself is overloaded, four times in a row."""
    for _ in range(4):
        run.think(usage=None, error="overloaded_error: Overloaded")
    run.think("at last")


def backed_off(run: AgentRun) -> None:
    """429, 429, 200 with growing waits."""
    run.fail("web_search", {"query": "otel"}, "429 Too Many Requests")
    run.wait(2)
    run.fail("web_search", {"query": "otel"}, "429 Too Many Requests")
    run.wait(8)
    run.call("web_search", {"query": "otel"}, PAGE)


def different_sites_time_out(run: AgentRun) -> None:
    """Three sites, three timeouts: bad luck."""
    for name in ("one", "two", "three"):
        run.fail("fetch_url", {"url": f"https://{name}.example"}, "Read timed out after 30 s")


def programming_errors(run: AgentRun) -> None:
    """What a programming error explains does not pass by waiting."""
    for index in range(4):
        run.fail("run_query", {"q": index}, f"TypeError: timeout must be a number, not {index}")


def quick_retries(run: AgentRun) -> None:
    """Three calls, each tried again at once after a timeout, each time with success."""
    for index in range(3):
        run.fail("query", {"sql": f"select {index}"}, "Connection reset by peer")
        run.time -= 400_000_000
        run.more("query", {"sql": f"select {index}"}, f"{index} rows")


def patient_retries(run: AgentRun) -> None:
    """The same with five seconds between."""
    for index in range(3):
        run.fail("query", {"sql": f"select {index}"}, "Connection reset by peer")
        run.wait(5)
        run.more("query", {"sql": f"select {index}"}, f"{index} rows")


def nested_retries(run: AgentRun) -> None:
    """Two attempts of a tool, each with three failing attempts of a client inside of it."""
    for _ in range(2):
        run.think()
        outer = run.more("fetch_page", {"page": 1}, error="503 Service Unavailable", lasts=3, at_once=True)
        under, run._under = run._under, outer.span_id
        for _ in range(3):
            run.more("http_get", {"path": "/page"}, error="503 Service Unavailable", lasts=0.2)
        run._under = under
        run.wait(2)


def retries_in_one_layer(run: AgentRun) -> None:
    """The inner layer alone retries."""
    run.think()
    outer = run.more("fetch_page", {"page": 1}, error="503 Service Unavailable", lasts=9, at_once=True)
    under, run._under = run._under, outer.span_id
    for index in range(6):
        run.more("http_get", {"path": "/page"}, error="503 Service Unavailable", lasts=0.2)
        run.wait(2**index / 8)
    run._under = under


def cache_lost(run: AgentRun) -> None:
    """A growing prompt, read from the cache but for one call."""
    for index, cached in enumerate((0, 8000, 9000, 0, 11_000)):
        run.think(usage=(9000 + index * 1000, 50), cached=cached)
        run.more("read_file", {"path": f"{index}.py"}, f"{index} {PAGE}")


def cache_expired(run: AgentRun) -> None:
    """Ten minutes later the cache has gone by itself."""
    for index in range(3):
        run.think(usage=(9000 + index * 1000, 50), cached=8000 * (index == 1))
        run.wait(600 * (index == 1))


def cache_not_reported(run: AgentRun) -> None:
    """A call that does not tell what it read from the cache."""
    for cached in (0, 8000, 9000, None, 9500):
        run.think(usage=(10_000, 50), cached=cached)


def cache_of_a_side_call(run: AgentRun) -> None:
    """A small prompt in between was never cached."""
    for usage, cached in (((9000, 50), 0), ((9500, 50), 9000), ((800, 5), 0), ((9900, 50), 9500)):
        run.think(usage=usage, cached=cached)


def written_never_read(run: AgentRun) -> None:
    """Every call writes to the cache, none reads."""
    for index in range(4):
        run.think(usage=(9000 + index, 50), cached=0, created=8000)


def written_and_read(run: AgentRun) -> None:
    """Each call reads what the one before wrote."""
    for index in range(4):
        run.think(
            usage=(9000 + index * 500, 50), cached=8500 * (index > 0), created=500 + 8500 * (index == 0)
        )


def cut_and_anew(run: AgentRun) -> None:
    """An answer is cut at its limit and asked for again from the start."""
    run.think("a long", usage=(5000, 4000), finish="length")
    run.think("a shorter answer", usage=(5010, 900), finish="stop")


def cut_and_continued(run: AgentRun) -> None:
    """A cut answer is sent back in and continued."""
    run.think("a long", usage=(5000, 4000), finish="length")
    run.think("answer", usage=(9020, 900), finish="stop")


def swollen(run: AgentRun) -> None:
    """Small results, yet the context grows by thousands a call."""
    for index in range(8):
        run.think(usage=(4000 + index * 4000, 50))
        run.more("read_file", {"path": f"{index}.py"}, f"{index} {PAGE}")


def well_fed(run: AgentRun) -> None:
    """The context grows by what was read."""
    for index in range(8):
        run.think(usage=(4000 + index * 4000, 50))
        run.more("read_file", {"path": f"{index}.py"}, f"{index} " + "word " * 3200)


def flooded(run: AgentRun) -> None:
    """One result of 30,000 tokens."""
    run.call("read_file", {"path": "log.txt"}, "0123456789abcdef" * 7500)
    run.think(usage=(32_000, 50))


def half_the_context(run: AgentRun) -> None:
    """A result of 10,000 tokens in a context of 20,000."""
    run.call("read_file", {"path": "log.txt"}, "0123456789abcdef" * 2500)
    run.think(usage=(20_000, 50))


def small_share(run: AgentRun) -> None:
    """The same result in a context of 100,000."""
    run.think(usage=(94_000, 50))
    run.more("read_file", {"path": "log.txt"}, "0123456789abcdef" * 2500)
    run.think(usage=(100_000, 50))


def slept(run: AgentRun) -> None:
    """A tool sleeps for a minute in all."""
    for _ in range(3):
        run.call("sleep", {"seconds": 20}, "slept", lasts=20)


def polled_steadily(run: AgentRun) -> None:
    """A job that moves is asked every minute for ten minutes."""
    for index in range(10):
        run.call("job_status", {"id": 7}, f"{index * 10} %")
        run.wait(60)


def polled_more_and_more_slowly(run: AgentRun) -> None:
    """The same with growing waits."""
    for index in range(8):
        run.call("job_status", {"id": 7}, f"{index * 10} %")
        run.wait(10 * 1.6**index)


def one_by_one(run: AgentRun) -> None:
    """After the first change, eight files in eight turns."""
    run.write({"path": "a.py", "old_string": "x", "new_string": "y"})
    for index in range(8):
        run.call("read_file", {"path": f"{index}.py"}, f"{index} {PAGE}")


def explored(run: AgentRun) -> None:
    """Twelve files before the first change: that is how work begins."""
    for index in range(12):
        run.call("read_file", {"path": f"{index}.py"}, f"{index} {PAGE}")
    run.write({"path": "a.py", "old_string": "x", "new_string": "y"})


def turned_pages(run: AgentRun) -> None:
    """Pages come one after the other."""
    run.write({"path": "a.py", "old_string": "x", "new_string": "y"})
    for page in range(8):
        run.call("list_items", {"page": page}, f"{page} {PAGE}")


def idle_helpers(run: AgentRun) -> None:
    """Three helpers that make one call each, beside a manager that makes several."""
    for index in range(3):
        run.call("list_files", {"path": str(index)}, PAGE)
        with run.agent(f"helper {index}") as helper:
            helper.call("read_file", {"path": f"{index}.py"}, f"{index} {PAGE}")
            helper.think("done")
    with run.agent("worker") as worker:
        for index in range(3):
            worker.call("read_file", {"path": f"other {index}.py"}, f"other {index} {PAGE}")


def busy_helpers(run: AgentRun) -> None:
    """Helpers that each do some work."""
    for index in range(3):
        with run.agent(f"helper {index}") as helper:
            for part in range(4):
                helper.call("read_file", {"path": f"{index}/{part}.py"}, f"{index} {part} {PAGE}")


def left_behind(run: AgentRun) -> None:
    """A helper goes on for a minute after its manager ended."""
    run.think("go")
    helper = run.agent("helper")
    helper.think("working", lasts=60)
    run.wait(2)
    run.until = run.time


def waited_for(run: AgentRun) -> None:
    """A manager waits for its helper."""
    with run.agent("helper") as helper:
        helper.think("working", lasts=60)
    run.think("thanks")


def on_and_on(run: AgentRun) -> None:
    """Three more turns after the final answer."""
    run.call("final_answer", {"answer": "42"}, "42")
    for index in range(3):
        run.call("read_file", {"path": f"{index}.py"}, f"{index} {PAGE}")


def answered(run: AgentRun) -> None:
    """A final answer, and then a person asks for more."""
    run.user("how much?")
    run.call("final_answer", {"answer": "42"}, "42")
    run.user("and how many?")
    for index in range(3):
        run.call("read_file", {"path": f"{index}.py"}, f"{index} {PAGE}")
    run.call("final_answer", {"answer": "43"}, "43")


def failed_to_answer(run: AgentRun) -> None:
    """A final answer that was refused is none."""
    run.fail("final_answer", {"answer": "42"}, "ValueError: answer must be a sentence")
    for index in range(3):
        run.call("read_file", {"path": f"{index}.py"}, f"{index} {PAGE}")


def written_over(run: AgentRun) -> None:
    """A file is written whole twice, and nothing looked at it in between."""
    run.write({"file_path": "a.py", "content": "one"}, tool="write_file")
    run.write({"file_path": "a.py", "content": "two"}, tool="write_file")


def written_and_tested(run: AgentRun) -> None:
    """A test ran in between."""
    run.write({"file_path": "a.py", "content": "one"}, tool="write_file")
    run.call("bash", {"command": "pytest -q"}, "1 failed")
    run.write({"file_path": "a.py", "content": "two"}, tool="write_file")


def edited_twice(run: AgentRun) -> None:
    """Edits add up."""
    run.write({"file_path": "a.py", "old_string": "a", "new_string": "b"})
    run.write({"file_path": "a.py", "old_string": "c", "new_string": "d"})


def failed_once(run: AgentRun) -> None:
    """A failure that is part of no loop."""
    run.fail("read_file", {"path": "b.py"}, "FileNotFoundError: b.py does not exist")
    run.call("read_file", {"path": "a.py"}, PAGE)


def failures_that_pass(run: AgentRun) -> None:
    """What waiting mends is nobody's fault."""
    run.fail("fetch", {"url": "https://example.org"}, "503 Service Unavailable")
    run.wait(5)
    run.call("fetch", {"url": "https://example.org"}, "page")


def dear_run(run: AgentRun) -> None:
    """Of 21 workers one uses ten times the tokens of the others."""
    for index in range(21):
        with run.agent("spending worker") as worker:
            worker.think(usage=(40_000 if index == 20 else 4_000, 50))


def growing_runs(run: AgentRun) -> None:
    """Workers whose use differs, none by much."""
    for index in range(22):
        with run.agent("steady worker") as worker:
            worker.think(usage=(20_000 + 2_000 * index, 50))


def spent_fast(run: AgentRun) -> None:
    """Six calls a minute with two million tokens each, for five minutes."""
    for index in range(26):
        run.think(f"thought {index}", usage=(2_000_000, 50), lasts=9.5)


def spent_in_one_minute(run: AgentRun) -> None:
    """The same for a minute, and then slowly."""
    for index in range(9):
        run.think(f"thought {index}", usage=(2_000_000, 50), lasts=9.5 if index < 6 else 60)


MUST = [
    Vector(read_twice, "waste.redundant_read"),
    Vector(lines_read_before, "waste.subsumed_read"),
    Vector(compacted, "waste.compaction_reread"),
    Vector(asked_twice_at_once, "waste.duplicate_fanout"),
    Vector(managers_and_helpers, "waste.cross_agent_duplicate", "warning"),
    Vector(helpers_read_alike, "waste.cross_agent_duplicate"),
    Vector(failed_once, "waste.failed_call"),
    Vector(storm, "waste.retry_storm", "warning"),
    Vector(model_storm, "waste.retry_storm", "warning"),
    Vector(quick_retries, "waste.retry_no_backoff"),
    Vector(nested_retries, "waste.retry_amplification"),
    Vector(cache_lost, "waste.cache_bust"),
    Vector(written_never_read, "waste.cache_write_unread"),
    Vector(swollen, "waste.context_growth"),
    Vector(flooded, "waste.oversized_result"),
    Vector(half_the_context, "waste.oversized_result"),
    Vector(cut_and_anew, "waste.truncated_output"),
    Vector(slept, "waste.sleep_poll"),
    Vector(polled_steadily, "waste.sleep_poll"),
    Vector(one_by_one, "waste.no_batch"),
    Vector(idle_helpers, "waste.over_delegation"),
    Vector(left_behind, "waste.abandoned_subagent"),
    Vector(on_and_on, "waste.post_completion"),
    Vector(written_over, "waste.shadowed_write"),
    Vector(dear_run, "waste.cost_spike"),
    Vector(spent_fast, "waste.cost_velocity"),
]

MUST_NOT = [
    Vector(read_edit_read, "waste.redundant_read"),
    Vector(read_after_a_command, "waste.redundant_read"),
    Vector(read_after_an_hour, "waste.redundant_read"),
    Vector(read_for_two_people, "waste.redundant_read"),
    Vector(compacted, "waste.redundant_read"),
    Vector(lines_read_one_after_the_other, "waste.subsumed_read"),
    Vector(lines_read_after_an_edit, "waste.subsumed_read"),
    Vector(side_call, "waste.compaction_reread"),
    Vector(sampled_at_once, "waste.duplicate_fanout"),
    Vector(different_at_once, "waste.duplicate_fanout"),
    Vector(helpers_with_a_write_between, "waste.cross_agent_duplicate"),
    Vector(helpers_read_different_pages, "waste.cross_agent_duplicate"),
    Vector(backed_off, "waste.retry"),
    Vector(different_sites_time_out, "waste.retry_storm"),
    Vector(programming_errors, "waste.retry_storm"),
    Vector(patient_retries, "waste.retry_no_backoff"),
    Vector(retries_in_one_layer, "waste.retry_amplification"),
    Vector(cache_expired, "waste.cache_bust"),
    Vector(cache_not_reported, "waste.cache_bust"),
    Vector(cache_of_a_side_call, "waste.cache_bust"),
    Vector(written_and_read, "waste.cache_write_unread"),
    Vector(well_fed, "waste.context_growth"),
    Vector(small_share, "waste.oversized_result"),
    Vector(cut_and_continued, "waste.truncated_output"),
    Vector(polled_more_and_more_slowly, "waste.sleep_poll"),
    Vector(explored, "waste.no_batch"),
    Vector(turned_pages, "waste.no_batch"),
    Vector(busy_helpers, "waste.over_delegation"),
    Vector(waited_for, "waste.abandoned_subagent"),
    Vector(answered, "waste.post_completion"),
    Vector(failed_to_answer, "waste.post_completion"),
    Vector(written_and_tested, "waste.shadowed_write"),
    Vector(edited_twice, "waste.shadowed_write"),
    Vector(failures_that_pass, "waste.failed_call"),
    Vector(growing_runs, "waste.cost_spike"),
    Vector(spent_in_one_minute, "waste.cost_velocity"),
]
