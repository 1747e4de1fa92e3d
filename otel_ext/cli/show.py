"""`otel-ext show DIR SESSION`: the spans of one session as a tree.

Law of this file: every stored span is printed exactly once, whatever its parents look like: orphans
stand at the top level, a circle of parents is broken where it is entered.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from otel_ext.cli.folder import DATA_ARGUMENT, engines, findings, lines_of, sessions
from otel_ext.cli.refused import Refused
from otel_ext.cli.signals import as_text
from otel_ext.cli.text import clean, duration, instant, tokens

_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")


_TOP = ("", "")


def spans_of(lines: Iterator[bytes]) -> list[dict[str, Any]]:
    """Received spans of some lines as JSON objects; our own derived spans left out."""
    return [
        span
        for line in lines
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        if scope.get("scope", {}).get("name") != "otel_ext"
        for span in scope["spans"]
    ]


def tree(spans: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """`(branch drawing, span)` in the order of a depth-first walk, siblings by start time."""
    ordered = sorted(spans, key=lambda s: (int(s.get("startTimeUnixNano", 0)), s["traceId"], s["spanId"]))
    present = {(span["traceId"], span["spanId"]) for span in spans}
    children: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for span in ordered:
        parent = (span["traceId"], span.get("parentSpanId", ""))
        inside = parent in present and parent[1] != span["spanId"]
        children[parent if inside else _TOP].append(span)
    seen: set[int] = set()
    stack = [("", "", span) for span in reversed(children[_TOP])]
    rest = iter(ordered)  # only circles are left when the walk from the top has ended
    while True:
        while stack:
            drawing, indent, span = stack.pop()
            if id(span) in seen:
                continue
            seen.add(id(span))
            yield drawing, span
            below = [s for s in children[span["traceId"], span["spanId"]] if id(s) not in seen]
            for index, child in reversed(list(enumerate(below))):
                last = index == len(below) - 1
                stack.append(
                    (indent + ("└─ " if last else "├─ "), indent + ("   " if last else "│  "), child)
                )
        lost = next((s for s in rest if id(s) not in seen), None)
        if lost is None:
            return
        stack.append(("", "", lost))


def _number(attributes: dict[str, Any], keys: tuple[str, ...]) -> int:
    for key in keys:
        value = attributes.get(key, {})
        text = str(value.get("intValue", value.get("stringValue", "")))
        if text.isdecimal():
            return int(text)
    return 0


def _line(drawing: str, span: dict[str, Any], notes: list[str]) -> str:
    attributes = {a["key"]: a.get("value", {}) for a in span.get("attributes", [])}
    start, end = int(span.get("startTimeUnixNano", 0)), int(span.get("endTimeUnixNano", 0))
    parts = [drawing + clean(span.get("name", ""), 60), duration(start, end)]
    parts.append(tokens(_number(attributes, _INPUT), _number(attributes, _OUTPUT)))
    status = span.get("status", {})
    if status.get("code") == 2:
        parts.append(f"ERROR {clean(status.get('message', ''), 60)}".rstrip())
    parts += [clean(key.removeprefix("otel_ext.")) for key in attributes if key.startswith("otel_ext.")]
    parts += [f"◄ {note}" for note in notes]
    return "  ".join(filter(None, parts))


def _meant(given: str, ids: set[str], data: Path) -> str:
    """The session of that id, or the only one whose id begins so."""
    found = [given] if given in ids else sorted(one for one in ids if given and one.startswith(given))
    if not found:
        raise Refused(f"no session {clean(given)!r} in {data}; `otel-ext sessions {data}` lists them")
    if len(found) > 1:
        some = ", ".join(clean(one) for one in found[:5])
        raise Refused(
            f"{len(found)} sessions begin with {clean(given)!r}: {some}{', ...' * (len(found) > 5)}"
        )
    return found[0]


@click.command(
    help="Show one session as a tree, findings at the spans they name. The beginning of its id will do."
)
@DATA_ARGUMENT
@click.argument("session", metavar="SESSION")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a span, in tree order.")
def command(data: Path, session: str, json_lines: bool) -> None:
    """`otel-ext show`."""
    stored = [(engine, sessions(engine, data)) for engine in engines(data)]
    session = _meant(session, {one.session.session_id for _, rows in stored for one in rows}, data)
    for engine, rows in stored:
        about = [one for one in rows if one.session.session_id == session]
        if not about:
            continue
        named = [f for f in findings(engine) if f["session_id"] == session]
        notes: dict[tuple[str, str], list[str]] = defaultdict(list)
        for finding in named:
            for ordinal, span_id in enumerate(finding["evidence"], 1):
                notes[finding["trace_id"], span_id].append(
                    f"{finding['signal']} {ordinal}/{finding['count']}"
                )
        walk = tree(spans_of(lines_of(engine, session)))
        if json_lines:
            for drawing, span in walk:
                depth = len(drawing) // 3
                click.echo(
                    json.dumps(
                        {
                            "depth": depth,
                            "findings": notes.get((span["traceId"], span["spanId"]), []),
                            "span": span,
                        }
                    )
                )
            continue
        for s, _, _ in about:
            click.echo(
                clean(s.session_id)
                + (f" #{s.generation}" if s.generation > 1 else "")
                + f"  {s.state}"
                + (f": {clean(s.reason, 200)}" if s.reason else "")
            )
            sums = [
                f"{s.spans:,} spans",
                f"{s.logs:,} log records" if s.logs else "",
                f"{s.tool_calls:,} tool calls",
                f"{s.errors:,} errors",
                tokens(s.input_tokens, s.output_tokens),
            ]
            when = f"{instant(s.first)} UTC  {duration(s.first, s.last)}"
            click.echo(f"{when}  {'  '.join(filter(None, sums))}")
        click.echo()
        for drawing, span in walk:
            click.echo(_line(drawing, span, notes.get((span["traceId"], span["spanId"]), [])))
        for finding in named:
            click.echo()
            click.echo(as_text(finding))
