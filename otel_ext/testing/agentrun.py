"""An agent's run in a few words, as the OTLP spans that a well-instrumented agent would send.

Law of this file: everything is deterministic (ids from the seed, times from the story), payload is real and
in the OpenTelemetry GenAI dialect, and what a story does not say was not captured.

    run = AgentRun("my vector", task="fix the build")
    run.user("it fails")
    run.call("bash", {"command": "make"}, "ok")        # a model turn and its call
    run.more("read", {"path": "a.py"}, "...")          # one more call of the same turn
    run.fail("read", {"path": "b.py"}, "b.py not found")
    run.write({"path": "a.py", "text": "x"})
    with run.agent("reviewer", task="look at it") as reviewer:
        reviewer.think("looks good")
"""

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext.signals import Finding, Signals
from otel_ext.step import Step
from otel_ext.testing.agentspans import SECOND, START, History, ModelTurn, SpanWriter, message, text_of
from otel_ext.testing.arrivals import Arrival, Order, arrivals, detect, steps_of

_TURN: Final = 0.5
"""Seconds that a call or a model turn lasts unless the story says otherwise, and between two of them."""


class AgentRun(SpanWriter):
    """One agent's run, written step by step; each step begins half a second after the one before it ended.

    Args:
        seed: what all ids are made from: two runs with one seed are equal to the byte.
        name: the agent's name.
        session: the conversation's id, "" for none; of the seed unless given.
        task: what the agent was asked; None is not captured.
        answer: what it answered in the end; None is not captured.
        wrapped: each turn hangs below a "Step N" span of its own, as smolagents and others have it.
        inputs: what of the history each model turn tells once somebody has spoken by `user`: "whole", only
            what is "new" since the turn before, or "none".
        start: when it begins, ns.
        above, calling: whose sub-agent it is, and the call that began it; see `agent`.
    """

    def __init__(
        self,
        seed: str = "run",
        *,
        name: str = "solver",
        session: str | None = None,
        task: str | None = None,
        answer: str | None = None,
        wrapped: bool = False,
        inputs: Literal["whole", "new", "none"] = "whole",
        start: int = START,
        above: "AgentRun | None" = None,
        calling: Span | None = None,
    ) -> None:
        session = f"session of {seed}" if session is None else session
        super().__init__(seed, session, start, above.trace_id if above else None)
        self.name, self.task, self.answer, self.wrapped, self.inputs = name, task, answer, wrapped, inputs
        self.error, self.until = "", 0  # a story may set these: its failure, its end (ns, 0 when all is over)
        self.model: str = above.model if above else "model"
        self._above, self._calling, self._under = above, calling, self.span_id
        self._parent = calling.span_id if calling else above._under if above else b""
        self._steps: list[Span | ModelTurn] = []
        self._turn: ModelTurn | None = None
        self._wrap: Span | None = None
        self._within: list[AgentRun] = []
        self._history = History()

    def user(self, text: str) -> None:
        """A person speaks; the next model turn's input holds it."""
        self._history.user(text)

    def think(
        self,
        text: str | None = None,
        *,
        reasoning: str | None = None,
        finish: str = "",
        usage: tuple[int, int] | None = (1000, 50),
        cached: int | None = None,
        created: int | None = None,
        response: str = "",
        lasts: float = _TURN,
        error: str = "",
        **attributes: Any,
    ) -> None:
        """A model turn, which opens a round.

        Args:
            text: what it answered beside its calls: None is not captured, "" is nothing.
            reasoning: its thoughts; None is not captured.
            finish: why it stopped; "stop", or "tool_call" where calls follow, unless given.
            usage: tokens in (cache included) and out; None is not reported, like the next two.
            cached: tokens in that were read from a cache.
            created: tokens in that were written to one.
            response: the response's id; one of its own unless given (a replayed attempt has the same).
            lasts: seconds.
            error: its failure; "" when it succeeded.
            attributes: further attributes; `__` in a name stands for a dot. None leaves one out.
        """
        if self.wrapped:
            self._under, self._wrap = self.span_id, None
            self._wrap = self._span("Step", lasts + _TURN / 2, {})
            self._steps.append(self._wrap)
            self._under = self._wrap.span_id
        said: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": self.model,
            "gen_ai.response.id": response or self.id_of(f"response {len(self._steps)}").hex(),
            "gen_ai.usage.input_tokens": usage and usage[0],
            "gen_ai.usage.output_tokens": usage and usage[1],
            "gen_ai.usage.cache_read.input_tokens": cached,
            "gen_ai.usage.cache_creation.input_tokens": created,
            "gen_ai.input.messages": self._history.tell(self.inputs),
        }
        span = self._span(f"chat {self.model}", lasts, {**said, **attributes}, error)
        self._turn = ModelTurn(span, text, reasoning, finish)
        self._steps.append(self._turn)
        self._history.model(self._turn)
        self.wait(lasts + _TURN)

    def call(self, tool: str, arguments: Any = None, result: Any = None, **more: Any) -> Span:
        """A model turn and its call; see `more`."""
        self.think()
        return self.more(tool, arguments, result, **more)

    def more(
        self,
        tool: str,
        arguments: Any = None,
        result: Any = None,
        *,
        error: str = "",
        lasts: float = _TURN,
        at_once: bool = False,
        call_id: str | None = None,
        **attributes: Any,
    ) -> Span:
        """A call of the open turn, or of none where no model turn came before.

        `arguments` and `result` are text as it is, anything else as JSON; None is not captured. An `error` is
        the failure's text, `lasts` is in seconds; after a call that is `at_once` the next step begins at the
        same time; `call_id` is one of its own unless given, "" for none; `attributes` as of `think`.
        """
        if call_id is None:
            call_id = self.id_of(f"call {len(self._steps)}").hex() if self._turn else ""
        said = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool,
            "gen_ai.tool.call.id": call_id or None,
            "gen_ai.tool.call.arguments": text_of(arguments),
            "gen_ai.tool.call.result": text_of(result),
        }
        span = self._span(f"execute_tool {tool}", lasts, {**said, **attributes}, error)
        self._steps.append(span)
        if self._turn is not None and call_id:
            self._turn.asked(call_id, tool, arguments)
        self._history.tool(call_id, text_of(result) or error)
        if not at_once:
            self.wait(lasts + _TURN)
        return span

    def fail(self, tool: str, arguments: Any = None, error: str = "failed", **more: Any) -> Span:
        """A model turn and its failing call, which may return a `result` all the same."""
        return self.call(tool, arguments, more.pop("result", None), error=error, **more)

    def write(self, arguments: Any = None, result: Any = "ok", tool: str = "edit_file", **more: Any) -> Span:
        """A model turn and its successful write."""
        return self.call(tool, arguments, result, **more)

    def agent(self, name: str, *, via: str = "", **options: Any) -> "AgentRun":
        """A sub-agent's run that begins now; `with` it, this one goes on when it has ended.

        It is called `via` a tool, in a model turn of its own; `options` are the class's (`task`, `answer`).
        """
        known = {"wrapped": self.wrapped, "inputs": self.inputs, **options}
        calling = None
        if via:
            arguments = {"agent": name, "task": options.get("task")}
            calling = self.call(via, arguments, options.get("answer"), at_once=True)
            self.time += 1  # a parent begins before its child
        known |= {"session": self.session, "start": self.time}
        made = AgentRun(f"{self.seed}/{len(self._within)}", name=name, above=self, calling=calling, **known)
        self._within.append(made)
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """It has ended: what it hangs below ends, and whoever called it goes on."""
        if self._above is not None:
            self._above.time = max(self._above.time, self.end)
            for span in (self._calling, self._above._wrap):
                if span is not None:
                    span.end_time_unix_nano = max(span.end_time_unix_nano, self.end)

    @property
    def end(self) -> int:
        """When it is over, ns; its sub-agents' ends included."""
        return self.until or max([self.time, *(helper.end for helper in self._within)])

    def spans(self) -> list[Span]:
        """All spans, sub-agents' included, in the order in which they began."""
        found = [self._whole()]
        found += [step.span() if isinstance(step, ModelTurn) else step for step in self._steps]
        for helper in self._within:
            found += helper.spans()
        return sorted(found, key=lambda span: (span.start_time_unix_nano, -span.end_time_unix_nano))

    def requests(self, order: Order = "ended", seed: int = 0) -> list[Arrival]:
        """The run as export requests of one span each, in an order of arrival; see `arrivals`."""
        return arrivals(self.spans(), order, seed)

    def steps(self) -> list[Step]:
        """What detectors see of it, in the order in which the spans began."""
        return steps_of(self.spans())

    def findings(self, signals: Signals | None = None) -> list[Finding]:
        """Every revision of what detectors (the built-in ones unless given) find in it."""
        return detect(self.steps(), signals)

    def _whole(self) -> Span:
        said: dict[str, Any] = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": self.name}
        if self.task is not None:
            said["gen_ai.input.messages"] = json.dumps([message("user", self.task)])
        if self.answer is not None:
            said["gen_ai.output.messages"] = json.dumps([message("assistant", self.answer)])
        return self.make(
            f"invoke_agent {self.name}",
            said,
            span_id=self.span_id,
            parent=self._parent,
            since=self.start,
            until=self.end,
            error=self.error,
        )

    def _span(self, name: str, lasts: float, said: Mapping[str, Any], error: str = "") -> Span:
        """A child of the agent, or of the step that is open, that begins now."""
        until = self.time + round(lasts * SECOND)
        if self._wrap is not None:
            self._wrap.end_time_unix_nano = max(self._wrap.end_time_unix_nano, until)
        span_id = self.id_of(f"span {len(self._steps)}")
        return self.make(name, said, span_id=span_id, parent=self._under, until=until, error=error)
