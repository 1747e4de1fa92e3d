"""The corpora as a judge needs them: which spans a trace has, what was labelled, what repeats.

Law of this file: it reads files and decides nothing. Of a span only the structure is kept, so that all 310
traces fit in a few megabytes.
"""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.support import CORPUS, lines

LABEL = "resource abuse"
"""The category of TRAIL that a loop or waste finding answers to."""
HEALTHY = ("tau-airline-success", "frameworks")
"""Corpora in which every alarm is wrong but in the traces of `REVIEWED`."""
REVIEWED = {"d1054633": "four updates of one reservation, three sets of arguments, the same error each time"}
"""Traces of the healthy corpora that were read and hold a real problem, by the first 8 digits."""


class Node(msgspec.Struct):
    """A span's place and kind.

    Attributes:
        boundary: a root or an agent's span, which no label means.
    """

    span_id: str
    parent: str
    name: str
    boundary: bool


class Error(NamedTuple):
    """One labelled error of the category `LABEL`."""

    span_id: str
    words: str


class Trace(msgspec.Struct):
    """One trace of a corpus and what was labelled in it."""

    trace_id: str
    spans: dict[str, Node]
    errors: list[Error]

    @property
    def steps(self) -> int:
        """Its length as the baselines measure it: spans named "Step N"."""
        return sum(node.name.startswith("Step ") for node in self.spans.values())

    def step_of(self, span_id: str) -> set[str]:
        """A span and the one above it, those that bound an agent left out; empty when it is not there."""
        node = self.spans.get(span_id)
        if node is None:
            return set()
        return {up for up in (span_id, node.parent) if up in self.spans and not self.spans[up].boundary}


class Corpus(msgspec.Struct, dict=True):
    """One file of traces."""

    name: str
    traces: dict[str, Trace]

    @cached_property
    def positive(self) -> set[str]:
        """Traces with a label."""
        return {trace_id for trace_id, trace in self.traces.items() if trace.errors}

    @property
    def labelled(self) -> bool:
        """Whether anybody looked for what we find."""
        return bool(self.positive)


class Repeat(msgspec.Struct):
    """A row of `repeats.json`: identical consecutive calls with identical results."""

    trace_id: str
    tool: str
    longest_run: int
    failing: bool

    @property
    def long(self) -> bool:
        """Whether it must raise an alarm: 5 in a row, or 3 that fail."""
        return self.longest_run >= (3 if self.failing else 5)


class _Any(msgspec.Struct):
    stringValue: str = ""  # noqa: N815 - as OTLP spells it


class _Attribute(msgspec.Struct):
    key: str
    value: _Any = msgspec.field(default_factory=_Any)


class _Span(msgspec.Struct):
    traceId: str  # noqa: N815
    spanId: str  # noqa: N815
    name: str = ""
    parentSpanId: str = ""  # noqa: N815
    attributes: list[_Attribute] = []


class _Scope(msgspec.Struct):
    spans: list[_Span]


class _Resource(msgspec.Struct):
    scopeSpans: list[_Scope]  # noqa: N815


class _Line(msgspec.Struct):
    resourceSpans: list[_Resource]  # noqa: N815


_DECODER = msgspec.json.Decoder(_Line)


def paths() -> list[Path]:
    """The trace files; empty where there is no corpus."""
    return sorted(CORPUS.glob("*.otlp.jsonl.zst"))


def name_of(path: Path) -> str:
    """A corpus' name: "trail-gaia-dev"."""
    return path.name.split(".", maxsplit=1)[0]


def load() -> list[Corpus]:
    """All corpora, by name."""
    labels = json.loads((CORPUS / "labels.json").read_text())
    return [Corpus(name_of(path), dict(_traces(path, labels))) for path in paths()]


def repeats() -> list[Repeat]:
    """The rows of `repeats.json`."""
    return msgspec.json.decode((CORPUS / "repeats.json").read_bytes(), type=list[Repeat])


def _traces(path: Path, labels: dict[str, Any]) -> Iterator[tuple[str, Trace]]:
    for line in lines(path):
        document = _DECODER.decode(line)
        spans = [span for each in document.resourceSpans for scope in each.scopeSpans for span in scope.spans]
        trace_id = spans[0].traceId.lower()
        errors = [
            Error(error["span_id"], error["description"])
            for error in labels.get(trace_id, {}).get("errors", ())
            if LABEL in error["category"].lower()
        ]
        yield trace_id, Trace(trace_id, {span.spanId: _node(span) for span in spans}, errors)


def _node(span: _Span) -> Node:
    boundary = not span.parentSpanId or any(
        (attribute.key, attribute.value.stringValue)
        in (("openinference.span.kind", "AGENT"), ("gen_ai.operation.name", "invoke_agent"))
        for attribute in span.attributes
    )
    return Node(span.spanId, span.parentSpanId, span.name, boundary)
