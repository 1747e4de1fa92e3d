"""Statistics, verdicts and tables of the benchmarks, as properties; and that each flag can fire."""

import math
import re
import statistics
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_ext.bench.baseline import REFERENCE, Baseline, changes, read, store
from otel_ext.bench.cases import Case, chosen, suites
from otel_ext.bench.figures import HIGHER, LOWER, Middle, compare, cut, middle
from otel_ext.bench.payload import Requests
from otel_ext.cli.bench import judge
from otel_ext.cli.refused import Refused
from otel_ext.errors import ConfigError
from otel_ext.otlp import count
from tests.bench import page, svg
from tests.bench.goals import BASE, OURS, goals
from tests.bench.restart import SIZES
from tests.support import ROOT

amounts = st.floats(1e-3, 1e9)


@given(st.lists(amounts, min_size=1).map(sorted), st.floats(0, 1))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(
    values: list[float], part: float
) -> None:
    """By its definition, not by its formula."""
    found = cut(values, part)
    enough = part * len(values)
    assert found in values
    assert sum(value <= found for value in values) >= enough
    lower = [value for value in values if value < found]
    assert not lower or len(lower) < enough or math.isclose(len(lower), enough)


@given(st.lists(st.none() | amounts))
def test_a_median_is_of_what_is_known(values: list[float | None]) -> None:
    """Unknown runs count for nothing; all unknown is unknown."""
    known = [value for value in values if value is not None]
    found = middle(values)
    assert (found is None) == (not known)
    if found is not None:
        assert found == Middle(statistics.median(known), min(known), max(known))


@pytest.mark.parametrize("figure", [*HIGHER, *LOWER])
@given(before=amounts, part=st.floats(0.02, 3))
def test_a_verdict_is_by_direction_and_size(figure: str, before: float, part: float) -> None:
    """Exact runs: beyond -10 % is worse, beyond +5 % is better, the rest is the same."""
    old, new = (Middle(value, value, value) for value in (before, before * part))
    gain = new.median / old.median - 1
    gain = gain if figure in HIGHER else -gain
    wanted = "worse" if gain < -0.10 else "better" if gain > 0.05 else "same"
    assert compare(figure, old, new).verdict == wanted


@given(amounts, st.floats(0.02, 3), st.floats(0.01, 0.9))
def test_runs_that_overlap_are_no_change(before: float, part: float, wide: float) -> None:
    """However far the medians are apart, ranges that touch are noise."""
    after = before * part
    low, high = min(before, after), max(before, after)
    shared = low + (high - low) * wide
    old, new = (Middle(m, min(m, shared), max(m, shared)) for m in (before, after))
    assert compare("acknowledged", old, new).verdict == "same"


@pytest.mark.parametrize("old", [None, Middle(0.0, 0.0, 0.0), Middle(math.nan, 0.0, 0.0)])
def test_nothing_is_said_without_a_past(old: Middle | None) -> None:
    """No figure, a zero or no number before: unknown, and no division by it."""
    change = compare("acknowledged", old, Middle(5.0, 5.0, 5.0))
    assert (change.verdict, change.part) == ("unknown", None)


MACHINE = {"cpu": "one", "cores": 2, "memory_mib": 1, "kernel": "k", "python": "p", "commit": "c"}


def _kept(rate: float, limit: float = 100.0, cpu: str = "one") -> Baseline:
    figures: dict[str, dict[str, dict[str, Middle | None]]] = {
        OURS: {BASE: {"acknowledged": Middle(rate, rate, rate), "p99": None}},
        REFERENCE: {BASE: {"acknowledged": Middle(limit, limit, limit)}},
    }
    return Baseline(machine={**MACHINE, "cpu": cpu}, figures=figures)


def test_a_kept_baseline_is_read_back_and_a_loss_found(tmp_path: Path) -> None:
    """Through the file; a fifth less is worse, the same is not."""
    store(_kept(50.0), tmp_path / "kept.json")
    old = read(tmp_path / "kept.json")
    assert {change.verdict for _, change in changes(old, _kept(50.0))} == {"same"}
    assert [name for name, change in changes(old, _kept(40.0)) if change.verdict == "worse"] == [
        f"{OURS}: {BASE}"
    ]


def test_on_another_machine_ratios_are_compared() -> None:
    """Half as fast beside a limit half as fast is the same; beside the same limit it is worse."""
    there = _kept(25.0, limit=50.0, cpu="two")
    assert [change.verdict for _, change in changes(_kept(50.0), there)] == ["same"]
    slow = _kept(25.0, limit=100.0, cpu="two")
    assert [change.verdict for _, change in changes(_kept(50.0), slow)] == ["worse"]


def test_disturbed_rows_are_named_beside_what_they_say() -> None:
    """A loss is told and counted, and that others were there; nothing in common is refused."""
    said = list[str]()
    slow = _kept(40.0)
    slow.marks = {f"{OURS}: {BASE}": "!"}
    assert judge(_kept(50.0), slow, said.append) == 1
    assert ["WORSE" in said[0], "1 of these cases" in said[1], "1 worse" in said[2]] == [True] * 3
    with pytest.raises(Refused, match="nothing to compare"):
        judge(Baseline(machine=MACHINE, figures={}), slow, said.append)


def test_what_is_no_baseline_is_an_error_with_its_name(tmp_path: Path) -> None:
    """Neither other JSON nor a later version is taken."""
    path = tmp_path / "other.json"
    path.write_text("[1]")
    with pytest.raises(ConfigError, match=r"other\.json is no baseline"):
        read(path)
    store(Baseline(version=2, machine={}, figures={}), path)
    with pytest.raises(ConfigError, match="version 2"):
        read(path)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 10**6), st.booleans())
def test_no_request_repeats_an_id(spans: int, traces: int, first: int, unique: bool) -> None:
    """Each has its spans, and ids that no other has; only the ids differ. Span ids too, where it is asked."""
    requests = Requests(spans, 600, first, traces=traces, unique=unique)
    bodies = [requests.next() for _ in range(3)]
    sent = [ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0] for body in bodies]
    ids_of_spans = {span.span_id for scope in sent for span in scope.spans}
    assert len(ids_of_spans) == requests.spans * (3 if unique else 1)
    assert len(set(bodies)) == 3
    assert {count(body) for body in bodies} == {requests.spans}
    assert len({len(body) for body in bodies}) == 1
    ids = [first * requests.traces + number for number in range(3 * requests.traces)]
    for number in ids:
        found = [(b"bench-id" + number.to_bytes(8, "big")) in body for body in bodies]
        assert sum(found) == 1


def test_sessions_are_as_asked() -> None:
    """So many in all, where that is said."""
    requests = Requests(512, 600, 0, traces=128, session=lambda trace: trace % 10)
    body = requests.next() + requests.next()
    assert {body[at : at + 16] for at in _places(body, b"session-0")} == {
        b"session-%08d" % n for n in range(10)
    }


def _places(body: bytes, marker: bytes) -> list[int]:
    return [at for at in range(len(body)) if body.startswith(marker, at)]


def test_a_case_is_named_by_all_that_it_sets() -> None:
    """No two cases of all suites that differ have one name; each sends at least one request a client."""
    every = [case for members in suites().values() for case in members]
    assert len({case.name for case in every}) == len(set(every))
    assert all(case.requests > 0 and case.spans % case.traces == 0 for case in every)
    with pytest.raises(KeyError, match="no suite 'speed'"):
        chosen(("speed",))
    assert Case(total=8).name == BASE


def test_goals_and_plots_look_for_cases_that_are_measured() -> None:
    """With every case of all suites measured, each goal about receiving is judged, each plot drawn."""
    one = Middle(1.0, 1.0, 1.0)
    row: dict[str, Middle | None] = dict.fromkeys((*HIGHER, *LOWER, "fsync_p99"), one)
    cases = {case.name: row for members in suites().values() for case in members}
    cases |= {f"restart, {mib} MiB": {"journal": one, "start": one, "first": one} for mib in SIZES}
    servers = (REFERENCE, OURS, "rotel", "Collector, JSON", "Phoenix", "MLflow")
    kept = Baseline(machine=MACHINE, figures=dict.fromkeys(servers, cases))
    assert [goal.what for goal in goals(kept.figures) if goal.met is None] == [
        *("`on_end`, median", "`on_end`, p99"),
        "`on_end`, faster than the stock encoder and a write",
        "CPU a span, of BatchSpanProcessor with the OTLP exporter",
    ]
    linked = set(re.findall(r"\(plots/([\w-]+\.svg)\)", page.PAGE.read_text()))
    assert linked <= set(page.plots(kept))


@given(amounts)
def test_an_axis_begins_at_zero_and_holds_all(top: float) -> None:
    """In a few even steps, the last of which is the first that reaches the top."""
    marks = svg.ticks(top)
    steps = {round((b - a) / (marks[1] - marks[0]), 6) for a, b in pairwise(marks)}
    assert (marks[0], steps) == (0.0, {1.0})
    assert marks[-2] < top <= marks[-1] * (1 + 1e-9)
    assert 3 <= len(marks) <= 7


def test_a_goal_tells_of_the_rows_that_it_rests_on() -> None:
    """Both sides' marks, each once; the others' goals have none."""
    kept = _kept(75.0)
    marks = {f"{OURS}: {BASE}": "c", f"{REFERENCE}: {BASE}": "!c"}
    marked = {goal.what: goal.mark for goal in goals(kept.figures, marks) if goal.mark}
    assert marked == {"acknowledged, of bare grpcio with fdatasync, 8 clients": "!c"}
    kept.marks = {f"{OURS}: {BASE}": "c"}
    assert "| otel_ext | 75 (c) |" in page.speed(kept)
    assert "clients' core was full" in page.speed(kept)
    assert "clients' core was full" not in page.speed(_kept(75.0))


def test_goals_can_be_missed_met_and_unknown() -> None:
    """Half of the limit misses 0.6 of it, three quarters meet it, nothing measured is neither."""
    assert [goals(_kept(rate).figures)[0].met for rate in (50.0, 75.0)] == [False, True]
    assert {goal.met for goal in goals({})} == {None}


def test_the_page_holds_markers_for_all_and_keeps_the_rest(tmp_path: Path) -> None:
    """Written with few figures, the prose and the other tables stay as they are; twice gives the same."""
    kept, readme, copy = _kept(50.0), tmp_path / "README.md", tmp_path / "performance.md"
    readme.write_text((ROOT / "README.md").read_text())
    copy.write_text(page.PAGE.read_text())
    for name in page.sections(kept):
        page.between(copy.read_text(), name, "")  # raises where there is none
    done = page.write(kept, copy, tmp_path / "plots", readme)
    once = copy.read_text(), readme.read_text()
    assert {"rivals", "goals", "machine"} <= set(done)
    assert "| 0.5 | **no** |" in once[0]
    assert "| otel_ext | 50 |" in once[1]
    page.write(kept, copy, tmp_path / "plots", readme)
    assert (copy.read_text(), readme.read_text()) == once
    with pytest.raises(ValueError, match="no markers"):
        page.between("", "goals", "")


@given(st.lists(st.tuples(st.text("ab <&>\"'|é€𝄞"), amounts), max_size=8))
def test_plots_are_well_formed(rows: list[tuple[str, float]]) -> None:
    """Whatever the labels and amounts."""
    for drawn in (svg.bars("<t>", rows, "&", "<n>"), svg.lines("t", [(v, v) for _, v in rows], "x", "u")):
        ElementTree.fromstring(drawn)
        assert "nan" not in drawn
