"""The hard floors on real traces, and that the measuring itself is right."""

import ast
import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.quality import corpus, score, tape
from tests.quality.__main__ import DOCUMENT, parts
from tests.quality.score import Row
from tests.quality.tables import Evaluation, filled, floors
from tests.support import CORPUS

STAND_IN = """
import sys
if sys.version_info < (3, 14):
    from backports.zstd import ZstdFile
else:
    from compression.zstd import ZstdFile
class ZstdDecompressor:
    stream_reader = staticmethod(ZstdFile)
"""
"""score.py reads with a package of PyPI; the tests have another one of the same format."""


@pytest.fixture(scope="module")
def run() -> tape.Run:
    """The corpora through the engine, once."""
    if not corpus.paths():
        pytest.skip(f"no corpus in {CORPUS}; set OTEL_EXT_CORPUS")
    return tape.replay(corpus.paths())


@pytest.fixture(scope="module")
def whole(run: tape.Run) -> Evaluation:
    """The evaluation of that run."""
    return Evaluation.of(corpus.load(), corpus.repeats(), run.rows)


def test_the_detectors_alone_find_what_the_engine_found(run: tape.Run) -> None:
    """What is on the tape gives the engine's findings, so an ablation may start from it."""

    def plain(rows: list[Row]) -> dict[str, Row]:
        # The engine knows a finding's session better; how sessions ended is its own word.
        return {
            row["id"]: {key: value for key, value in row.items() if key != "session_id"}
            for row in rows
            if not row.get("session")
        }

    assert plain(tape.refold(run.tape)) == plain(run.rows)
    assert len(run.tape) > 8216


def test_an_ablated_rule_says_nothing(run: tape.Run) -> None:
    """Without a rule none of its findings is left, and others speak on."""
    left = {row["signal"] for row in tape.refold(run.tape, tape.without(["loop.exact_repeat"]))}
    assert "loop.exact_repeat" not in left
    assert "loop.error_repeat" in left


def test_healthy_runs_raise_no_alarm(whole: Evaluation) -> None:
    """No alarm on framework samples and on solved tasks, but where a trace was read and is a problem."""
    assert whole.unhealthy() == set()
    assert not whole.alarmed(whole.corpus("frameworks"))


def test_every_known_repeat_is_found(whole: Evaluation) -> None:
    """All 19 traces of `repeats.json` have a repeat finding; the long or failing ones have an alarm."""
    assert score.repeated(whole.repeats, whole.rows) == score.Repeated(rows=19, named=19, long=10, alarmed=10)


def test_a_planted_alarm_breaks_the_floors(whole: Evaluation) -> None:
    """One alarm on a healthy run, one missing repeat: each is seen."""
    healthy = next(iter(whole.corpus("tau-airline-success").traces))
    alarm = next(row for row in whole.rows if score.is_alarm(row))
    planted = {**alarm, "trace_id": healthy, "id": "planted"}
    assert whole.again([*whole.rows, planted]).unhealthy() == {healthy}
    lost = whole.repeats[0].trace_id
    less = whole.again([row for row in whole.rows if row["trace_id"] != lost])
    assert score.repeated(less.repeats, less.rows).named == 18
    assert [row[2] for row in floors(less)[2:4]] == ["**no**", "**no**"]


def invented(whole: Evaluation, seed: int) -> list[Row]:
    """Findings of all shapes anywhere, some in several revisions."""
    chance = random.Random(seed)
    found: list[Row] = []
    for each in whole.corpora:
        for trace_id, trace in each.traces.items():
            for number in range(chance.choice([0, 0, 1, 3])):
                spans = list(trace.spans)
                row: Row = {
                    "id": f"{trace_id}-{number}",
                    "revision": 1,
                    "trace_id": chance.choice([trace_id, trace_id.upper()]),
                    "signal": chance.choice(
                        ["loop.a", "waste.b", "loop.exact_repeat", "risk.c", "behavior.d"]
                    ),
                    "severity": chance.choice(["notice", "warning", "error", "critical"]),
                    "confidence": chance.choice(["candidate", "probable", "confirmed"]),
                    "evidence": chance.sample(spans, min(len(spans), chance.choice([1, 3, 16, 17]))),
                }
                found.append(row)
                if chance.random() < 0.3:
                    found.append({**row, "revision": 2, "severity": chance.choice(["notice", "error"])})
    return found


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_scores_are_those_of_the_corpus_own_program(
    whole: Evaluation, tmp_path: Path, seed: int | None
) -> None:
    """score.py on the same findings says the same, to the letter and with its intervals."""
    rows = whole.rows if seed is None else invented(whole, seed)
    said = tmp_path / "signals.jsonl"
    said.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "zstandard.py").write_text(STAND_IN)
    done = subprocess.run(
        [sys.executable, CORPUS / "score.py", CORPUS, said],
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": str(tmp_path)},
    )
    ours = "".join(line + "\n" for line in as_score_prints(whole.again(rows)))
    assert unordered(ours) == unordered(done.stdout)


def unordered(text: str) -> str:
    """With what was counted by signal in the order of names: score.py goes through sets."""
    return re.sub(r"\{.*\}", lambda match: str(sorted(ast.literal_eval(match[0]).items())), text)


def as_score_prints(e: Evaluation) -> Iterator[str]:
    """Our figures in the words of score.py."""
    for each in e.corpora:
        mine = e.alarmed(each)
        if not each.labelled:
            kinds = Counter(row["signal"] for trace_id in mine for row in e.alarms[trace_id])
            yield f"{each.name}: alarms in {len(mine)} of {len(each.traces)} traces  {dict(kinds)}"
            if not each.name.startswith("claude"):
                yield "  " + " ".join(sorted(trace_id[:8] for trace_id in mine))
            continue
        judge = e.judges[each.name]
        yield f"{each.name}: {len(each.traces)} traces, {len(each.positive)} positive"
        yield f"  findings    {shown(judge.score(mine))}"
        yield f"  always yes  {shown(judge.score(set(each.traces)))}"
        for steps in score.BASELINES:
            yield f"  >= {steps} steps  {shown(judge.score(judge.longer(steps)))}"
        for signal in sorted({row["signal"] for trace_id in mine for row in e.alarms[trace_id]}):
            yield f"    {signal:28s} {shown(judge.score(e.alarmed(each, signal)))}"
        at = judge.places({trace_id: e.alarms[trace_id] for trace_id in mine})
        yield (
            f"  in found traces: labels hit by evidence (span or its step) {at.labels_hit}/{at.labels}; "
            f"evidence spans at a label {at.spans_hit}/{at.spans}"
        )
        missed, false = (
            " ".join(t[:8] for t in found) for found in (e.missed(each.name), e.false(each.name))
        )
        yield f"  missed: {missed}   false: {false}"
    again = score.repeated(e.repeats, e.rows)
    yield (
        f"repeats.json: {again.named}/{again.rows} have a repeat finding of any severity; "
        f"of {again.long} long or failing ones {again.alarmed} have an alarm"
    )


def shown(got: score.Score) -> str:
    """A score as score.py prints it."""
    p, r, f = got.precision.value, got.recall.value, got.f1
    counts = f"(tp {got.right} fp {got.false} fn {got.missed})"
    return f"P {p:.2f}  R {r:.2f}  F1 {f.value:.3f} [{f.low:.2f}-{f.high:.2f}]  {counts}"


def test_shares_have_honest_intervals() -> None:
    """Wilson's interval: none of 84 may still be 4 in a hundred; of nothing, nothing is known."""
    none, half = score.share(0, 84), score.share(50, 100)
    assert (none.value, none.low, round(none.high, 3)) == (0.0, 0.0, 0.044)
    assert (round(half.low, 3), round(half.high, 3)) == (0.404, 0.596)
    assert score.share(0, 0) == (0.0, 0.0, 1.0)


def test_parts_go_between_their_marks() -> None:
    """What stands around them stays; a part without a mark is an error."""
    document = "a\n<!-- table: x -->\nold\n<!-- end -->\nb\n<!-- table: y -->\nkept\n<!-- end -->\n"
    assert filled(document, {"x": "new\n"}) == document.replace("old", "new")
    with pytest.raises(KeyError, match="no mark for z"):
        filled(document, {"z": ""})


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_document_says_what_was_measured_slice(run: tape.Run) -> None:
    """`docs/quality.md` holds the tables of this tree, and names each miss, false alarm and odd place."""
    text = DOCUMENT.read_text()
    whole, tables = parts(run, ablation=True)
    assert filled(text, tables) == text, "run `python -m tests.quality --ablation --write`"
    prose = text.partition("<!-- table: named -->")[2].partition("<!-- end -->")[2]
    for name in whole.judges:
        for trace_id in (*whole.missed(name), *whole.false(name), *whole.elsewhere(name)):
            assert f"`{trace_id[:8]}`" in prose, f"{name}: {trace_id} is not discussed"
