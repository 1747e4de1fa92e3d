"""What is known of a session, and the state that follows from it.

Law of this file: facts only grow (law L5), and the state is a pure function of them, so any order of
writers ends the same. The end of a root closes a trace, not a session: a conversation has one root a
turn. A later span supersedes an idle end; nothing supersedes a crash, whoever else writes and when: a
crash mark is one more fact in an append-only journal, not a file that a slower writer could replace.
"""

from enum import StrEnum

import msgspec

_SUMS = (
    *("spans", "unfinished", "duplicates", "conflicts", "tool_calls", "errors", "logs"),
    *("input_tokens", "output_tokens", "traces", "rootless"),
)


_NOTES = 8
"""Most reasons that are kept beside the first."""


class State(StrEnum):
    """How a generation of a session stands."""

    ACTIVE = "active"
    COMPLETED = "completed"
    """Idle or declared over, and every trace's root span had ended."""
    INTERRUPTED = "interrupted"
    """Idle or declared over, and a trace's root span never came, or a span that began never ended."""
    CRASHED = "crashed"
    """A crash mark was received, or its process died with a span of it unfinished."""


class Session(msgspec.Struct, kw_only=True, gc=False):
    """One generation of a session: its facts and its sums.

    Times named `seen` and `idle_at` are engine times, `start` and `end` the spans' own, all in ns.

    Attributes:
        spans: stored spans; `unfinished` of them are of spans that had begun and whose end never came.
        traces: traces that belong to this generation.
        rootless: of these, traces whose root span has not arrived.
        open: whether its next silence is waited for; also of one that has ended and got a late span.
        idle_at: engine time at which it was last found idle; 0 when never.
        over: why somebody declared it over; "" when nobody did. It ends when no root is missing any more.
        crash: the reason of the first crash mark; "" when none. `crash_notes` are those of later ones.
        root_error: the first failed root span's status message; kept as the primary reason.
        trace_id: its newest trace that detectors follow, else its newest; where its end is told.
        agentic: whether detectors follow any of its traces.
        told: how often its end was told, the last time as `told_as`: state and reason.
        logs: stored log records; `log_start` and `log_end` are the first and the last time of them.
    """

    session_id: str
    generation: int = 1
    first_seen: int = 0
    last_seen: int = 0
    start: int = 0
    end: int = 0
    spans: int = 0
    duplicates: int = 0
    conflicts: int = 0
    tool_calls: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    traces: int = 0
    rootless: int = 0
    open: bool = False
    idle_at: int = 0
    crash: str = ""
    root_error: str = ""
    unfinished: int = 0
    over: str = ""
    crash_notes: list[str] = []
    trace_id: bytes = b""
    agentic: bool = False
    told: int = 0
    told_as: str = ""
    logs: int = 0
    log_start: int = 0
    log_end: int = 0

    @property
    def first(self) -> int:
        """Its first instant: of its spans, or where it has none, of its log records; 0 when unknown."""
        return self.start or self.log_start

    @property
    def last(self) -> int:
        """Its last instant, likewise."""
        return self.end or self.log_end

    @property
    def ended(self) -> bool:
        """Whether this generation has ended: crashed, declared over, or idle since its last span."""
        return bool(self.crash) or self.idle_at > 0 or (bool(self.over) and not self.rootless)

    @property
    def state(self) -> State:
        """The state that the facts imply."""
        if self.crash:
            return State.CRASHED
        if not self.ended:
            return State.ACTIVE
        return State.INTERRUPTED if self.rootless or self.unfinished else State.COMPLETED

    @property
    def reason(self) -> str:
        """Why it is in that state, in words; "" while active without a failed root."""
        match self.state:
            case State.CRASHED:
                reasons = [self.crash, *self.crash_notes]
                if self.root_error and not any(self.root_error in reason for reason in reasons):
                    reasons.append(f"the root span failed: {self.root_error}")
                return "; beside it: ".join(reasons)
            case State.ACTIVE:
                return self.root_error
            case State.INTERRUPTED if not self.rootless:
                return f"{self.unfinished} span{'s' if self.unfinished > 1 else ''} never ended"
            case State.INTERRUPTED:
                of = f"{self.rootless} of {self.traces} traces" if self.traces > 1 else "its trace"
                return f"no more spans came and the root span of {of} never ended"
            case State.COMPLETED:
                if self.root_error:
                    return f"the root span failed: {self.root_error}"
                alone = self.logs and not self.traces
                return self.over or ("no more log records came" if alone else "every root span ended")

    def absorb(self, part: "Session") -> None:
        """Add another session's facts: a trace whose session was learnt after it was stored on its own."""
        self.start = min(filter(None, (self.start, part.start)), default=0)
        self.first_seen = min(filter(None, (self.first_seen, part.first_seen)), default=0)
        self.log_start = min(filter(None, (self.log_start, part.log_start)), default=0)
        self.log_end = max(self.log_end, part.log_end)
        self.end, self.last_seen = max(self.end, part.end), max(self.last_seen, part.last_seen)
        self.idle_at = max(self.idle_at, part.idle_at) if self.idle_at and part.idle_at else 0
        self.root_error, self.over = self.root_error or part.root_error, self.over or part.over
        for reason in filter(None, (part.crash, *part.crash_notes)):
            self.crashed(reason)
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(part, name))

    def crashed(self, reason: str) -> None:
        """Add a crash mark. The first reason stays the primary one, later ones stand beside it."""
        if not self.crash:
            self.crash = reason
        elif reason not in {self.crash, *self.crash_notes} and len(self.crash_notes) < _NOTES:
            self.crash_notes = [*self.crash_notes, reason]

    def saw_spans(self, count: int, start: int, end: int, now: int) -> None:
        """Count stored spans with the first and the last instant of them (0 when unknown); as `stirred`."""
        self.spans += count
        self.last_seen = now
        self._awake()
        if start and (not self.start or start < self.start):
            self.start = start
        self.end = max(self.end, end)

    def saw_log(self, time: int, now: int) -> None:
        """Count one stored log record with its time (0 when unknown): a sign of life."""
        self.logs += 1
        if time and (not self.log_start or time < self.log_start):
            self.log_start = time
        self.log_end = max(self.log_end, time)
        self.stirred(now)

    def stirred(self, now: int) -> None:
        """Note a sign of life that is no stored span: a span began; supersedes an idle end."""
        self.last_seen = now
        self._awake()

    def _awake(self) -> None:
        if self.idle_at:
            self.idle_at = 0
            if not self.crash:
                self.told_as = ""

    def follow_logs(self, trace_id: bytes) -> None:
        """Note that detectors follow log records of it; a trace of spans is a better place for its end."""
        self.agentic = True
        if not self.traces:
            self.trace_id = trace_id

    def new_trace(self) -> None:
        """Count a trace that belongs here; its root is missing until `root_ended`."""
        self.traces += 1
        self.rootless += 1

    def root_ended(self, error: str) -> None:
        """Note that a trace's root span arrived; `error` is its failure in words, "" for none."""
        self.rootless -= 1
        if error and not self.root_error:
            self.root_error = error


class Trace(msgspec.Struct, kw_only=True, gc=False):
    """Where a trace belongs.

    Attributes:
        session_id: the session it was stored under (its own id in hex, when no session id was known).
        joined: a session id that appeared after that, and `joined_generation` the generation that was its
            newest then; readers join the two, bytes never move.
        rooted: whether its root span has arrived; `root` is that span's id.
        agentic: whether any span of it was understood by a convention.
        resource: wire bytes of the resource of its first understood span, for derived spans.
    """

    trace_id: bytes
    session_id: str
    generation: int
    joined: str = ""
    joined_generation: int = 1
    rooted: bool = False
    agentic: bool = False
    resource: bytes = b""
    root: bytes = b""

    @property
    def adopted(self) -> bool:
        """Whether only log records of it are known: it counts for no session yet."""
        return self.rooted and not self.root
