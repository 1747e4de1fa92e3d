"""A model server in the shape of OpenAI's, with answers from a script: chat completions and responses.

Law of this file: an answer depends on the request alone. The model's name says which script, the number of
results in the request where in it, so no state is kept and retries change nothing.
"""

import json
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

SCRIPTS: Final[dict[str, list[Call]]] = {
    "loop": [("find_flights", {"origin": "BER", "destination": "JFK"})] * LOOPS,
    "fail": [("book_flight", {"flight": "LH 400", "seat": "12A"})] * FAILURES,
    "poll": [("job_status", {"job": "export-7"})] * POLLS,
    "behave": [
        ("find_flights", {"origin": "BER", "destination": "LHR"}),
        ("find_flights", {"origin": "LHR", "destination": "JFK"}),
        ("book_flight", {"flight": "BA 117", "seat": "30C"}),
    ],
}
"""What the model asks for, one call a turn; after the last one it answers in words."""


def next_call(model: str, results: int) -> Call | None:
    """The call that follows so many results; None when the model is done."""
    script = SCRIPTS[model]
    return script[results] if results < len(script) else None


def chat(request: dict[str, Any]) -> dict[str, Any]:
    """An answer of /chat/completions."""
    results = sum(message["role"] == "tool" for message in request["messages"])
    call = next_call(request["model"], results)
    message: dict[str, Any] = {"role": "assistant", "content": "That is all."}
    if call is not None:
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        calls = [{"id": f"call_{results}", "type": "function", "function": function}]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
    return {
        "id": f"chatcmpl-{results}",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": request["model"],
        "choices": [
            {"index": 0, "message": message, "finish_reason": "stop" if call is None else "tool_calls"}
        ],
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
    call = next_call(request["model"], results)
    text = {"type": "output_text", "text": "That is all.", "annotations": []}
    item: dict[str, Any] = {"type": "message", "id": f"msg_{results}", "role": "assistant", "content": [text]}
    if call is not None:
        item = {"type": "function_call", "id": f"fc_{results}", "call_id": f"call_{results}"}
        item |= {"name": call[0], "arguments": json.dumps(call[1])}
    return {
        "id": f"resp_{results}",
        "object": "response",
        "created_at": 1_760_000_000,
        "model": request["model"],
        "status": "completed",
        "output": [{**item, "status": "completed"}],
        "parallel_tool_calls": False,
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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one request."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = response if self.path.endswith("/responses") else chat
        body = json.dumps(answer(request)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def model_server() -> Iterator[str]:
    """A running server on loopback; its base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
