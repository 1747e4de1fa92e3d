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
        user_turns: how many genuine user messages the model's input holds; None when not captured.
        user_turn: the newest genuine user message's text, "" when none.
        agent_name, agent_id: as the span states them, "" otherwise.
    """

    kind: Kind
    dialect: str = ""
    name: str = ""
    arguments: Any = NOT_CAPTURED
    result: Any = NOT_CAPTURED
    error: bool = False
    error_text: str = ""
    call_id: str = ""
    response_id: str = ""
    issued: tuple[str, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    user_turns: int | None = None
    user_turn: str = ""
    agent_name: str = ""
    agent_id: str = ""


class Step(msgspec.Struct, kw_only=True, omit_defaults=True):
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
        absent: digest of the path that the call named and the failure says is not there; else None.
        waiting: the result says that something is still running.
        issued: tool call ids this model response asked for.
        user_turn: digest of the newest genuine user message; None when there is none or unknown.
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
    absent: bytes | None = None
    waiting: bool = False
    effect: Effect = Effect.UNKNOWN
    response_id: str = ""
    issued: tuple[str, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    user_turns: int | None = None
    user_turn: bytes | None = None
    agent_name: str = ""
    agent_id: str = ""
