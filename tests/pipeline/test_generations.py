"""Generations made anew from a session's files alone, where what parted them is not in these files."""

from typing import Any, TypeAlias

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otel_ext.pipeline.guard import ending
from otel_ext.pipeline.hold import Item, count
from otel_ext.pipeline.reindex.sessions import Relearned, Told
from otel_ext.sessions import Session, Trace
from otel_ext.signals import Finding

ID = "s"
Line: TypeAlias = Item | Finding | None
"""A span, an end, or a log record: it stands in another file, and is read at any time before or after."""

OWN = [
    st.tuples(st.just("new"), st.booleans()),
    st.tuples(st.just("late"), st.integers(0, 9)),
    st.tuples(st.just("log"), st.integers(0, 99)),
    st.tuples(st.sampled_from(["wake", "idle"]), st.none()),
]
"""What happens to a session, by its own traces and log records."""
FOREIGN = st.tuples(st.just("foreign"), st.integers(200, 201))
"""A span of a trace that belongs to another session, which its own files do not show."""

NEW, IDLE, WAKE, LATE = ("new", True), ("idle", None), ("wake", None), ("late", 0)


class Truth:
    """The same rules as the engine's, in their plainest form; `lines` is what stands in the files.

    Args:
        silent: whether the first generation is of no agent, so that its ends are not told.
    """

    def __init__(self, *, silent: bool) -> None:
        self.silent = silent
        self.rows: list[Session] = []
        self.traces: dict[bytes, Session] = {}
        self.lines: list[Line] = []
        self.now = 0

    def do(self, event: str, value: int | None) -> None:
        """One thing happens; a request of a foreign trace comes only where there is a session."""
        self.now += 1
        match event:
            case "new":
                self.new(root=bool(value))
            case "late" if self.traces:
                known = list(self.traces)
                trace_id = known[(value or 0) % len(known)]
                self.span(trace_id, self.traces[trace_id], root=False)
            case "foreign" if self.rows:
                self.span(bytes([value or 0]) * 16, self.rows[-1], root=False)
            case "wake" if self.rows:
                self.rows[-1].stirred(self.now)
            case "log" if self.rows:
                self.rows[-1].saw_log(0, self.now)
                self.lines.insert((value or 0) % (len(self.lines) + 1), None)
            case "idle":
                for row in self.rows:
                    self.end(row)

    def new(self, *, root: bool) -> None:
        """A span of a new trace."""
        if not self.rows or (self.rows[-1].ended and self.rows[-1].traces):
            self.rows.append(Session(session_id=ID, generation=len(self.rows) + 1))
        row, trace_id = self.rows[-1], bytes([len(self.traces) + 1]) * 16
        self.traces[trace_id] = row
        row.new_trace()
        self.span(trace_id, row, root=root)

    def span(self, trace_id: bytes, row: Session, *, root: bool) -> None:
        """A span is stored."""
        agentic = not (self.silent and row.generation == 1)
        item = Item(trace_id, b"", "", b"", "", b"", 1, 2, ID, root, agentic=agentic, span_id=b"s" * 8)
        count((item,), row, self.now)
        if root:
            row.root_ended("")
        row.agentic = agentic
        if trace_id in self.traces:
            row.trace_id = trace_id
        self.lines.append(item)

    def end(self, row: Session) -> None:
        """Silence; its end is told when it is an agent's."""
        if not row.ended:
            row.idle_at = self.now
            if row.agentic:
                row.told += 1
                trace = Trace(trace_id=row.trace_id, session_id=ID, generation=row.generation)
                self.lines.append(ending(row, trace))


def relearned(lines: list[Line]) -> tuple[dict[int, Session], dict[bytes, int]]:
    """Generations, and traces with theirs, as files say that nothing else is known of."""
    session = Relearned(ID, Told(rows={}, traces={}), sum(isinstance(x, Item) for x in lines), now=1)
    for line in lines:
        if isinstance(line, Item):
            session.items([line])
        elif line is None:
            session.logs([0])
        else:
            session.findings([line])
    made = session.checkpoint({})
    return {row.generation: row for row in made.sessions}, {t.trace_id: t.generation for t in made.traces}


def facts(row: Session) -> dict[str, Any]:
    """What must be the same: what its ending tells, and how often it was told."""
    left_out = {"first_seen", "last_seen", "idle_at", "trace_id", "told_as", "open", "logs"}
    return {k: v for k, v in msgspec.to_builtins(row).items() if k not in left_out}


@example(events=[NEW, IDLE, WAKE, NEW, IDLE], silent=False)  # what seemed a generation was none
@example(events=[NEW, IDLE, NEW, LATE, IDLE, LATE, IDLE], silent=True)  # one that was not told of, and is
@settings(max_examples=400)
@given(events=st.lists(st.one_of(*OWN, FOREIGN), max_size=30), silent=st.booleans())
def test_every_span_is_counted_once_whatever_was_guessed(
    events: list[tuple[str, int | None]], silent: bool
) -> None:
    """Wakes that no file tells of, spans of others' traces, ends that nobody told."""
    truth = Truth(silent=silent)
    for event, value in events:
        truth.do(event, value)
    rows, traces = relearned(truth.lines)
    assert sum(row.spans for row in rows.values()) == sum(row.spans for row in truth.rows)
    assert sum(row.logs for row in rows.values()) == sum(row.logs for row in truth.rows)
    assert all(row.spans >= 0 and row.traces >= row.rootless >= 0 for row in rows.values())
    assert set(traces.values()) <= set(rows)


@example(events=[NEW, IDLE, WAKE, NEW])
@example(events=[NEW, IDLE, NEW, ("log", 2)])  # it seemed to wake the first, and came after the second began
@settings(max_examples=400)
@given(events=st.lists(st.one_of(*OWN), max_size=30))
def test_where_every_end_was_told_the_generations_are_the_same(events: list[tuple[str, int | None]]) -> None:
    """Their spans and other sums, their states, their traces and which these are."""
    truth = Truth(silent=False)
    for event, value in [*events, ("idle", None)]:
        truth.do(event, value)
    rows, traces = relearned(truth.lines)
    assert {number: facts(row) for number, row in rows.items()} == {
        row.generation: facts(row) for row in truth.rows
    }
    # A log record that is read too late may wake the newest once more, no other.
    for row in truth.rows if None not in truth.lines else truth.rows[:-1]:
        assert (rows[row.generation].state, rows[row.generation].open) == (row.state, False)
        assert rows[row.generation].trace_id == row.trace_id
    own = {trace_id: row.generation for trace_id, row in truth.traces.items()}
    assert {trace_id: n for trace_id, n in traces.items() if trace_id in own} == own
