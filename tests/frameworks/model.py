"""A model server in the shape of OpenAI's, with answers from a script: chat completions and responses.

Law of this file: an answer depends on the request alone. The model's name says which script, the number of
results in the request where in it, so no state is kept and retries change nothing.
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, TypeAlias

Call: TypeAlias = tuple[str, dict[str, str]]
"""A tool and its arguments."""

LOOPS: Final = 6
"""Equal calls of the script "loop"."""
FAILURES: Final = 4
"""Failing calls of the script "fail"."""
POLLS: Final = 8
"""Polls of the script "poll"; the last one is answered otherwise (`tools`)."""

_SEARCH: Final[Call] = ("find_flights", {"origin": "BER", "destination": "JFK"})

SCRIPTS: Final[dict[str, list[list[Call]]]] = {
    "loop": [[_SEARCH]] * LOOPS,
    "streamed": [[_SEARCH]] * LOOPS,
    "fail": [[("book_flight", {"flight": "LH 400", "seat": "12A"})]] * FAILURES,
    "poll": [[("job_status", {"job": "export-7"})]] * POLLS,
    "behave": [
        [("find_flights", {"origin": "BER", "destination": "LHR"})],
        [("find_flights", {"origin": "LHR", "destination": "JFK"})],
        [("book_flight", {"flight": "BA 117", "seat": "30C"})],
    ],
    # As many calls as the loop has, but in two turns.
    "at_once": [[_SEARCH] * (LOOPS // 2)] * 2,
}
"""What the model asks for, turn by turn; after the last one it answers in words."""


def calls_of(script: str) -> list[Call]:
    """All calls of a script, in order."""
    return [call for turn in SCRIPTS[script] for call in turn]


def turn_after(model: str, results: int) -> list[Call]:
    """The calls that follow so many results; none when the model is done."""
    for turn in SCRIPTS[model]:
        if results <= 0:
            return turn
        results -= len(turn)
    return []


def chat(request: dict[str, Any]) -> dict[str, Any]:
    """An answer of /chat/completions."""
    results = sum(message["role"] == "tool" for message in request["messages"])
    calls = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": tool, "arguments": json.dumps(arguments)},
        }
        for number, (tool, arguments) in enumerate(turn_after(request["model"], results), results)
    ]
    message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": calls}
    if not calls:
        message = {"role": "assistant", "content": "That is all."}
    return {
        "id": f"chatcmpl-{results}",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {
            "prompt_tokens": 100 + 20 * results,
            "completion_tokens": 10,
            "total_tokens": 110 + 20 * results,
        },
    }


def response(request: dict[str, Any]) -> dict[str, Any]:
    """An answer of /responses."""
    given = request["input"] if isinstance(request["input"], list) else []
    results = sum(item.get("type") == "function_call_output" for item in given)
    output: list[dict[str, Any]] = [
        {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"call_{number}",
            "name": tool,
            "arguments": json.dumps(arguments),
            "status": "completed",
        }
        for number, (tool, arguments) in enumerate(turn_after(request["model"], results), results)
    ]
    if not output:
        text = {"type": "output_text", "text": "That is all.", "annotations": []}
        output = [{"type": "message", "id": f"msg_{results}", "role": "assistant", "content": [text]}]
        output[0]["status"] = "completed"
    return {
        "id": f"resp_{results}",
        "object": "response",
        "created_at": 1_760_000_000,
        "model": request["model"],
        "status": "completed",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 100 + 20 * results,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 10,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 110 + 20 * results,
        },
    }


def events(request: dict[str, Any], answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same answer as a stream: a response whole, a chat in pieces, its usage in the last one."""
    if answer["object"] == "response":
        begun = {**answer, "status": "in_progress", "output": [], "usage": None}
        yield {"type": "response.created", "sequence_number": 0, "response": begun}
        yield {"type": "response.completed", "sequence_number": 1, "response": answer}
        return
    (choice,) = answer["choices"]
    delta = {**choice["message"]}
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    chunk = {**answer, "object": "chat.completion.chunk", "usage": None}
    yield {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    if request.get("stream_options", {}).get("include_usage"):
        yield {**chunk, "choices": [], "usage": answer["usage"]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one request."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = (response if self.path.endswith("/responses") else chat)(request)
        body, kind = json.dumps(answer).encode(), "application/json"
        if request.get("stream"):
            lines = [
                f"event: {event.get('type', 'message')}\ndata: {json.dumps(event)}\n\n"
                for event in events(request, answer)
            ]
            body, kind = ("".join(lines) + "data: [DONE]\n\n").encode(), "text/event-stream"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of the server's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def model_server() -> Iterator[str]:
    """A running server on loopback; its base URL."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
