"""The sample is drawn fairly and always the same, its sheets tell enough, and verdicts are counted right."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.quality import corpus, judged, sample
from tests.quality.judged import Verdict, kappa, report, verdicts
from tests.quality.reading import Line, cut, read
from tests.quality.sample import around, draw, sheet
from tests.quality.score import Row
from tests.support import CORPUS


def alarm(number: int, signal: str) -> Row:
    """An alarm as far as drawing goes."""
    return {"id": f"{number:04}", "signal": signal, "trace_id": f"{number:032x}", "evidence": ["aa"]}


ALARMS = [alarm(n, "loop.a") for n in range(100)] + [alarm(n, "loop.b") for n in range(100, 105)]


def test_every_rule_is_drawn_from() -> None:
    """In turn from each rule until it is used up; the same seed draws the same, whatever the order given."""
    drawn = draw(ALARMS, 30, seed=1)
    assert Counter(row["signal"] for row in drawn) == {"loop.a": 25, "loop.b": 5}
    assert draw(ALARMS[::-1], 30, seed=1) == drawn
    assert draw(ALARMS, 30, seed=2) != drawn
    assert len(draw(ALARMS, 1000, seed=1)) == len(ALARMS)


def test_a_sheet_shows_what_is_claimed_and_what_happened() -> None:
    """The claim, the counted calls marked, steps around them, gaps told; no label and no severity."""
    steps = [Line(f"{n:02}", f"TOOL t{n}") for n in range(100)]
    row = {"signal": "loop.a", "explanation": "it loops", "evidence": ["50", "52"], "evidence_count": 9}
    text = sheet(row, steps)
    assert "CLAIM  loop.a\n  it loops\n" in text
    assert "2 of 9 are listed" in text
    assert ">>> [51] TOOL t50" in text
    assert "\n[52] TOOL t51" in text
    assert "... 44 steps are not shown ..." in text
    assert [n for n in range(100) if f"TOOL t{n}" in text.split()] == []
    shown = [n for n in range(100) if f"TOOL t{n}\n" in text]
    assert shown == [0, *range(45, 57)]


def test_a_long_row_is_shown_at_both_ends() -> None:
    """Not more steps than a reader reads."""
    found = around(range(100, 900), 1000)
    assert len(found) == sample.MOST
    assert (found[0], found[-1]) == (0, 903)


def test_what_is_cut_can_still_be_told_apart() -> None:
    """Two long values with equal beginnings and ends have different digests."""
    a, b = ("x" * 2000 + middle + "y" * 2000 for middle in "12")
    assert cut(a) != cut(b)
    assert len(cut(a)) < 1400


def test_the_corpus_can_be_read() -> None:
    """Tools, arguments, results and what the model and the user said, of each dialect."""
    if not corpus.paths():
        pytest.skip(f"no corpus in {CORPUS}; set OTEL_EXT_CORPUS")
    ((_, kimi),) = read("claude-code-kimi", lambda trace_id: trace_id.startswith("7df9d385"))
    assert "TOOL Bash" in "".join(line.text for line in kimi)
    assert "USER: " in kimi[0].text
    ((_, gaia),) = read("trail-gaia-dev", lambda trace_id: trace_id.startswith("14be0e98"))
    assert any(line.text.startswith("TOOL ") and "result: " in line.text for line in gaia)
    assert any("says: " in line.text for line in gaia)


def judge(*right: bool) -> dict[str, Verdict]:
    """A reader."""
    return {f"{n:02}": Verdict(f"{n:02}", said, f"because {n}") for n, said in enumerate(right, 1)}


KEY = {
    "01": {"signal": "loop.a", "trace_id": "aa" * 16, "id": "1", "alarms": 30},
    "02": {"signal": "loop.a", "trace_id": "bb" * 16, "id": "2", "alarms": 30},
    "03": {"signal": "loop.b", "trace_id": "cc" * 16, "id": "3", "alarms": 10},
    "04": {"signal": "loop.b", "trace_id": "dd" * 16, "id": "4", "alarms": 10},
}


def test_verdicts_are_counted() -> None:
    """Precision of the sample and by the rules' shares; who differs and why."""
    text = report(judge(True, True, True, False), judge(True, True, False, False), KEY)
    assert "| `loop.a` | 30 | 2 | 2 | 2 | 1.00 |" in text
    assert "| `loop.b` | 10 | 2 | 1 | 0 | 0.25 |" in text
    # (3 + 2) / 2 of 4; and 30/40 of 1.00 with 10/40 of 0.25.
    assert "over the sample 0.62 [" in text
    assert "shares of all alarms 0.81 (" in text
    assert "agree on 3 of 4 (Cohen's kappa 0.50)" in text
    assert "- 03 `loop.b` in `cccccccc`: A (right) because 3 B (wrong) because 3" in text
    assert "Both call wrong: \n- 04" in text


def test_agreement_beyond_chance() -> None:
    """Kappa is 1 for the same words, 0 for what chance gives, below 0 for opposites."""
    assert kappa(judge(True, False), judge(True, False)) == 1.0
    assert kappa(judge(True, True), judge(True, True)) == 1.0
    assert kappa(judge(True, True, False, False), judge(True, False, True, False)) == 0.0
    assert kappa(judge(True, False), judge(False, True)) == -1.0


def test_a_sheet_that_is_missing_or_judged_twice_is_an_error(tmp_path: Path) -> None:
    """Nothing is counted of an incomplete judgement."""
    with pytest.raises(ValueError, match="not judged by both: 04"):
        report(judge(True, True, True), judge(True, True, True, True), KEY)
    twice = tmp_path / "a.jsonl"
    twice.write_text('{"sheet": "01", "right": true}\n\n{"sheet": "01", "right": false}\n')
    with pytest.raises(ValueError, match="sheet 01 is judged twice"):
        verdicts(twice)


def test_the_commands_work_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sheets and key of real alarms; verdicts on them into the document."""
    if not corpus.paths():
        pytest.skip(f"no corpus in {CORPUS}; set OTEL_EXT_CORPUS")
    monkeypatch.setattr("sys.argv", ["sample", "--count", "6", "--out", str(tmp_path)])
    assert sample.main() == 0
    sheets = sorted(path.stem for path in tmp_path.glob("*.txt"))
    assert sheets == [f"{n:02}" for n in range(1, 7)]
    assert all(">>> [" in (tmp_path / f"{name}.txt").read_text() for name in sheets)
    for reader in "ab":
        said = [json.dumps({"sheet": name, "right": True, "why": "it does"}) for name in sheets]
        (tmp_path / f"{reader}.jsonl").write_text("\n".join(said))
    document = tmp_path / "quality.md"
    document.write_text("x\n<!-- table: judged -->\n<!-- end -->\n")
    monkeypatch.setattr(
        "sys.argv", ["judged", str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"), "--write"]
    )
    assert judged.main(document) == 0
    assert "Precision over the sample 1.00" in document.read_text()
