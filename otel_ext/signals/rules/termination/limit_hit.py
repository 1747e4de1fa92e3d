"""termination.limit_hit: an agent was stopped by a limit, not by its own end.

Law of this file: said by the agent's own failure in the words of a limit, or by the reason for which its
last answer stopped. A limit that is mentioned elsewhere is none.
"""

import re
from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.explain import quoted
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Context, Limits, Rule, evidence
from otel_ext.step import Step

LIMIT: Final = "OTX-T004/limit"
"""Table: an agent that failed by a limit."""

CUT: Final = "OTX-T004/cut"
"""Table: the newest answer, when it was cut off, and how many calls there were by then; one key a lane."""

_KEY: Final = b"cut"
_CUT: Final = frozenset(("length", "max_tokens", "max_output_tokens", "model_length", "incomplete"))
_WORDS: Final = re.compile(
    r"graphrecursionerror|recursion limit|maxturnsexceeded|maxstepserror|usagelimitexceeded"
    r"|\bmax(?:imum)?[ _]?(?:number of )?(?:agent )?(?:steps|turns|iterations|rounds|requests|llm calls)\b"
    r"|(?:step|turn|iteration|request|tool call|token|time|budget) limit (?:\w+ ){0,4}(?:reached"
    r"|exceeded|hit)"
    r"|(?:reached|exceeded|hit) (?:\w+ ){0,4}(?:step|turn|iteration|token|budget) limit"
    r"|context[_ ]length[_ ]exceeded|maximum context length|prompt is too long",
    re.IGNORECASE,
)


class LimitHit(Rule[Limits]):
    """An agent failed by a limit (steps, turns, tokens, recursion), or its last answer was cut off by one."""

    id = "OTX-T004"
    signal = "termination.limit_hit"
    react: ClassVar[str] = "Read the loop findings of the same agent first: a limit is rarely the cause."
    guards: ClassVar[tuple[str, ...]] = (
        "only an agent's own failure, or its very last answer",
        "an answer that was cut off and then went on, or that a call followed, is no end",
    )
    origin: ClassVar[str] = "Frameworks raise these errors; each has its own words, which are listed here."
    per_turn = False
    owns = False

    def model(self, context: Context, step: Step) -> None:
        """Note an answer that was cut off."""
        if find(context, CUT, _KEY) is not None:
            close(self, context, CUT, _KEY, "recovered")
        if step.said is not None and step.said.finish.lower() in _CUT and not step.issued:
            track = keep(self, context, CUT, _KEY, Track(tool="", epoch=context.lane.calls))
            add(context, CUT, _KEY, track, evidence(context, step))

    def ended(self, context: Context, status: Status) -> None:
        """Speak for the last answer."""
        track = find(context, CUT, _KEY)
        if track is not None and status != "evicted" and track.epoch == context.lane.calls:
            advance(self, context, CUT, _KEY, track, severity="notice", confidence="confirmed")

    def agent_ended(self, context: Context, step: Step) -> None:
        """Speak for an agent that failed by a limit."""
        if step.error and _WORDS.search(step.error_text):
            track = keep(self, context, LIMIT, step.span_id, Track(tool=""))
            add(context, LIMIT, step.span_id, track, evidence(context, step))
            advance(self, context, LIMIT, step.span_id, track, severity="warning", confidence="confirmed")

    def thresholds(self, track: Track) -> dict[str, int]:
        """One is enough."""
        return {"notice": 1}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        if not track.error_text:
            return (
                "The agent's last answer was cut off by a limit of tokens; raise the limit, or ask for less"
            )
        return (
            f"The agent was stopped by a limit{quoted(track.error_text)}; see first whether it was in a loop"
        )
