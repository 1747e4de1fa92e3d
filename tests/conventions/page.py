"""`docs/dialects.md`, made from the dialects and their fixtures: `python -m tests.conventions.page`.

Which attributes a field is read from is not written down anywhere: it is found by leaving each attribute out
of a fixture and seeing what is missing then.
"""

import re
from pathlib import Path
from typing import Any

import msgspec

from otel_ext.conventions import observe, observe_log, session_keys, session_of
from otel_ext.conventions.dialects import ORDER
from otel_ext.span import Event, Log, Span
from otel_ext.step import Observation
from tests.conventions.fixtures import FIXTURES, Fixture

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"

COLUMNS = {
    "name": ("name", "agent_name"),
    "arguments": ("arguments",),
    "result": ("result",),
    "failure": ("error", "error_text"),
    "call or response id": ("call_id", "response_id", "issued"),
    "tokens, cost": (
        *("input_tokens", "output_tokens", "cached_tokens", "created_tokens", "reasoning_tokens", "cost"),
    ),
    "first token": ("first_token",),
    "answer": ("text", "reasoning", "finish"),
    "turn, task": ("user_turns", "user_turn", "task", "handoff"),
    "session": ("session",),
}

HEAD = """# Dialects

How agents' telemetry differs, and what `otel-ext` reads of it. Made by `python -m
tests.conventions.page` from the dialects in `otel_ext/conventions/dialects` and their fixtures in
`tests/conventions/fixtures`; a test holds it to them. Each name below is of an attribute, or in
*italics* of something else (an event of a span, a record's body, a status), without which a fixture
loses the field.

Spans, events of spans and log records are read alike: a call that a log record tells is a step beside
the stored record. A call that several tell (a span and a log record, a client and its server, a wrapper)
is one step. A span belongs to the first dialect of the table by whose mark it is known; where it carries
two, one completes the other. What was redacted, withheld or cut is *not captured*: never a value, and
never equal to another one. Usage is read of model calls only, because producers repeat it up the tree.
Langfuse's word on what a span is stands above the others'; its values are mirrors, and the originals are
read first.

A session's tool calls, failures and tokens count steps, when detectors take them (`hold` after they came): a
call once, log records' calls as well. A session that only log records tell of ends by silence like any other,
and where they told of calls its end is told (`termination.*`), in a trace that is derived from its id.

A call that only a log record told has no span. Findings cite the span that the record was written in,
where the record says so; else its place in `evidence` is taken by an id derived from the record, which
no backend holds, and `missing` (`otel_ext.evidence.missing`) says `spans`. Such calls stand in the files
of log records (`otel-ext cat`), found by session, tool and time.

altimate-code's trace files are no OpenTelemetry; what it sends is in the dialect of Vercel's AI SDK.

Session: the first of {sessions};
else `session_id`, `conversation_id` or `thread_id` in OpenInference's `metadata`; else the trace.
"""


def page() -> str:
    """The page."""
    sessions = ", ".join(f"`{key}`" for key in session_keys)
    parts = [HEAD.format(sessions=sessions), "| dialect | known by | told by | source |\n|---|---|---|---|"]
    for dialect in ORDER:
        mine = [one for one in FIXTURES if one.dialect == dialect.name]
        told = [_told(one) for one in mine]
        by = ", ".join(sorted(set(told), key=told.index))
        parts.append(f"| [{dialect.title}](#{dialect.name}) | {dialect.known_by} | {by} | {dialect.source} |")
    for dialect in ORDER:
        mine = [one for one in FIXTURES if one.dialect == dialect.name]
        parts.append(f"\n## {dialect.name}\n\n{dialect.title}\n\n| understood | from |\n|---|---|")
        found: dict[str, dict[str, None]] = {column: {} for column in COLUMNS}
        for one in mine:
            for column, keys in sources(one).items():
                found[column].update(dict.fromkeys(keys))
        parts += [f"| {column} | {', '.join(keys)} |" for column, keys in found.items() if keys]
        parts.append("\nFixtures: " + "; ".join(one.what for one in mine) + ".")
    return "\n".join(parts) + "\n"


def sources(one: Fixture) -> dict[str, list[str]]:
    """Column -> the parts of a fixture that it is read from."""
    whole, found = _fields(one.made), dict[str, list[str]]()
    for label, without in _parts(one.made):
        fields = _fields(without)
        for column, names in COLUMNS.items():
            if any(whole[name] != fields[name] for name in names):
                found.setdefault(column, []).append(label)
    return found


def _told(one: Fixture) -> str:
    if isinstance(one.made, Log):
        return "log records"
    return "spans and their events" if one.made.events else "spans"


def _fields(made: Span | Log) -> dict[str, Any]:
    seen: Observation | None
    if isinstance(made, Span):
        seen = observe(made)
    else:
        told = observe_log(made)
        seen = told.seen if told else None
    empty = Observation(kind=one_kind(seen))
    fields = msgspec.structs.asdict(seen or empty)
    return fields | {"session": session_of(made.attributes)}


def one_kind(seen: Observation | None) -> Any:
    """The kind of what was seen."""
    return seen.kind if seen else "other"


def _parts(made: Span | Log) -> list[tuple[str, Span | Log]]:
    """`(name, the same without it)` of each attribute that is no discriminator, each event, the body."""
    copy: Any = _copy(made)
    found: list[tuple[str, Span | Log]] = []
    kind = _fields(made)["kind"]
    for key in made.attributes:
        without = _copy(made)
        without.attributes = {k: v for k, v in made.attributes.items() if k != key}
        if _fields(without)["kind"] == kind or isinstance(made, Log):
            found.append((f"`{re.sub(r'[.][0-9]+(?=[.]|$)', '.N', key)}`", without))
    if isinstance(made, Span):
        for index, event in enumerate(made.events):
            without = _copy(made)
            assert isinstance(without, Span)
            without.events = [*made.events[:index], *made.events[index + 1 :]]
            found.append((_event(event), without))
        if made.status_code == 2:
            copy.status_code, copy.status_message = 0, ""
            found.append(("*status*", copy))
    elif made.body is not None and not isinstance(made.body, str):
        copy.body = None
        found.append(("*the body*", copy))
    return found


def _event(event: Event) -> str:
    keys = ", ".join(f"`{key}`" for key in event.attributes if key not in {"role", "id", "index"})
    return f"*event {event.name}*" + (f" ({keys})" if keys else "")


def _copy(made: Span | Log) -> Span | Log:
    fields = {name: getattr(made, name) for name in made.__slots__}
    return type(made)(**fields)


if __name__ == "__main__":
    PAGE.write_text(page())
