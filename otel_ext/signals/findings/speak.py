"""From a track to a finding: everything a reader needs to agree or to disagree.

Law of this file: it only reads the lane and the track, but for the revision that it gives out and the note
that the lane has spoken. What the frame itself knows to be missing (usage, model steps) is named here.
"""

from typing import Any, cast

import msgspec

from otel_ext.signals.findings.explain import costing
from otel_ext.signals.findings.finding import Confidence, Finding, Status, Waste
from otel_ext.signals.lane.lanes import Lane
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.waste import Ledger
from otel_ext.signals.rule import Context, Rule
from otel_ext.signals.settings import Severity


def waste_of(context: Context, track: Track) -> Waste:
    """What a track has cost so far, its newest call at the share known now."""
    ledger = _copied(track.ledger)
    add_up(context.lane, track, ledger, len(track.marks))
    return _total(context, ledger)


def whole_of(context: Context, track: Track) -> Waste:
    """The same with the calls that other findings own: what a sentence says of all that it counts."""
    ledger = _copied(track.whole or track.ledger)
    add_up(context.lane, track, ledger, len(track.marks), every=True)
    return _total(context, ledger)


def _copied(ledger: Ledger | None) -> Ledger:
    return Ledger() if ledger is None else msgspec.structs.replace(ledger)


def add_up(lane: Lane, track: Track, ledger: Ledger, until: int, *, every: bool = False) -> None:
    """Add the first `until` marks of a track to a ledger, those that were not added before."""
    for mark in track.marks[:until]:
        if not mark.counted and (mark.owned or every):
            ledger.add(mark, lane.contexts.compacted)


def _total(context: Context, ledger: Ledger) -> Waste:
    rounds = context.lane.rounds
    # Without model steps nobody is known to have read a result again.
    now = rounds.recent[-1].number if rounds.modelled and rounds.recent else 0
    return ledger.total(now, context.lane.contexts.compacted, context.settings.currency)


def speak(rule: Rule[Any], context: Context, track: Track, status: Status, ended_by: bytes = b"") -> None:
    """Append the next revision of a track's finding; the span that ended it is evidence, too, but not its."""
    lane, trace, episode = context.lane, context.trace, track.episode
    assert episode is not None
    episode.revision += 1
    lane.emitted = True
    agent = lane.span_id in trace.agents
    waste = waste_of(context, track)
    evidence = [mark.span_id for mark in track.marks]
    count = track.count + bool(ended_by)
    if ended_by:
        if len(evidence) >= context.settings.evidence:
            del evidence[-2:-1]  # the last of those that were counted stays
        evidence.append(ended_by)
    # Calls that log records told are no spans: the one that a record was written in is cited in its place.
    bare = any(span in trace.records and not trace.records[span] for span in evidence)
    cited = {span: trace.records.get(span) or span for span in evidence}
    missing = rule.missing(context, track)
    if waste.basis in ("estimated", "mixed"):
        missing.append("usage")
    if not lane.rounds.modelled:
        missing.append("model")
    if bare:
        missing.append("spans")
    context.found.append(
        Finding(
            signal=rule.signal,
            id=episode.id,
            revision=episode.revision,
            status=status,
            severity=cast("Severity", episode.severity),
            confidence=cast("Confidence", episode.confidence),
            trace_id=lane.trace_id,
            session_id=lane.session_id,
            agent=trace.agents.get(lane.span_id, "") or lane.agent,
            tool=track.tool,
            count=track.count,
            start=track.start,
            end=track.end,
            evidence=list(dict.fromkeys(cited.values())),
            waste=waste,
            missing=missing,
            explanation=costing(
                rule.explain(context, track), whole_of(context, track) if rule.owns else Waste(), rule.costs
            ),
            rule=rule.id,
            rule_version=rule.version,
            thresholds=dict(rule.thresholds(track)),
            lane=lane.span_id,
            scope="agent" if agent else "trace",
            depth=trace.depth(lane.span_id),
            parent=lane.span_id if agent else trace.root or (b"" if bare else lane.span_id or evidence[0]),
            evidence_count=count,
            evidence_dropped=count - len(evidence),
            context=list(
                dict.fromkeys(
                    cited[span]
                    for span in evidence
                    if span == ended_by
                    or any(mark.span_id == span and not mark.owned for mark in track.marks)
                )
            ),
            distinct_arguments=len(track.distinct),
            arguments_hash=(track.arguments_hash or b"").hex(),
            result_hash=(track.result_hash or b"").hex(),
            error_fingerprint=(track.error_hash or b"").hex(),
            service=lane.service,
        )
    )
