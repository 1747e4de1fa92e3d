"""Onset, revisions, final words; who owns a span; what a repeat cost."""

import pytest

from otel_ext.signals import RULES, Call, Context, Finding, Limits, Rule, RuleSettings, Settings, Signals
from otel_ext.step import Effect, Kind
from tests.signals.builders import SECOND, TRACE, Run, digest, final, loops, play


def told(findings: list[Finding], signal: str = "loop.exact_repeat") -> list[tuple[int, str, int, str]]:
    """Revision, status, count and severity of each revision of a signal."""
    return [
        (found.revision, found.status, found.count, found.severity)
        for found in findings
        if found.signal == signal
    ]


def test_revisions_are_geometric_or_worse() -> None:
    """A revision comes at twice the count or a worse severity, and once at the end."""
    run = Run()
    for _ in range(13):
        run.call()
    found = play(run)
    assert told(found) == [
        (1, "onset", 3, "notice"),
        (2, "ongoing", 5, "warning"),
        (3, "ongoing", 6, "warning"),
        (4, "ongoing", 10, "error"),
        (5, "ongoing", 12, "error"),
        (6, "persisted", 13, "error"),
    ]
    assert len({one.id for one in found}) == 1
    assert len(found[0].id) == 32


def test_a_new_result_is_recovery_and_a_new_loop_a_new_finding() -> None:
    """Progress ends an episode; what begins after it has an id of its own."""
    run = Run()
    for result in ("x", "y"):
        for _ in range(3):
            run.call("read", "a", result)
    found = play(run)
    assert told(found) == [
        (1, "onset", 3, "notice"),
        (2, "recovered", 3, "notice"),
        (1, "onset", 3, "notice"),
        (2, "persisted", 3, "notice"),
    ]
    assert len({one.id for one in found}) == 2


def test_a_write_by_another_call_is_recovery() -> None:
    """After another call's successful write the same read is worth asking again."""
    run = Run()
    for _ in range(3):
        run.call()
    run.write()
    run.call()
    run.call()
    assert told(play(run))[-1] == (2, "recovered", 3, "notice")


def test_a_failed_write_changes_nothing() -> None:
    """A write that failed does not reset a repeat."""
    run = Run()
    for index in range(3):
        run.call()
        run.fail("edit", index, f"e{index}", effect=Effect.WRITE)
    assert told(play(run))[-1] == (2, "persisted", 3, "notice")


def test_a_write_repeated_unchanged_hides_no_loop() -> None:
    """A read and the very same write in turn are one loop: the write changed nothing after the first."""
    run = Run()
    for _ in range(5):
        run.write()
        run.call()
    (finding,) = final(play(run)).values()
    assert (finding.signal, finding.tool, finding.count) == ("loop.cycle", "edit, read", 10)


def test_a_write_under_changing_labels_does_not_reset_itself() -> None:
    """The same write with another thought each time is one loop, probable."""
    run = Run()
    for index in range(5):
        run.call("save", ("x", index), "ok", effect=Effect.WRITE, relaxed_hash=digest("save", "x"))
    (finding,) = final(play(run)).values()
    assert (finding.count, finding.confidence, finding.missing) == (5, "probable", ["exact_arguments"])


def test_one_user_turn_told_again_and_again_is_one_turn() -> None:
    """Inputs that repeat the whole history bring the same turn each time; that is no reset."""
    run = Run()
    for _ in range(5):
        run.think(user_turns=1, user_turn=digest("question"))
        run.more()
    assert told(play(run))[-1] == (3, "persisted", 5, "warning")


def test_a_user_turn_ends_an_episode() -> None:
    """What was open when a person spoke lasted to the end of its turn."""
    run = Run()
    run.think(user_turns=1, user_turn=digest("one"))
    for _ in range(3):
        run.call()
    run.think(user_turns=1, user_turn=digest("two"))
    run.more()
    assert told(play(run)) == [(1, "onset", 3, "notice"), (2, "persisted", 3, "notice")]


def test_the_success_of_a_call_clears_only_its_own_key() -> None:
    """Another call's success leaves a repeated failure standing."""
    run = Run()
    run.fail("read", "a")
    run.call("read", "b", "fine")
    run.fail("read", "a")
    run.call("read", "a", "fine")
    assert told(play(run), "loop.error_repeat") == [(1, "onset", 2, "notice"), (2, "recovered", 2, "notice")]


def test_a_success_halves_the_variants() -> None:
    """Each success of a tool halves what was counted against it, until it has recovered."""
    run = Run()
    for index in range(3):
        run.fail("open", index, "denied")
    run.call("open", "x", "fine")
    assert told(play(run), "loop.error_variants")[-1] == (2, "recovered", 3, "warning")


@pytest.mark.parametrize(("error", "status"), [(False, "persisted"), (True, "terminated")])
def test_a_failed_agent_terminates_its_episodes(error: bool, status: str) -> None:
    """An agent that ends by a failure was stopped; one that ends well kept its loop to the end."""
    signals, run = Signals(), Run()
    for _ in range(3):
        run.call()
    agent = run.agent_step()
    agent.error = error
    found = [one for step in [agent, *run.steps] for one in signals.open(step, step.start)]
    found += signals.close(agent, agent.end)
    assert told(found)[-1][1] == status


def test_a_reopened_lane_repeats_no_id() -> None:
    """Steps that come after their agent's end open its lane anew, under new ids."""
    signals, run = Signals(), Run()
    for _ in range(3):
        run.call()
    agent = run.agent_step()
    found = [one for step in [agent, *run.steps] for one in signals.open(step, step.start)]
    found += signals.close(agent, agent.end)
    late = Run(prefix="late")
    for _ in range(3):
        late.call()
    found += [one for step in late.steps for one in signals.open(step, step.start)]
    found += signals.end_trace(TRACE, "terminated", run.time)
    assert [one[1] for one in told(found)] == ["onset", "persisted", "onset", "terminated"]
    assert len({one.id for one in found}) == 2


def test_one_owner_per_span() -> None:
    """A repeat owns its spans; the variants show them as evidence, but their cost is counted once."""
    run = Run()
    steps = [run.fail("open", arguments, "denied") for arguments in ("a", "a", "b", "c")]
    run.fail("close", "x", "busy")
    by_signal = {one.signal: one for one in final(play(run)).values()}
    repeat, variants = by_signal["loop.error_repeat"], by_signal["loop.error_variants"]
    assert (repeat.evidence, repeat.context) == ([step.span_id for step in steps[:2]], [])
    assert (variants.count, variants.distinct_arguments) == (4, 3)
    assert variants.evidence == [step.span_id for step in steps]
    assert variants.context == repeat.evidence
    assert (repeat.waste.input_tokens, variants.waste.input_tokens) == (1000, 2000)
    failed = by_signal["waste.failed_call"]
    assert (failed.tool, failed.count, failed.severity, failed.waste.basis) == ("close", 1, "notice", "none")


def test_failed_calls_are_told_once_a_tool_and_failure() -> None:
    """Failures outside loops make one notice each kind, at the end; a later success is said."""
    run = Run()
    run.fail("open", "a", "denied")
    run.call("open", "b", "fine")
    run.fail("close", "a", "busy")
    run.fail("fetch", "a", "429", transient=True)
    told = [one for one in play(run) if one.signal == "waste.failed_call"]
    found = [(one.tool, one.status, one.count, one.severity) for one in told]
    assert found == [("open", "recovered", 1, "notice"), ("close", "persisted", 1, "notice")]


def test_waste_counts_model_turns_and_tool_time_of_repeats_only() -> None:
    """The first occurrence is free; each repeat costs its share of the turn that issued it."""
    run = Run()
    for _ in range(4):
        run.call(lasts=SECOND // 4)
        run.more("other", run.time, run.time)  # half of each turn belongs to another call
    waste = next(iter(final(play(run)).values())).waste
    assert (waste.input_tokens, waste.output_tokens, waste.basis) == (3 * 500, 3 * 25, "measured")
    assert waste.duration == 3 * SECOND // 4


def test_waste_is_estimated_where_no_usage_was_reported() -> None:
    """A turn that reports no tokens leaves the result's bytes / 4, and says so."""
    run = Run()
    for index in range(3):
        run.think(input_tokens=0 if index else 1000, output_tokens=None)
        run.more()
    (finding,) = final(play(run)).values()
    assert (finding.waste.input_tokens, finding.waste.basis) == (200, "estimated")
    assert finding.missing == ["usage"]


def test_overlapping_repeats_cost_their_union() -> None:
    """Wall time is the union of intervals, not their sum."""
    run = Run()
    for _ in range(3):
        run.call(lasts=10 * SECOND)
    (finding,) = final(play(run)).values()
    # Repeats run from second 3 to 13 and 5 to 15.
    assert finding.waste.duration == 12 * SECOND


def test_evidence_is_bounded_and_keeps_its_ends() -> None:
    """First, second and last are always listed, at most 16 in all; the rest is counted."""
    run = Run()
    steps = [run.call() for _ in range(100)]
    (finding,) = final(play(run)).values()
    assert finding.evidence[:2] == [steps[0].span_id, steps[1].span_id]
    assert finding.evidence[-1] == steps[-1].span_id
    assert len(finding.evidence) <= 16
    assert (finding.evidence_count, finding.evidence_dropped) == (100, 100 - len(finding.evidence))
    assert finding.waste.input_tokens == 99 * 1000


def test_an_explanation_is_one_sentence_that_names_the_facts() -> None:
    """Tool, count, what repeated, how long, what it cost, what to do."""
    run = Run()
    for _ in range(5):
        run.call("read_file")
    (finding,) = final(play(run)).values()
    assert finding.explanation == (
        "read_file was called 5 times in 8 s with the same arguments and got the same result each time, the "
        "repeats costing 4,200 tokens and 2 s; nothing changed between the calls, so let the "
        "agent use the result it has, or stop it."
    )


def test_json_has_the_contract_fields_first() -> None:
    """The command line's fields come in their order, times as decimal strings, ids as hex."""
    run = Run()
    for _ in range(3):
        run.call()
    shown = play(run)[0].as_json()
    assert " ".join(shown).startswith(
        "signal id revision status severity confidence trace_id session_id agent tool count start end "
        "evidence waste missing explanation "
    )
    assert shown["trace_id"] == TRACE.hex()
    assert shown["start"].isdecimal()
    assert all(len(span) == 16 for span in shown["evidence"])
    assert (shown["agent"], shown["session_id"], shown["service"]) == ("solver", "conversation", "shop")


class Broken(Rule[Limits]):
    """A rule that raises at every step."""

    id = "X-1"
    signal = "loop.broken"

    def call(self, context: Context, call: Call) -> None:
        """Raise."""
        raise RuntimeError(call.tool)

    def model(self, context: Context, step: object) -> None:
        """Raise."""
        raise KeyError


def test_a_rule_that_raises_is_isolated_and_counted() -> None:
    """The other rules find what they find; each raise is counted."""
    run = Run()
    for _ in range(3):
        run.call()
    signals = Signals(rules=[Broken, *RULES])
    assert told(play(run, signals=signals)) == told(play(run))
    assert signals.counters["otel_ext.detector.errors"] == 6


def test_a_rule_can_be_switched_off() -> None:
    """A disabled signal says nothing."""
    run = Run()
    for _ in range(3):
        run.call()
    off = Settings(rules={"loop.exact_repeat": RuleSettings(mode="off")})
    assert loops(play(run))
    assert loops(play(run, settings=off)) == []


def test_thresholds_are_settings_and_are_stated() -> None:
    """A finding names the thresholds it was made with."""
    run = Run()
    for _ in range(2):
        run.call()
    mine = RuleSettings(limits={"rounds": {"error": 2}})
    (finding,) = final(play(run, settings=Settings(rules={"loop.exact_repeat": mine}))).values()
    defaults = {"notice": 3, "warning": 5, "critical": 20}  # stay beside what was given
    assert (finding.severity, finding.thresholds, finding.rule) == (
        "error",
        {**defaults, "error": 2},
        "OTX-L001",
    )


def test_exempt_tools_still_report_failures() -> None:
    """An exempt tool takes no part in repetition, but a failure of it is a failure."""
    run = Run()
    for _ in range(4):
        run.fail("think", effect=Effect.EXEMPT)
    told = [(one.signal, one.count) for one in final(play(run)).values()]
    assert sorted(told) == [("termination.dead_end", 1), ("waste.failed_call", 4)]


def test_structure_steps_are_no_calls() -> None:
    """Plain spans are kept for the lanes only."""
    run = Run()
    for _ in range(9):
        run.step(Kind.OTHER, name="chain")
    assert play(run) == []


def test_what_ended_a_row_of_variants_is_shown() -> None:
    """The call that worked at last is evidence, but none of the finding's own."""
    run = Run()
    failed = [run.fail("page_down", number, "TypeError") for number in range(3)]
    worked = run.call("page_down", {}, "page 2")
    told = {one.signal: one for one in final(play(run)).values()}["loop.error_variants"]
    assert (told.status, told.count, told.evidence_count) == ("recovered", 3, 4)
    assert told.evidence == [*(step.span_id for step in failed), worked.span_id]
    assert told.context == [worked.span_id]
    assert told.end == failed[-1].end


def test_what_ended_a_row_of_variants_is_in_its_words() -> None:
    """Where a call of the tool worked at last, nobody is told that changing the arguments does not help."""
    failing, mended = Run(), Run()
    for run in (failing, mended):
        for number in range(3):
            run.fail("fetch", f"argument {number}", "no such page")
    mended.call("fetch", "another", "a page")
    (told,) = (f for f in final(play(failing)).values() if f.signal == "loop.error_variants")
    assert "changing the arguments does not help" in told.explanation
    (told,) = (f for f in final(play(mended)).values() if f.signal == "loop.error_variants")
    assert told.status == "recovered"
    assert "then a call of it did not fail" in told.explanation


def test_variants_of_one_turn_count_once_and_say_so() -> None:
    """Three turns, four sets of arguments."""
    run = Run()
    for number in range(3):
        run.fail("fetch", f"argument {number}", "no such page")
    run.more(
        "fetch", "one more", None, error=True, error_hash=digest("no such page"), error_text="no such page"
    )
    (told,) = (f for f in final(play(run)).values() if f.signal == "loop.error_variants")
    assert "fetch failed in 3 turns" in told.explanation
    assert "4 sets" in told.explanation
