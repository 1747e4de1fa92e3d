"""Agents as real processes, and what their data folders hold afterwards."""

import json
import os
import subprocess
import sys
import textwrap
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from otel_ext import pipeline
from tests.support import PATIENCE, child, objects, run

PROLOGUE = """
import os, signal, sys, threading
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from otel_ext import AgentSpanProcessor, FileSpanExporter, mark_crashed, mark_ended
provider = TracerProvider()
processor = AgentSpanProcessor()
provider.add_span_processor(processor)
tracer = provider.get_tracer("agent")

def root(session="s1", **more):
    names = {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": session, **more}
    return tracer.start_as_current_span("invoke_agent", attributes=names)

def hold(session):  # a root span that nobody ends
    return tracer.start_span("invoke_agent", attributes={"gen_ai.conversation.id": session})

def tool(name="read"):
    names = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    return tracer.start_as_current_span("execute_tool " + name, attributes=names)

def say(text):
    print(text, flush=True)
"""
"""What every agent script begins with; the data folder comes by OTEL_EXT_DATA."""


def environment(data: Path, **more: str) -> dict[str, str]:
    """An agent's environment: this one without any OTEL variable, and the data folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return {**kept, "OTEL_EXT_DATA": str(data), **more}


def start(
    script: str, data: Path, *, prologue: str = PROLOGUE, **more: str
) -> AbstractContextManager["subprocess.Popen[str]"]:
    """Start an agent; its stdin, stdout and stderr are pipes."""
    return child(
        [sys.executable, "-c", prologue + textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(data, **more),
    )


def agent(
    script: str, data: Path, *, code: int | None = 0, prologue: str = PROLOGUE, **more: str
) -> tuple[str, str]:
    """Run an agent to its end; its stdout and stderr, after its exit code was checked."""
    with start(script, data, prologue=prologue, **more) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert code is None or process.returncode == code, (process.returncode, out, err)
    return out, err


def adopt(data: Path) -> None:
    """Bring to its end what dead processes left, as the next processes there would."""
    pipeline.adopt(data)
    assert pipeline.orphans(data) == []


def sessions(data: Path) -> dict[str, dict[str, Any]]:
    """What `otel-ext sessions` says, the newest generation of each."""
    return {row["session_id"]: row for row in objects(run("sessions", data, "--json"))}


def spans(data: Path) -> list[dict[str, Any]]:
    """Every stored span that is not ours."""
    found = []
    for path in sorted(data.glob("engines/*/sessions/*.jsonl")):
        for line in path.read_text().splitlines():
            for resource in json.loads(line).get("resourceSpans", []):
                for scope in resource["scopeSpans"]:
                    if scope.get("scope", {}).get("name") != "otel_ext":
                        found += scope["spans"]
    return found


def names(data: Path) -> Counter[str]:
    """How often each span name is stored."""
    return Counter(span["name"] for span in spans(data))


def unfinished(data: Path) -> list[str]:
    """Names of spans that are marked unfinished."""
    return sorted(span["name"] for span in spans(data) if "otel_ext.span.unfinished" in keys(span))


def keys(span: dict[str, Any]) -> dict[str, Any]:
    """A stored span's attributes."""
    return {item["key"]: next(iter(item["value"].values()), None) for item in span.get("attributes", [])}
