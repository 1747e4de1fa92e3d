"""What an agent did: the meeting point of `conventions`, `dedup` and `signals`.

A span becomes an `Observation` (a dialect's raw values, `conventions`) and then a `Step` (digests in
place of payload, small enough to be kept and dumped; `pipeline` joins the two with the hashes of
`dedup` and the classes of `signals`). Detectors see Steps only.

Law of this file: a value that was not captured is `None` here, and never equal to another one that
was not captured. An empty object that *was* captured is a normal value.
"""

from enum import StrEnum
from typing import Any, Final

import msgspec

from otel_ext.digests import Said, Subject

__all__ = ["NOT_CAPTURED", "Effect", "Kind", "Observation", "Said", "Step", "Subject"]


class Kind(StrEnum):
    """What a span is in an agent's run."""

    AGENT = "agent"
    """A boundary: an agent's or a sub-agent's run (invoke_agent, AGENT, workflow root)."""
    LLM = "llm"
    """One call of a model."""
    TOOL = "tool"
    """One call of a tool."""
    OTHER = "other"
    """Structure between them (chains, steps, retrievers, plain spans): kept to find the lane."""


class Effect(StrEnum):
    """What a call does to the world, as far as can be told."""

    READ = "read"
    WRITE = "write"
    POLL = "poll"
    """Asks for the state of something that changes by itself; repeating it is its purpose."""
    EXEMPT = "exempt"
    """Wait, done, final answer, think, plan status: repetition of it says nothing."""
    UNKNOWN = "unknown"


class _NotCaptured:
    """The type of `NOT_CAPTURED`."""

    def __repr__(self) -> str:
        return "NOT_CAPTURED"

    def __bool__(self) -> bool:
        return False


NOT_CAPTURED: Final = _NotCaptured()
"""The value was not recorded (absent, or a redaction sentinel); distinct from None, "" and {}."""


class Observation(msgspec.Struct, kw_only=True):
    """One span read in its dialect, payload and all. Never kept longer than one record's processing.

    Attributes:
        kind: what the span is.
        dialect: the convention that read it, e.g. "otel_genai" or "openinference".
        name: tool name for TOOL, model for LLM, agent name for AGENT, span name for OTHER.
        arguments: the call's arguments, JSON-decoded and envelope-free where possible.
        result: the call's result; `NOT_CAPTURED` when absent or when the call failed without one.
        error: whether the call failed (status, error.type, dialect's own marks, error-shaped results
            only where the dialect says so).
        error_text: the failure in the producer's words, "" when there is none.
        call_id: the tool call's id in the model's response, "" when unknown.
        response_id: the model's response id, "" when unknown.
        issued: ids of the tool calls that this model response asked for (LLM only).
        input_tokens: tokens in, cache included (OTel GenAI >= 1.40 meaning); None when not reported.
        output_tokens: tokens out; None when not reported.
        cached_tokens: tokens in that were read from a cache; None when not reported.
        created_tokens, reasoning_tokens: tokens in that a cache took, tokens out that were reasoning.
        cost: what the producer says the call cost, in US dollars; None when it says nothing.
        first_token: ns from the start to the first token or chunk; None when not reported.
        unmarked: the failure shows in the result alone; nothing on the span says that the call failed.
        finish: why the model stopped, in the producer's words ("stop", "length", ...), "" when unknown.
        text: what the model answered, as text and without its tool calls (LLM), or an agent's final answer
            (AGENT); `NOT_CAPTURED` when outputs were not recorded, "" when it answered with calls alone.
        reasoning: the model's thoughts as text; `NOT_CAPTURED` when not recorded.
        task: what an agent was asked to do (AGENT), `NOT_CAPTURED` when not recorded.
        handoff: the agent that a call hands over to (TOOL), "" when it does not.
        code: the code in the answer, as a call that has not happened yet (LLM); None when it holds none.
        ran: the code of an earlier answer, with what the model was now told came of it (LLM); None when its
            input tells of none.
        state: what the app says its state is after a call (`otel_ext.state.digest`, any text that is equal
            for equal states), "" when it says nothing.
        user_turns: how many genuine user messages the model's input holds; None when not captured.
        user_turn: the newest genuine user message's text, "" when none.
        agent_name, agent_id: as the span states them, "" otherwise.
        view: tells more of the call that its parent is, and is none of its own.
    """

    kind: Kind
    dialect: str = ""
    name: str = ""
    arguments: Any = NOT_CAPTURED
    result: Any = NOT_CAPTURED
    error: bool = False
    error_text: str = ""
    unmarked: bool = False
    call_id: str = ""
    response_id: str = ""
    issued: tuple[str, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    created_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    first_token: int | None = None
    finish: str = ""
    text: Any = NOT_CAPTURED
    reasoning: Any = NOT_CAPTURED
    task: Any = NOT_CAPTURED
    handoff: str = ""
    code: "Observation | None" = None
    ran: "Observation | None" = None
    state: str = ""
    user_turns: int | None = None
    user_turn: str = ""
    agent_name: str = ""
    agent_id: str = ""
    view: bool = False


class Step(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One thing an agent did, digested. Dumped with the folds, so every field is plain data.

    Times are ns since the epoch, 0 when unknown. Digests are 16 bytes (`dedup` says of what).

    Attributes:
        session_id: the session the span was stored under.
        service: the resource's service.name.
        arguments_hash: canonical hash of tool name and arguments; None when not captured.
        relaxed_hash: the same without free-text label fields (precision rule 11); None when equal.
        result_hash: strict hash of the result; None when not captured.
        result_relaxed: the same with volatile parts removed (times, uuids, pids, durations).
        result_size: bytes of the result as captured, 0 when not.
        error_hash: error fingerprint (`dedup.fingerprint`), None when the call did not fail.
        error_text: at most 200 characters of the failure, for explanations.
        transient: the failure is of a kind that waiting mends (429, 5xx, timeout, reset, lock).
        vague: the failure says no more than that something failed; two such may differ.
        unmarked: the failure shows in the result alone; nothing on the span says that the call failed.
        invalid: the failure says that there is no such tool, or that it does not take such arguments.
        absent: digest of the path that the call named and the failure says is not there; else None.
        waiting: the result says that something is still running.
        own_words: how many words a result has of which each stands in the call itself, so that it tells
            nothing (code that prints its own labels); -1 when it tells something, or when that is unknown.
        issued: tool call ids this model response asked for.
        user_turn: digest of the newest genuine user message; None when there is none or unknown.
        subject: what a tool call is about; None when nothing is known.
        said: what a model answered; None when outputs were not captured.
        ran: code that an earlier answer of the model asked to run, and its outcome as the model was now told:
            a TOOL step without ids and times, for agents that act by code and have no spans of calls.
        task: digest of what an agent was asked to do; None when not captured.
        handoff: the agent that a call hands over to, "" when it does not.
        state: digest of what the app says its state is after a call; None when it says nothing.
        cost: what the producer says a model call cost, in US dollars.
        first_token: ns from the start to the first token.
        view: tells more of the call that its parent is, and is none of its own.
        record: told by a log record or an event; its span id is derived, no span has it.
        within: of a record, the span that it was written in; empty when it says none.
    """

    kind: Kind
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    start: int
    end: int
    session_id: str = ""
    service: str = ""
    name: str = ""
    call_id: str = ""
    arguments_hash: bytes | None = None
    relaxed_hash: bytes | None = None
    result_hash: bytes | None = None
    result_relaxed: bytes | None = None
    result_size: int = 0
    error: bool = False
    error_hash: bytes | None = None
    error_text: str = ""
    transient: bool = False
    vague: bool = False
    unmarked: bool = False
    invalid: bool = False
    absent: bytes | None = None
    waiting: bool = False
    own_words: int = -1
    effect: Effect = Effect.UNKNOWN
    response_id: str = ""
    issued: tuple[str, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    created_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    first_token: int | None = None
    subject: Subject | None = None
    said: Said | None = None
    ran: "Step | None" = None
    task: bytes | None = None
    handoff: str = ""
    state: bytes | None = None
    user_turns: int | None = None
    user_turn: bytes | None = None
    agent_name: str = ""
    agent_id: str = ""
    view: bool = False
    record: bool = False
    within: bytes = b""
