"""How a session ended, as a finding: `termination.completed | interrupted | crashed`.

Law of this file: who decides that a session ended stands elsewhere; here the decision becomes a finding
like any other, with one id for a session's generation and a revision for each state that it came to.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from otel_ext.signals.findings.finding import Finding, Waste
from otel_ext.signals.settings import Severity

_SEVERITY: Final[dict[str, Severity]] = {"completed": "notice", "interrupted": "warning", "crashed": "error"}
_WORDS: Final = {
    "completed": "The session completed: {reason}.",
    "interrupted": "The session was interrupted: {reason}.",
    "crashed": "The session crashed: {reason}.",
}
ENDS: Final = tuple(f"termination.{state}" for state in _WORDS)
"""Signals that no rule tells, but a session's end; others of that family are findings like any."""


def termination(
    *,
    state: str,
    reason: str,
    session_id: str,
    revision: int,
    trace_id: bytes,
    root: bytes,
    start: int,
    end: int,
    facts: Mapping[str, object],
) -> Finding:
    """The finding that tells a session's end.

    Args:
        state: "completed", "interrupted" or "crashed".
        reason: why, in words.
        session_id: whose end it is.
        revision: how often this generation's end was told, this time included.
        trace_id: the trace that the derived span stands in.
        root: that trace's root span, empty when it is missing.
        start: the session's first instant, ns.
        end: its last instant, ns.
        facts: what is known of the session, by name; `generation` among it.
    """
    identity = f"{session_id}\n{facts['generation']}\ntermination".encode("utf-8", "backslashreplace")
    return Finding(
        signal=f"termination.{state}",
        id=sha256(identity).hexdigest()[:32],
        revision=revision,
        status="terminated",
        severity=_SEVERITY[state],
        confidence="probable" if state == "interrupted" else "confirmed",
        trace_id=trace_id,
        session_id=session_id,
        agent="",
        tool="",
        count=0,
        start=start,
        end=max(start, end),
        evidence=[root] if root else [],
        waste=Waste(),
        missing=[] if root else ["root span"],
        explanation=_WORDS[state].format(reason=reason),
        rule="OTX-T001",
        rule_version=1,
        thresholds={},
        lane=root,
        scope="trace",
        depth=0,
        parent=root,
        evidence_count=1 if root else 0,
        evidence_dropped=0,
        context=[],
        distinct_arguments=0,
        arguments_hash="",
        result_hash="",
        error_fingerprint="",
        service="",
        session=dict(facts),
    )
