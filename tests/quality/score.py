"""Findings against labels: what is right, what is missed, what is false, and how sure that is.

Law of this file: the definitions are those of the corpus' own README and `score.py`, written a second time;
a test holds the two against each other. Intervals are bootstraps over traces, seeded, and all predictors of a
corpus see the same draws, so that their differences are paired.
"""

import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from tests.quality.corpus import Corpus, Repeat, Trace

Row: TypeAlias = dict[str, Any]
"""A finding as `otel-ext signals --json` prints it."""

DRAWS: Final = 1000
SEED: Final = 1
MOST_EVIDENCE: Final = 16
"""Evidence of more spans localises nothing."""
BASELINES: Final = (6, 8)
"""Traces of so many steps or more: what any claim must be compared with."""
REPEATS: Final = ("loop.exact_repeat", "loop.error_repeat", "loop.poll_stalled")
"""Signals that name an identical call."""


class Interval(NamedTuple):
    """A figure with what 95 % of the draws span."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


class Score(NamedTuple):
    """How a set of predicted traces meets the labelled ones."""

    precision: Interval
    recall: Interval
    f1: Interval
    right: int
    false: int
    missed: int


class Places(NamedTuple):
    """Whether evidence shows where the label is, over the traces that were found.

    Attributes:
        traces, traces_hit: found traces; those of which evidence meets a label (the span or its step).
        labels, labels_hit: their labels; those that evidence meets.
        spans, spans_hit: spans of evidence; those at a label.
    """

    traces: int = 0
    traces_hit: int = 0
    labels: int = 0
    labels_hit: int = 0
    spans: int = 0
    spans_hit: int = 0


def latest(rows: Iterable[Row]) -> list[Row]:
    """The last revision of each finding."""
    last: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = row["trace_id"].lower(), row["id"]
        if key not in last or row["revision"] >= last[key]["revision"]:
            last[key] = row
    return list(last.values())


def is_alarm(row: Row) -> bool:
    """Whether a finding would wake somebody: a loop or waste, a warning or worse, no mere candidate."""
    family = row["signal"].partition(".")[0]
    return family in {"loop", "waste"} and row["severity"] != "notice" and row["confidence"] != "candidate"


def by_trace(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Findings under their trace id."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["trace_id"].lower()].append(row)
    return found


def rates(right: int, false: int, missed: int) -> tuple[float, float, float]:
    """Precision, recall and F1; 0 where nothing was predicted or nothing is there."""
    precision = right / (right + false) if right + false else 0.0
    recall = right / (right + missed) if right + missed else 0.0
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0


class Judge:
    """One labelled corpus with its draws."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self._order = sorted(corpus.traces)
        chance = random.Random(SEED)
        places = range(len(self._order))
        self._draws = [chance.choices(places, k=len(self._order)) for _ in range(DRAWS)]

    def longer(self, steps: int) -> set[str]:
        """The baseline: traces of so many steps or more."""
        return {trace_id for trace_id, trace in self.corpus.traces.items() if trace.steps >= steps}

    def score(self, predicted: Collection[str]) -> Score:
        """Score a set of predicted traces; what is not of this corpus is left out."""
        counts = self._counts(predicted, range(len(self._order)))
        value, samples = rates(*counts), self._samples(predicted)
        precision, recall, f1 = (_interval(value[i], [sample[i] for sample in samples]) for i in range(3))
        return Score(precision, recall, f1, *counts)

    def lead(self, predicted: Collection[str], other: Collection[str]) -> tuple[Interval, float]:
        """F1 of one prediction less that of another, and the share of draws in which it is greater."""
        everything = range(len(self._order))
        value = rates(*self._counts(predicted, everything))[2] - rates(*self._counts(other, everything))[2]
        pairs = zip(self._samples(predicted), self._samples(other), strict=True)
        leads = [mine[2] - theirs[2] for mine, theirs in pairs]
        return _interval(value, leads), sum(lead > 0 for lead in leads) / len(leads)

    def _counts(self, predicted: Collection[str], places: Iterable[int]) -> tuple[int, int, int]:
        kinds = self._kinds(predicted)
        chosen = [kinds[place] for place in places]
        return chosen.count("right"), chosen.count("false"), chosen.count("missed")

    def _samples(self, predicted: Collection[str]) -> list[tuple[float, float, float]]:
        kinds = self._kinds(predicted)
        found = []
        for draw in self._draws:
            chosen = [kinds[place] for place in draw]
            found.append(rates(chosen.count("right"), chosen.count("false"), chosen.count("missed")))
        return found

    def _kinds(self, predicted: Collection[str]) -> list[str]:
        positive = self.corpus.positive
        names = {(True, True): "right", (True, False): "false", (False, True): "missed"}
        return [names.get((trace in predicted, trace in positive), "") for trace in self._order]

    def places(self, alarms: dict[str, list[Row]]) -> Places:
        """Whether the evidence of the alarms lies where the labels are."""
        found = Places()
        for trace_id in sorted(self.corpus.positive & alarms.keys()):
            here = _places(self.corpus.traces[trace_id], alarms[trace_id])
            found = Places(*(mine + more for mine, more in zip(found, here, strict=True)))
        return found


def _places(trace: Trace, alarms: Sequence[Row]) -> Places:
    wanted = [trace.step_of(error.span_id) for error in trace.errors if error.span_id in trace.spans]
    told = [row["evidence"] for row in alarms if len(row["evidence"]) <= MOST_EVIDENCE]
    evidence = {span_id: trace.step_of(span_id) for spans in told for span_id in spans}
    seen = set[str]().union(*evidence.values())
    hits = sum(bool(where & seen) for where in wanted)
    good = sum(any(up & where for where in wanted) for up in evidence.values())
    return Places(1, bool(hits), len(wanted), hits, len(evidence), good)


def _interval(value: float, samples: list[float]) -> Interval:
    samples.sort()
    return Interval(value, samples[DRAWS // 40], samples[DRAWS - DRAWS // 40 - 1])


def share(hits: int, total: int) -> Interval:
    """A share with Wilson's 95 % interval, which is honest for no hit at all."""
    if not total:
        return Interval(0.0, 0.0, 1.0)
    z, p = 1.96, hits / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    reach = z / (1 + z * z / total) * (p * (1 - p) / total + z * z / (4 * total * total)) ** 0.5
    return Interval(p, max(0.0, middle - reach), min(1.0, middle + reach))


class Repeated(NamedTuple):
    """How many of the known repeats are named, and how many of the long or failing ones raise an alarm."""

    rows: int
    named: int
    long: int
    alarmed: int


def repeated(repeats: Sequence[Repeat], rows: Iterable[Row]) -> Repeated:
    """The known repeats against the findings."""
    found = by_trace(rows)
    named = sum(any(row["signal"] in REPEATS for row in found.get(each.trace_id, ())) for each in repeats)
    long = [each for each in repeats if each.long]
    alarmed = sum(any(map(is_alarm, found.get(each.trace_id, ()))) for each in long)
    return Repeated(len(repeats), named, len(long), alarmed)
