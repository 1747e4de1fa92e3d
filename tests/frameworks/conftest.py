"""Each framework's courses, run once: a model server, a sidecar, the agent's own process."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.frameworks.model import SCRIPTS, model_server
from tests.support import ROOT, objects, run, server, until

FRAMEWORKS = ("openai_agents", "langgraph", "openllmetry", "pydantic_ai")


class Door(NamedTuple):
    """What one way of the spans brought.

    Attributes:
        signals: findings, the last revision of each.
        sessions: as `otel-ext sessions` prints them.
    """

    signals: list[dict[str, Any]]
    sessions: list[dict[str, Any]]


class Courses(NamedTuple):
    """What a framework's program said of its spans, and what was found behind both doors.

    Attributes:
        told: per script how the agent ended and its spans.
        doors: "otlp" (a real sidecar) and "in_process" (our span processor).
    """

    told: dict[str, dict[str, Any]]
    doors: dict[str, Door]

    def trace(self, script: str) -> str:
        """The trace id of a script's run."""
        (trace_id,) = {span["trace_id"] for span in self.told[script]["spans"]}
        return str(trace_id)

    def calls(self, script: str, tool: str) -> list[str]:
        """Span ids of the calls of a tool, by start, as the framework named them."""
        spans = sorted(self.told[script]["spans"], key=lambda span: span["start"])
        return [span["span_id"] for span in spans if span["name"] in (tool, f"execute_tool {tool}")]

    def findings(self, door: str, script: str) -> list[dict[str, Any]]:
        """What was found in a script's run, less how its session ended."""
        return [
            finding
            for finding in self.doors[door].signals
            if finding["trace_id"] == self.trace(script) and not finding["signal"].startswith("termination.")
        ]


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter of the environment with the frameworks; skipped where there is none."""
    found = subprocess.run(
        [ROOT / ".ci/frameworks", "--find"], capture_output=True, check=True, text=True, timeout=60
    )
    name, _, path = found.stdout.strip().partition("=")
    if name != "python":
        pytest.skip("no environment with the frameworks (.ci/frameworks makes it where PyPI is within reach)")
    return Path(path)


@pytest.fixture(scope="module", params=FRAMEWORKS)
def courses(
    request: pytest.FixtureRequest, python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Courses]:
    """A framework's courses."""
    folder = tmp_path_factory.mktemp(request.param)
    with model_server() as model, server(folder / "sidecar") as sidecar:
        done = subprocess.run(
            [
                *(python, "-m", f"tests.frameworks.{request.param}"),
                *(model, f"http://{sidecar.http}", folder / "in_process"),
            ],
            capture_output=True,
            check=False,
            text=True,
            timeout=240,
            cwd=ROOT,
            # Nothing of these agents leaves the machine, whatever they would tell their makers.
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("OTEL_")},
                "PYTHONPATH": str(ROOT),
                "LANGSMITH_TRACING": "false",
                "TRACELOOP_TELEMETRY": "false",
            },
        )
        assert done.returncode == 0, done.stderr[-3000:]
        told = json.loads(done.stdout)
        assert told.keys() == SCRIPTS.keys()
        sent = sum(len(course["spans"]) for course in told.values())
        until(lambda: sum(row.spans for row in sidecar.looked_up()) >= sent, f"{sent} spans")
        sidecar.stop()  # which lets no step wait any longer
        yield Courses(told, {name: door(folder / path) for name, path in PLACES.items()})


PLACES = {"otlp": "sidecar", "in_process": "in_process"}


def door(data: Path) -> Door:
    """What a data folder says."""
    return Door(objects(run("signals", data, "--json")), objects(run("sessions", data, "--json")))
