"""Agent runs in a few words: a `Run` writes steps as an agent would take them, one second a step."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from otel_ext.pipeline.reorder import CLOSE, Reorder
from otel_ext.signals import Finding, Settings, Signals
from otel_ext.step import Effect, Kind, Step

SECOND = 1_000_000_000
HOLD = 2 * SECOND
"""How long a step waits for its predecessors; agents run for longer, so children still come first."""
START = 1_700_000_000 * SECOND
TRACE = bytes(range(16))
ROOT = b"root-spn"

ALARMING = ("warning", "error", "critical")


def digest(*parts: object) -> bytes:
    """A 16-byte digest of anything, standing in for the hashes of arguments, results and failures."""
    return blake2b(repr(parts).encode(), digest_size=16).digest()


class Run:
    """One agent's run, written step by step.

    Args:
        agent: the lane's own span id; its step is made by `agent_step`.
        model: whether each call is preceded by the LLM step that asks for it.
        wrapped: whether each round hangs under a "Step N" span of its own, as in smolagents.
    """

    def __init__(
        self,
        agent: bytes = ROOT,
        parent: bytes = b"",
        *,
        trace: bytes = TRACE,
        model: bool = True,
        wrapped: bool = False,
        prefix: str = "",
    ) -> None:
        self.agent, self.parent, self.trace, self.prefix = agent, parent, trace, prefix or agent.hex()
        self.modelled, self.wrapped = model, wrapped
        self.time = START
        self.steps: list[Step] = []
        self.under = agent
        self._serial = 0

    def span(self) -> bytes:
        """A new span id."""
        self._serial += 1
        return blake2b(f"{self.prefix}:{self._serial}".encode(), digest_size=8).digest()

    def step(self, kind: Kind, *, lasts: int = SECOND // 2, **fields: Any) -> Step:
        """Append any step that starts now."""
        known: dict[str, Any] = {
            "trace_id": self.trace,
            "span_id": self.span(),
            "parent_id": self.under,
            "start": self.time,
            "end": self.time + lasts,
            "session_id": "conversation",
            "service": "shop",
        }
        step = Step(kind=kind, **{**known, **fields})
        self.steps.append(step)
        self.time += SECOND
        return step

    def think(self, **fields: Any) -> Step:
        """A model call, which opens a round (below a step span of its own when `wrapped`)."""
        if self.wrapped:
            self.under = self.step(
                Kind.OTHER, lasts=SECOND * 7 // 4, parent_id=self.agent, name="Step"
            ).span_id
            self.time -= SECOND - 1
        return self.step(Kind.LLM, **{"name": "model", "input_tokens": 1000, "output_tokens": 50, **fields})

    def call(self, tool: str = "read", arguments: object = "a", result: object = "r", **fields: Any) -> Step:
        """A successful call in a round of its own; `None` means not captured."""
        if self.modelled:
            self.think()
        return self.more(tool, arguments, result, **fields)

    def more(self, tool: str = "read", arguments: object = "a", result: object = "r", **fields: Any) -> Step:
        """Another call in the round that is open."""
        known: dict[str, Any] = {
            "name": tool,
            "effect": Effect.READ,
            "arguments_hash": None if arguments is None else digest(tool, arguments),
            "result_hash": None if result is None else digest(result),
            "result_size": 0 if result is None else 400,
        }
        return self.step(Kind.TOOL, **{**known, **fields})

    def fail(self, tool: str = "read", arguments: object = "a", error: object = "e", **fields: Any) -> Step:
        """A failing call in a round of its own."""
        known: dict[str, Any] = {
            "error": True,
            "error_hash": None if error is None else digest(error),
            "error_text": str(error or ""),
            "result_size": 0,
        }
        return self.call(tool, arguments, None, **{**known, **fields})

    def write(self, arguments: object = "x", result: object = "ok", tool: str = "edit") -> Step:
        """A successful write."""
        return self.call(tool, arguments, result, effect=Effect.WRITE)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.time += int(seconds * SECOND)

    def agent_step(self) -> Step:
        """The agent's own span, from the run's start to now."""
        return Step(
            kind=Kind.AGENT,
            trace_id=self.trace,
            span_id=self.agent,
            parent_id=self.parent,
            start=START,
            end=self.time,
            name="solver",
            session_id="conversation",
        )


def final(findings: Iterable[Finding]) -> dict[str, Finding]:
    """The last revision of each finding."""
    return {finding.id: finding for finding in findings}


def alarms(findings: Iterable[Finding]) -> list[Finding]:
    """The last revisions that would wake somebody up."""
    return [
        finding
        for finding in final(findings).values()
        if finding.severity in ALARMING and finding.confidence != "candidate"
    ]


def loops(findings: Iterable[Finding]) -> list[tuple[str, int, str, str]]:
    """Signal, count, severity and final status of each loop finding."""
    return sorted(
        (finding.signal, finding.count, finding.severity, finding.status)
        for finding in final(findings).values()
        if finding.signal.startswith("loop.")
    )


def play(*runs: Run, settings: Settings | None = None, signals: Signals | None = None) -> list[Finding]:
    """Parents first, in order of start times, each agent closed at its end: what a live pipeline does."""
    signals = signals or Signals(settings or Settings())
    agents = [run.agent_step() for run in runs]
    events: list[tuple[int, int, Step]] = [(agent.start, 0, agent) for agent in agents]
    events += [(agent.end, 2, agent) for agent in agents]
    events += [(step.start, 1, step) for run in runs for step in run.steps]
    found: list[Finding] = []
    for time, order, step in sorted(events, key=lambda event: event[:2]):
        found += signals.close(step, time) if order == 2 else signals.open(step, time)
    return found + signals.end_trace(runs[0].trace, "persisted", runs[0].time)


def play_ended(*runs: Run, settings: Settings | None = None) -> list[Finding]:
    """Children first, in order of end times, through the reorder buffer: what a sidecar sees."""
    signals, reorder = Signals(settings or Settings()), Reorder(HOLD, 1 << 20)
    steps = [step for run in runs for step in [*run.steps, run.agent_step()]]
    found: list[Finding] = []

    def take(trace_id: bytes, until: int | None, now: int) -> None:
        for one in reorder.take(trace_id, until):
            found.extend((signals.close if one.phase == CLOSE else signals.open)(one.step, now))

    for step in sorted(steps, key=lambda step: step.end):
        reorder.add(step, step.end, bounds=step.kind is Kind.AGENT)
        while (ready := reorder.due(step.end)) is not None:
            take(*ready, step.end)
    last = max(step.end for step in steps)
    for trace_id in reorder.waiting():
        take(trace_id, None, last)
    return found + signals.end_trace(runs[0].trace, "persisted", runs[0].time)
