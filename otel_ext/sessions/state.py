"""What is known of a session, and the state that follows from it.

Law of this file: facts only grow (law L5), and the state is a pure function of them, so any order of
writers ends the same. The end of a root closes a trace, not a session: a conversation has one root a
turn. A later span supersedes an idle end; nothing supersedes a crash.
"""

from enum import StrEnum

import msgspec

_SUMS = (
    *("spans", "duplicates", "conflicts", "tool_calls", "errors"),
    *("input_tokens", "output_tokens", "traces", "rootless"),
)


class State(StrEnum):
    """How a generation of a session stands."""

    ACTIVE = "active"
    COMPLETED = "completed"
    """Idle, and every trace's root span had ended."""
    INTERRUPTED = "interrupted"
    """Idle, and at least one trace's root span never came."""
    CRASHED = "crashed"
    """An explicit crash mark was received."""


class Session(msgspec.Struct, kw_only=True):
    """One generation of a session: its facts and its sums.

    Times named `seen` and `idle_at` are engine times, `start` and `end` the spans' own, all in ns.

    Attributes:
        traces: traces that belong to this generation.
        rootless: of these, traces whose root span has not arrived.
        idle_at: engine time at which it was last found idle; 0 when never.
        crash: the reason of the first crash mark; "" when none.
        root_error: the first failed root span's status message; kept as the primary reason.
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
    idle_at: int = 0
    crash: str = ""
    root_error: str = ""

    @property
    def ended(self) -> bool:
        """Whether this generation is over: crashed, or idle since its last span."""
        return bool(self.crash) or self.idle_at > 0

    @property
    def state(self) -> State:
        """The state that the facts imply."""
        if self.crash:
            return State.CRASHED
        if not self.idle_at:
            return State.ACTIVE
        return State.INTERRUPTED if self.rootless else State.COMPLETED

    @property
    def reason(self) -> str:
        """Why it is in that state, in words; "" while active without a failed root."""
        match self.state:
            case State.CRASHED:
                return self.crash
            case State.ACTIVE:
                return self.root_error
            case State.INTERRUPTED:
                of = f"{self.rootless} of {self.traces} traces" if self.traces > 1 else "its trace"
                return f"no more spans came and the root span of {of} never ended"
            case State.COMPLETED:
                return (
                    f"the root span failed: {self.root_error}" if self.root_error else "every root span ended"
                )

    def absorb(self, part: "Session") -> None:
        """Add another session's facts: a trace whose session was learnt after it was stored on its own."""
        self.start = min(filter(None, (self.start, part.start)), default=0)
        self.first_seen = min(filter(None, (self.first_seen, part.first_seen)), default=0)
        self.end, self.last_seen = max(self.end, part.end), max(self.last_seen, part.last_seen)
        self.idle_at = max(self.idle_at, part.idle_at) if self.idle_at and part.idle_at else 0
        self.crash, self.root_error = self.crash or part.crash, self.root_error or part.root_error
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(part, name))

    def saw_span(self, start: int, end: int, now: int) -> None:
        """Count one stored span with its times (0 when unknown); supersedes an idle end."""
        self.spans += 1
        self.last_seen = now
        self.idle_at = 0
        if start and (not self.start or start < self.start):
            self.start = start
        self.end = max(self.end, end, start)

    def new_trace(self) -> None:
        """Count a trace that belongs here; its root is missing until `root_ended`."""
        self.traces += 1
        self.rootless += 1

    def root_ended(self, error: str) -> None:
        """A trace's root span arrived; `error` is its failure in words, "" for none."""
        self.rootless -= 1
        if error and not self.root_error:
            self.root_error = error


class Trace(msgspec.Struct, kw_only=True):
    """Where a trace belongs.

    Attributes:
        session_id: the session it was stored under (its own id in hex, when no session id was known).
        joined: a session id that appeared after that, and `joined_generation` the generation that was its
            newest then; readers join the two, bytes never move.
        rooted: whether its root span has arrived.
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
