"""Values: decoding, envelopes, sentinels, counts."""

import json
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.conventions.values import (
    call_arguments,
    call_result,
    count_of,
    decode,
    is_cut,
    looks_like_schema,
)
from otel_ext.step import NOT_CAPTURED


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('{"a": 1}', {"a": 1}),
        (json.dumps(json.dumps({"a": 1})), {"a": 1}),
        (json.dumps(json.dumps(json.dumps([1]))), [1]),
        (json.dumps(json.dumps(json.dumps(json.dumps([1])))), "[1]"),
        ("{'q': 'x', 'n': None, 't': (1, 2)}", {"q": "x", "n": None, "t": (1, 2)}),
        ("plain", "plain"),
        ("12", "12"),
        ('{"a": 1', '{"a": 1'),
        ('{"a": 1, "a": 2}', '{"a": 1, "a": 2}'),
        ('{"a": NaN}', '{"a": NaN}'),
        ('{"a": 1e999}', '{"a": 1e999}'),
        ("{'a': 1, 'a': 2}", "{'a': 1, 'a': 2}"),
        ("{'a': open('x')}", "{'a': open('x')}"),
        (r"{'a': '\d'}", r"{'a': '\d'}"),
        ("{'a': 1if 2 else 3}", "{'a': 1if 2 else 3}"),
        ("[" * 100_000, "[" * 100_000),
        ("{'a': " * 2_000 + "}" * 2_000, "{'a': " * 2_000 + "}" * 2_000),
        ({"a": "{}"}, {"a": "{}"}),
        (b"{}", b"{}"),
    ],
)
def test_decode_is_tolerant_and_loses_nothing(text: Any, meaning: Any) -> None:
    """JSON three levels deep and Python literals are read; what would lose something stays text."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(text) == meaning


@pytest.mark.parametrize(
    ("wrapped", "inner"),
    [
        ('{"args": [], "sanitize_inputs_outputs": true, "kwargs": {"query": "x"}}', {"query": "x"}),
        ('{"args": ["33149"], "sanitize_inputs_outputs": false, "kwargs": {}}', ["33149"]),
        ('{"args": [1, 2], "kwargs": {"k": 3}}', {"args": [1, 2], "kwargs": {"k": 3}}),
        ('{"args": [], "kwargs": {}}', {}),
        ('{"args": ["-l"], "kwargs": {}, "cwd": "/"}', {"args": ["-l"], "kwargs": {}, "cwd": "/"}),
        ('{"input_str": "{\'q\': \'x\'}", "tags": [], "metadata": {"run": 7}, "kwargs": {}}', {"q": "x"}),
        ('{"input_str": "?", "inputs": {"q": "y"}, "metadata": {"run": 8}}', {"q": "y"}),
        ('{"input_str": "alone"}', {"input_str": "alone"}),
        ("{}", {}),
        ("", ""),
    ],
)
def test_envelopes_come_off(wrapped: str, inner: Any) -> None:
    """smolagents, decorator and LangChain envelopes are unwrapped; look-alikes are left alone."""
    assert call_arguments(wrapped) == inner


@pytest.mark.parametrize(
    "sentinel",
    [
        "<REDACTED>",
        "[REDACTED]",
        "__REDACTED__",
        " n/a ",
        "<null>",
        "<not specified>",
        "<not serializable>",
        None,
        '"<REDACTED>"',
    ],
)
def test_sentinels_are_not_values(sentinel: Any) -> None:
    """What says that nothing was recorded is not captured, as arguments and as result."""
    assert call_arguments(sentinel) is NOT_CAPTURED
    if sentinel != '"<REDACTED>"':
        assert call_result(sentinel) is NOT_CAPTURED


def test_results_keep_their_bytes() -> None:
    """Only OpenLLMetry's envelope comes off a result; other JSON stays the text that it was."""
    assert call_result('{"output": "done", "kwargs": {"run_id": "1"}}') == "done"
    assert call_result('{"output": "done", "code": 0}') == '{"output": "done", "code": 0}'
    assert call_result('{"b": 1,  "a": 2}') == '{"b": 1,  "a": 2}'
    assert call_result("") == ""


@pytest.mark.parametrize(
    ("parameters", "schema"),
    [
        ({"type": "object", "properties": {}}, True),
        ({"query": {"type": "string", "description": "what"}}, True),
        ({}, True),
        ({"query": "x"}, False),
        ({"type": "hotel"}, False),
        ({"filter": {"type": "a"}, "n": 1}, False),
        ("text", True),
    ],
)
def test_schemas_are_told_from_arguments(parameters: Any, schema: bool) -> None:
    """A declaration of parameters is never taken for a call's arguments."""
    assert looks_like_schema(parameters) is schema


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (3, 3),
        ("510", 510),
        (" 7 ", 7),
        (2.0, 2),
        ("2.0", 2),
        (0, 0),
        (-1, None),
        ("-1", None),
        (float("nan"), None),
        ("nan", None),
        ("inf", None),
        (True, None),
        ("x", None),
        (None, None),
        ("9" * 30, None),
        (10**20, None),
        ([1], None),
    ],
)
def test_counts(value: Any, count: int | None) -> None:
    """Counts may be text; what is negative, not finite or absurd is not a count."""
    assert count_of(value) == count


@given(
    st.recursive(
        st.none() | st.text() | st.integers() | st.floats() | st.binary(),
        lambda i: st.lists(i) | st.dictionaries(st.text(), i),
    )
)
def test_nothing_raises(value: Any) -> None:
    """Any value can be taken for arguments and for a result."""
    call_arguments(value)
    call_result(value)
    looks_like_schema(value)
    count_of(value)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ('{"path": "a.py", "content": "aaa', True),
        ('{"path": "a.py", ', True),
        ('[{"a": 1}, {"b"', True),
        ('{"a": "xxx...[TRUNCATED: original length 20000]', True),
        ("plain text...[TRUNCATED: original length 20000]", True),
        ('{"a": -', True),
        ('{"a": tru', True),
        ('{"a": {"b": nul', True),
        ('{"a": 1}', False),
        ('{"a": 1}\n[metadata] 3 lines', False),
        ('{"a": NaN}', False),
        ("[Errno 2] no such file", False),
        ("{not json", False),
        ("", False),
    ],
)
def test_what_was_cut_is_not_captured(text: str, cut: bool) -> None:
    """Two cut texts may be equal although their ends were not; so neither is a value."""
    assert is_cut(text) is cut
    assert (call_arguments(text) is NOT_CAPTURED) is cut


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers(), min_size=1), st.data())
def test_json_cut_anywhere_is_no_value(value: dict[str, Any], data: st.DataObject) -> None:
    """As by OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT, at any place behind the first key's beginning."""
    text = json.dumps(value)
    at = data.draw(st.integers(3, len(text) - 1))
    assert call_arguments(text[:at]) is NOT_CAPTURED
