"""What a detector says: one finding, in one state of its life.

Law of this file: a finding is plain data, complete in itself. It names its rule, its thresholds, its
evidence and what was missing, so that a reader can disagree with it (precision rule 16).
"""

from typing import Any, Literal, TypeAlias

import msgspec

from otel_ext.signals.settings import Severity

Status: TypeAlias = Literal["onset", "ongoing", "recovered", "persisted", "terminated", "evicted"]
"""Where an episode is in its life; the last four are final."""

Confidence: TypeAlias = Literal["candidate", "probable", "confirmed"]
"""How far the evidence reaches; a candidate is never an alarm."""

Basis: TypeAlias = Literal["measured", "estimated", "mixed", "none"]
"""Where token counts come from: usage on LLM steps, result bytes / 4, both, or nothing was wasted."""


class Waste(msgspec.Struct, kw_only=True):
    """What the repeats cost, the first occurrence never counted; an upper bound, not a saving.

    Attributes:
        input_tokens: share of the issuing model turns' input, cache included.
        output_tokens: share of their output.
        cached_tokens: share of the input that came from a cache.
        carried_tokens: tokens of the repeats' results, once for each later model turn that read them again
            and is not itself counted above.
        duration: ns; the union of the repeats' intervals, so parallel calls count once.
        cost: billionths of the currency, for all of it; None without an observed or configured price.
        currency: "" without a cost.
        avoidable_tokens: those of input and output that fell after the second repeat.
        avoidable_cost: the same in billionths of the currency.
        basis: where the token counts come from.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    carried_tokens: int = 0
    duration: int = 0
    cost: int | None = None
    currency: str = ""
    avoidable_tokens: int = 0
    avoidable_cost: int | None = None
    basis: Basis = "none"

    def money(self) -> dict[str, float | str]:
        """What is known of the cost, in units of the currency."""
        if self.cost is None:
            return {}
        return {
            "cost": self.cost / 1e9,
            "avoidable_cost": (self.avoidable_cost or 0) / 1e9,
            "currency": self.currency,
        }


class Finding(msgspec.Struct, kw_only=True):
    """One revision of one finding; consumers tell them apart by (id, revision).

    Attributes:
        signal: what was found, e.g. "loop.exact_repeat".
        id: 32 hex digits of (trace, lane, rule, key, first evidence span).
        revision: 1, 2, ...; the last one states the final status.
        count: how many rounds (or failures) are in the episode.
        start: first evidence's start, ns.
        end: last evidence's end, ns.
        evidence: counted span ids, at most 16: first, second, a sample, last.
        evidence_count: how many spans were counted in all.
        evidence_dropped: how many of them are not listed.
        context: those of the evidence that another finding owns; their cost is its (precision rule 14).
        missing: what was not captured and would have made this surer; "spans" where evidence are log records
            that were written in none: their ids are derived, and no backend holds them.
        explanation: one sentence that a person can act on.
        lane: span id of the lane: the nearest agent, else root or missing parent.
        scope: "agent" when the lane's span is known to be an agent's, else "trace".
        depth: how many known agents enclose the evidence, the lane's own included.
        parent: where a derived span hangs.
        distinct_arguments: different argument sets among the counted calls (8 means 8 or more).
        arguments_hash, result_hash, error_fingerprint: hex, "" when there is none.
        session: of a session's end, what is known of the session; empty otherwise.
        hidden: why it is recorded and not told: "shadow", its rule is on trial; "muted", the user's wish.
    """

    signal: str
    id: str
    revision: int
    status: Status
    severity: Severity
    confidence: Confidence
    trace_id: bytes
    session_id: str
    agent: str
    tool: str
    count: int
    start: int
    end: int
    evidence: list[bytes]
    waste: Waste
    missing: list[str]
    explanation: str
    rule: str
    rule_version: int
    thresholds: dict[str, int]
    lane: bytes
    scope: Literal["agent", "trace"]
    depth: int
    parent: bytes
    evidence_count: int
    evidence_dropped: int
    context: list[bytes]
    distinct_arguments: int
    arguments_hash: str
    result_hash: str
    error_fingerprint: str
    service: str
    session: dict[str, Any] = {}
    hidden: Literal["", "shadow", "muted"] = ""

    def as_json(self) -> dict[str, Any]:
        """The finding as the command line prints it: the contract's fields first, then the others."""
        waste = {
            "input_tokens": self.waste.input_tokens,
            "output_tokens": self.waste.output_tokens,
            "cached_tokens": self.waste.cached_tokens,
            "carried_tokens": self.waste.carried_tokens,
            "duration": str(self.waste.duration),
            "avoidable_tokens": self.waste.avoidable_tokens,
            **self.waste.money(),
            "basis": self.waste.basis,
        }
        return {
            "signal": self.signal,
            "id": self.id,
            "revision": self.revision,
            "status": self.status,
            "severity": self.severity,
            "confidence": self.confidence,
            "trace_id": self.trace_id.hex(),
            "session_id": self.session_id,
            "agent": self.agent,
            "tool": self.tool,
            "count": self.count,
            "start": str(self.start),
            "end": str(self.end),
            "evidence": [span.hex() for span in self.evidence],
            "waste": waste,
            "missing": list(self.missing),
            "explanation": self.explanation,
            "rule": self.rule,
            "rule_version": self.rule_version,
            "thresholds": dict(self.thresholds),
            "lane": self.lane.hex(),
            "scope": self.scope,
            "depth": self.depth,
            "parent": self.parent.hex(),
            "evidence_count": self.evidence_count,
            "evidence_dropped": self.evidence_dropped,
            "context": [span.hex() for span in self.context],
            "distinct_arguments": self.distinct_arguments,
            "arguments_hash": self.arguments_hash,
            "result_hash": self.result_hash,
            "error_fingerprint": self.error_fingerprint,
            "service": self.service,
            **({"session": self.session} if self.session else {}),
            **({"hidden": self.hidden} if self.hidden else {}),
        }
