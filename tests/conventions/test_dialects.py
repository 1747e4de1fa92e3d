"""Every dialect and version: the whole of what is read, nothing else, and the page that says so."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from otel_ext.conventions import (
    hints,
    observe,
    observe_log,
    record_hints,
    scopes,
    session_attributes,
    session_hints,
    session_of,
)
from otel_ext.conventions.choice import candidates
from otel_ext.conventions.dialects import ORDER
from otel_ext.span import Log, Span
from otel_ext.step import Kind, Observation
from tests.conventions.fixtures import FIXTURES, Fixture
from tests.conventions.page import PAGE, page
from tests.conventions.wire import log_bytes, span_bytes

BY_NAME = {f"{one.dialect}: {one.what}": one for one in FIXTURES}


def seen(made: Span | Log) -> Observation | None:
    """What is read of a span or a record."""
    if isinstance(made, Span):
        return observe(made)
    told = observe_log(made)
    return told.seen if told else None


@pytest.mark.parametrize("name", BY_NAME)
def test_all_that_a_fixture_tells_is_read(name: str) -> None:
    """Each field is as expected, and every other one has its default."""
    one = BY_NAME[name]
    found = seen(one.made)
    assert found is not None
    wanted = Observation(dialect=one.dialect, **one.expect)
    assert msgspec.structs.asdict(found) == msgspec.structs.asdict(wanted)
    assert session_of(one.made.attributes) == one.session


@pytest.mark.parametrize("name", BY_NAME)
def test_hints_are_complete(name: str) -> None:
    """A span that is understood is found by a name or its scope, a record by its bytes; so is a session."""
    one = BY_NAME[name]
    if isinstance(one.made, Log):
        told, raw = record_hints, log_bytes(one.made)
    else:
        told, raw = hints, "\0".join((one.made.name, *one.made.attributes)).encode()
    if one.expect["kind"] is not Kind.OTHER:
        assert one.made.scope in scopes or any(hint in raw for hint in told)
    if one.session is not None:
        whole = log_bytes(one.made) if isinstance(one.made, Log) else span_bytes(one.made)
        assert any(hint in whole for hint in session_hints)
        assert not session_attributes.isdisjoint(one.made.attributes)


@pytest.mark.parametrize("name", BY_NAME)
def test_whoever_is_not_asked_would_not_have_known(name: str) -> None:
    """Of a fixture, of all that is left without one attribute, and of the same in every scope."""
    made = BY_NAME[name].made
    if isinstance(made, Log):
        return
    for scope in (made.scope, "", "semantic_kernel.functions", *sorted(scopes)):
        for attributes in (made.attributes, *variants(BY_NAME[name])):
            span = replace(made, scope=scope, attributes=attributes)
            asked = [candidate.dialect for candidate in candidates(span)]
            assert [d for d in ORDER if d in asked] == asked
            assert all(d in asked or d.kind_of(span) is None for d in ORDER)


def test_every_dialect_has_a_fixture() -> None:
    """No row of the page without a case behind it."""
    assert {d.name for d in ORDER} <= {one.dialect for one in FIXTURES}


def test_the_page_is_the_generated_one() -> None:
    """`python -m tests.conventions.page` was run after the last change."""
    assert PAGE.read_text() == page()


def variants(one: Fixture) -> list[dict[str, Any]]:
    """A fixture's attributes with one of them withheld, cut, null or of another type."""
    attributes = dict(one.made.attributes)
    found = []
    for key, value in attributes.items():
        found.append({k: v for k, v in attributes.items() if k != key})
        cut = value[: len(value) // 2] if isinstance(value, str) else [value]
        found += [
            attributes | {key: other} for other in (None, "<REDACTED>", cut, 7, {"a": {"b": [1]}}, b"\xff")
        ]
    return found


@pytest.mark.parametrize("name", BY_NAME)
def test_a_damaged_attribute_never_raises(name: str) -> None:
    """Reading goes on with what is left, and fields keep their types."""
    one = BY_NAME[name]
    for attributes in variants(one):
        one.made.attributes, whole = attributes, one.made.attributes
        try:
            found = seen(one.made)
        finally:
            one.made.attributes = whole
        if found is not None:
            msgspec.convert(msgspec.structs.asdict(found) | {"arguments": 0, "result": 0}, Observation)
