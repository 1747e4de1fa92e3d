"""Session identity: precedence, usable values, and keys that never count."""

from typing import Any

import pytest

from otel_ext.conventions import session_hints, session_keys, session_of


def test_precedence_is_the_order_of_the_keys() -> None:
    """With all keys present the first wins, then the second, to the last."""
    attributes: dict[str, Any] = {key: key for key in session_keys}
    for key in session_keys:
        assert session_of(attributes) == key
        del attributes[key]
    assert session_of(attributes) is None


@pytest.mark.parametrize(
    "key", ["mcp.session.id", "langsmith.trace.session_id", "service.instance.id", "user.id"]
)
def test_some_keys_never_are_a_session(key: str) -> None:
    """A transport, a project and a process are no conversation."""
    assert session_of({key: "x"}) is None


@pytest.mark.parametrize("blank", ["", "  ", None, True, 1.5, [], {}, b"x", "<not specified>", "N/A"])
def test_unusable_values_are_passed_over(blank: Any) -> None:
    """A blank, a sentinel or a value of another type gives way to the next key."""
    assert session_of({"session.id": blank, "gen_ai.conversation.id": "c"}) == "c"


def test_ints_become_text_and_strings_stay() -> None:
    """A number is an id too; text is not trimmed."""
    assert session_of({"session.id": 42}) == "42"
    assert session_of({"session.id": " a/../b "}) == " a/../b "


def test_langchain_metadata_is_the_last_resort() -> None:
    """OpenInference's LangChain metadata counts when nothing else does, and only if it can be read."""
    assert session_of({"metadata": '{"thread_id": "t", "x": 1}'}) == "t"
    assert session_of({"metadata": '{"session_id": "s", "thread_id": "t"}', "conversation.id": "c"}) == "c"
    assert session_of({"metadata": {"session_id": 7}}) == "7"
    assert session_of({"metadata": '{"thread_id": "t"'}) is None
    assert session_of({"metadata": '{"thread_id": "' + "t" * 20_000 + '"}'}) is None


def test_hints_cover_every_key() -> None:
    """No key that could give a session is missed by the byte hints."""
    for key in (*session_keys, "session_id", "thread_id", "conversation_id"):
        assert any(hint in key.encode() for hint in session_hints), key
