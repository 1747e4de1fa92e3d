"""What is printed, and written between the marks of `docs/quality.md`: Markdown tables of one evaluation.

Law of this file: it computes no figure of its own; `score` does. A table is a function of the findings, so
the same tree on the same corpora prints the same bytes.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Final, TypeAlias

import msgspec

from otel_ext.signals import RULES
from tests.quality import score
from tests.quality.corpus import HEALTHY, REVIEWED, Corpus, Repeat
from tests.quality.score import Interval, Judge, Row

Table: TypeAlias = list[Sequence[object]]

_MARK: Final = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Evaluation(msgspec.Struct, dict=True):
    """Findings on the corpora, and every figure that tables ask of them."""

    corpora: list[Corpus]
    judges: dict[str, Judge]
    repeats: list[Repeat]
    rows: list[Row]

    @classmethod
    def of(cls, corpora: list[Corpus], repeats: list[Repeat], rows: Iterable[Row]) -> "Evaluation":
        """An evaluation of findings, any revisions."""
        judges = {corpus.name: Judge(corpus) for corpus in corpora if corpus.labelled}
        return cls(corpora, judges, repeats, score.latest(rows))

    def again(self, rows: Iterable[Row]) -> "Evaluation":
        """The same judges for other findings."""
        return Evaluation(self.corpora, self.judges, self.repeats, score.latest(rows))

    @cached_property
    def alarms(self) -> dict[str, list[Row]]:
        """The alarms by trace."""
        return score.by_trace(filter(score.is_alarm, self.rows))

    def corpus(self, name: str) -> Corpus:
        """A corpus by name."""
        return next(corpus for corpus in self.corpora if corpus.name == name)

    def alarmed(self, corpus: Corpus, signal: str = "") -> set[str]:
        """Traces of a corpus with an alarm, of one signal if one is named."""
        return {
            trace_id
            for trace_id, rows in self.alarms.items()
            if trace_id in corpus.traces and any(signal in ("", row["signal"]) for row in rows)
        }

    def unhealthy(self) -> set[str]:
        """Traces of the healthy corpora with an alarm that nobody has found right."""
        return {
            trace_id
            for name in HEALTHY
            for trace_id in self.alarmed(self.corpus(name))
            if trace_id[:8] not in REVIEWED
        }

    def missed(self, name: str) -> list[str]:
        """Labelled traces without an alarm."""
        corpus = self.corpus(name)
        return sorted(corpus.positive - self.alarmed(corpus))

    def false(self, name: str) -> list[str]:
        """Traces with an alarm and without a label."""
        corpus = self.corpus(name)
        return sorted(self.alarmed(corpus) - corpus.positive)

    def elsewhere(self, name: str) -> list[str]:
        """Labelled traces with alarms whose evidence meets no label."""
        judge = self.judges[name]
        found = judge.corpus.positive & self.alarms.keys()
        return sorted(t for t in found if not judge.places({t: self.alarms[t]}).traces_hit)


def labelled(e: Evaluation) -> Table:
    """Precision, recall and F1 beside the baselines, and the paired difference to each."""
    table: Table = [("corpus", "predictor", "precision", "recall", "F1", "tp fp fn", "our F1 less its")]
    for name, judge in e.judges.items():
        mine = e.alarmed(judge.corpus)
        every = set(judge.corpus.traces)
        named = [("alarms", mine), ("always yes", every)]
        named += [(f"≥ {steps} steps", judge.longer(steps)) for steps in score.BASELINES]
        for what, predicted in named:
            got = judge.score(predicted)
            lead, wins = judge.lead(mine, predicted)
            table.append(
                (
                    f"{name} ({len(every)} traces, {len(judge.corpus.positive)} labelled)",
                    what,
                    *(got.precision, got.recall, got.f1),
                    f"{got.right} {got.false} {got.missed}",
                    "" if predicted is mine else f"{lead.value:+.2f} {_span(lead)}, ahead in {wins:.0%}",
                )
            )
    return table


def places(e: Evaluation) -> Table:
    """Whether the evidence of alarms lies where the labels are."""
    table: Table = [
        ("corpus", "alarms of", "found traces located", "labels met", "evidence spans at a label"),
    ]
    for name, judge in e.judges.items():
        alarms = {trace_id: e.alarms[trace_id] for trace_id in e.alarmed(judge.corpus)}
        signals = sorted({row["signal"] for rows in alarms.values() for row in rows})
        for signal in ["all rules", *signals]:
            own = {
                trace_id: [row for row in rows if signal in ("all rules", row["signal"])]
                for trace_id, rows in alarms.items()
            }
            got = judge.places({trace_id: rows for trace_id, rows in own.items() if rows})
            table.append(
                (
                    *(name, signal),
                    *(_of(got.traces_hit, got.traces), _of(got.labels_hit, got.labels)),
                    _of(got.spans_hit, got.spans),
                )
            )
    return table


def healthy(e: Evaluation) -> Table:
    """Alarms on runs that went well."""
    table: Table = [
        ("corpus", "sessions", "alarms", "sessions with an alarm", "alarms per 100 sessions", "but reviewed")
    ]
    for what, names in (*((name, [name]) for name in HEALTHY), ("both", HEALTHY)):
        corpora = [e.corpus(name) for name in names]
        sessions = sum(len(corpus.traces) for corpus in corpora)
        hit = set[str]().union(*(e.alarmed(corpus) for corpus in corpora))
        alarms = sum(len(e.alarms[trace_id]) for trace_id in hit)
        wrong = score.share(len(hit & e.unhealthy()), sessions)
        table.append(
            (
                *(what, sessions, alarms, _ids(hit) or "none", f"{100 * alarms / sessions:.1f}"),
                f"{100 * wrong.value:.1f} [{100 * wrong.low:.1f}, {100 * wrong.high:.1f}]",
            )
        )
    return table


def unlabelled(e: Evaluation) -> Table:
    """Alarms on runs that nobody labelled."""
    table: Table = [("corpus", "traces", "with an alarm", "by signal (traces)")]
    for corpus in e.corpora:
        if corpus.labelled or corpus.name in HEALTHY:
            continue
        hit = e.alarmed(corpus)
        kinds = Counter(
            signal for trace_id in hit for signal in {row["signal"] for row in e.alarms[trace_id]}
        )
        text = ", ".join(f"{signal} {count}" for signal, count in sorted(kinds.items(), key=_most))
        table.append((corpus.name, len(corpus.traces), _of(len(hit), len(corpus.traces)), text or "none"))
    return table


def rules(e: Evaluation) -> Table:
    """Each rule alone: what it says, and how its alarms meet the labels."""
    table: Table = [
        (
            *("signal", "findings (traces)", "alarms (traces)", "gaia P", "gaia R", "gaia F1"),
            *("swe tp fp", "healthy alarms", "unlabelled alarms"),
        )
    ]
    for signal in _signals(e):
        rows = [row for row in e.rows if row["signal"] == signal]
        alarms = list(filter(score.is_alarm, rows))
        gaia, swe = (_scored(e, name, signal) for name in ("trail-gaia-dev", "trail-swe-dev"))
        well = sum(len(e.alarmed(e.corpus(name), signal)) for name in HEALTHY)
        rest = sum(
            len(e.alarmed(corpus, signal))
            for corpus in e.corpora
            if not corpus.labelled and corpus.name not in HEALTHY
        )
        table.append(
            (
                *(f"`{signal}`", _count(rows), _count(alarms)),
                *((gaia.precision, gaia.recall, gaia.f1) if gaia.right + gaia.false else ("", "", "")),
                f"{swe.right} {swe.false}" if swe.right + swe.false else "",
                *(well or "", rest or ""),
            )
        )
    return table


def silent(e: Evaluation) -> str:
    """The built-in rules that found nothing on any corpus."""
    quiet = [f"`{kind.signal}`" for kind in RULES if kind.signal not in {row["signal"] for row in e.rows}]
    return f"Rules without a finding on any corpus: {', '.join(quiet) or 'none'}.\n"


def floors(e: Evaluation) -> Table:
    """What has to hold, and whether it does."""
    gaia, swe = e.judges["trail-gaia-dev"], e.judges["trail-swe-dev"]
    g, s = gaia.score(e.alarmed(gaia.corpus)), swe.score(e.alarmed(swe.corpus))
    at = gaia.places({trace_id: e.alarms[trace_id] for trace_id in e.alarmed(gaia.corpus)})
    again = score.repeated(e.repeats, e.rows)
    located = at.traces_hit / at.traces if at.traces else 0.0
    checks: list[tuple[str, str, bool]] = [
        (
            "no alarm on healthy runs but the reviewed",
            _ids(e.unhealthy()) or "none",
            not e.unhealthy(),
        ),
        ("all repeats of `repeats.json` found", _of(again.named, again.rows), again.named == again.rows),
        ("the long or failing ones alarmed", _of(again.alarmed, again.long), again.alarmed == again.long),
        ("trail-gaia-dev precision ≥ .80", f"{g.precision.value:.2f}", g.precision.value >= 0.80),
        ("trail-gaia-dev recall ≥ .55", f"{g.recall.value:.2f}", g.recall.value >= 0.55),
        ("trail-gaia-dev: label located in ≥ 70 % of the found", f"{located:.0%}", located >= 0.70),
        ("trail-swe-dev: at most one false alarm", str(s.false), s.false <= 1),
        ("trail-swe-dev: at least four found", str(s.right), s.right >= 4),
    ]
    return [("wanted", "got", "met"), *((what, got, "yes" if met else "**no**") for what, got, met in checks)]


def ablation(e: Evaluation, refold: Callable[[str], list[Row]]) -> str:
    """What changes when one rule is switched off; rules that change nothing are named below the table.

    Args:
        e: the whole.
        refold: the findings without this signal's rule.
    """
    whole = _figures(e)
    table: Table = [("without", *whole)]
    table.append(("nothing (all rules)", *(_plain(value) for value in whole.values())))
    same = []
    for kind in RULES:
        figures = _figures(e.again(refold(kind.signal)))
        if figures == whole:
            same.append(f"`{kind.signal}`")
        else:
            changes = [_change(value - whole[name]) for name, value in figures.items()]
            table.append((f"`{kind.signal}`", *changes))
    return f"{render(table)}\nNone of these figures changes without {', '.join(same) or 'any rule'}.\n"


def named(e: Evaluation) -> str:
    """The misses and false alarms of the labelled corpora: each has its sentence in the prose."""
    found = []
    for name in e.judges:
        lists = {
            "missed": e.missed(name),
            "false": e.false(name),
            "found, but not where the label is": e.elsewhere(name),
        }
        text = "; ".join(f"{what} {_ids(traces) or 'none'}" for what, traces in lists.items())
        found.append(f"- {name}: {text}\n")
    return "".join(found)


def render(table: Table) -> str:
    """A table as Markdown."""
    head, *body = table
    rows = [head, ["---"] * len(head), *body]
    return "".join("| " + " | ".join(map(str, row)) + " |\n" for row in rows)


def all_of(e: Evaluation, refold: Callable[[str], list[Row]] | None) -> dict[str, str]:
    """Every part by its name in `docs/quality.md`; the ablation only where `refold` is given."""
    parts = {
        "floors": render(floors(e)),
        "labelled": render(labelled(e)),
        "places": render(places(e)),
        "healthy": render(healthy(e)),
        "unlabelled": render(unlabelled(e)),
        "rules": render(rules(e)) + "\n" + silent(e),
        "named": named(e),
    }
    if refold is not None:
        parts["ablation"] = ablation(e, refold)
    return parts


def filled(document: str, parts: dict[str, str]) -> str:
    """A document with the parts between their marks; other marks stay as they are.

    Raises:
        KeyError: a part has no place in it.
    """
    places = {match[2] for match in _MARK.finditer(document)}
    if missing := parts.keys() - places:
        raise KeyError(f"no mark for {', '.join(sorted(missing))}")

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}{parts[match[2]]}{match[3]}" if match[2] in parts else match[0]

    return _MARK.sub(fill, document)


def _figures(e: Evaluation) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, short in (("trail-gaia-dev", "gaia"), ("trail-swe-dev", "swe")):
        judge = e.judges[name]
        mine = e.alarmed(judge.corpus)
        right, false = len(mine & judge.corpus.positive), len(mine - judge.corpus.positive)
        rates = score.rates(right, false, len(judge.corpus.positive) - right)
        found |= {f"{short} tp": right, f"{short} fp": false, f"{short} F1": rates[2]}
    at = e.judges["trail-gaia-dev"].places(
        {trace_id: e.alarms[trace_id] for trace_id in e.alarmed(e.corpus("trail-gaia-dev"))}
    )
    again = score.repeated(e.repeats, e.rows)
    found["gaia located"] = at.traces_hit
    found["healthy alarmed"] = sum(len(e.alarmed(e.corpus(name))) for name in HEALTHY)
    for corpus in e.corpora:
        if not corpus.labelled and corpus.name not in HEALTHY:
            found[f"{corpus.name} alarmed"] = len(e.alarmed(corpus))
    return found | {"repeats named": again.named, "long repeats alarmed": again.alarmed}


def _scored(e: Evaluation, name: str, signal: str) -> score.Score:
    judge = e.judges[name]
    return judge.score(e.alarmed(judge.corpus, signal))


def _signals(e: Evaluation) -> list[str]:
    # Ends of sessions are facts, not judgements, where the corpus has nothing else to end by.
    order = {kind.signal: place for place, kind in enumerate(RULES)}
    present = {row["signal"] for row in e.rows}
    return sorted(present & order.keys(), key=order.__getitem__)


def _count(rows: Sequence[Row]) -> str:
    return f"{len(rows)} ({len({row['trace_id'] for row in rows})})" if rows else ""


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _of(hits: int, total: int) -> str:
    return f"{hits} of {total}"


def _ids(trace_ids: Iterable[str]) -> str:
    return " ".join(f"`{trace_id[:8]}`" for trace_id in sorted(trace_ids))


def _span(interval: Interval) -> str:
    return f"[{interval.low:+.2f}, {interval.high:+.2f}]"


def _plain(value: float) -> str:
    return f"{value:.2f}" if value % 1 else f"{value:.0f}"


def _change(value: float) -> str:
    if not value:
        return ""
    return f"{value:+.2f}" if value % 1 else f"{value:+.0f}"
