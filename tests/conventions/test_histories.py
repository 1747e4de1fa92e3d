"""What is remembered of a growing history changes nothing that is read of it."""

import json
import random
from typing import Any

import pytest

from otel_ext.conventions import histories
from otel_ext.conventions.messages import newest_first, turns

ROLES = ("system", "user", "assistant", "tool", "human", 7, None)
BODIES: tuple[Any, ...] = (
    [{"type": "text", "content": "go on"}],
    [{"type": "tool_call_response", "response": "r" * 300}],
    "plain",
    "Observation: 7",
    [],
    "é漢",
)
ENDINGS = ("]", " ]", "]\n", " \n] ", ",]", "", "]]", "}", ", 7]", "\x0b]", '{"role": "user"}]', ',{"role"')


def message(chance: random.Random) -> dict[str, Any]:
    """Any message."""
    body = chance.choice(BODIES)
    return {"role": chance.choice(ROLES), chance.choice(("parts", "content")): body}


def told(text: str) -> tuple[Any, Any]:
    """What a history says by the definition: all of it is decoded, and nothing known before."""
    try:
        decoded = json.loads(text)
    except ValueError:
        return (None, ""), []
    if not all(isinstance(one, dict) for one in decoded):
        return (None, ""), []
    return turns(decoded), [one["role"] for one in reversed(decoded)]


@pytest.mark.parametrize("seed", range(40))
def test_a_history_is_read_alike_whatever_was_read_before(seed: int) -> None:
    """It grows, ends in any way, is changed in the middle or begun anew; two agents share its trace."""
    chance = random.Random(seed)
    heads = [{"role": "system", "content": f"{agent}" + "x" * 3000} for agent in range(2)]
    said = [[head] for head in heads]
    for _ in range(60):
        agent = chance.randrange(2)
        if chance.random() < 0.05:
            said[agent] = [heads[agent]]
        if chance.random() < 0.05:
            said[agent][chance.randrange(len(said[agent]))] = {**heads[agent], "role": "user"}
        said[agent] += [message(chance) for _ in range(chance.randrange(3))]
        text = json.dumps(said[agent], ensure_ascii=chance.random() < 0.5)
        if chance.random() < 0.3:
            text = text[:-1] + chance.choice(ENDINGS)
        trace_id = bytes([chance.randrange(3)])
        if chance.random() < 0.3:  # asked for before it is counted
            assert [role for role, _ in newest_first(text, trace_id)] == told(text)[1]
        assert (turns(text, trace_id), [role for role, _ in newest_first(text, trace_id)]) == told(text)


def test_only_what_was_added_is_decoded() -> None:
    """Of a history that begins with the one before; the first of a trace is decoded whole."""
    said = [{"role": "user", "content": "x" * 3000}]
    turns(json.dumps(said), b"grows")
    said += [{"role": "tool", "content": "y"}]
    grown = histories.history_of(json.dumps(said), b"grows")
    other = histories.history_of(json.dumps(said) + " ", b"other")
    assert [one and len(one.added) for one in (grown, other)] == [1, 2]


def test_what_is_remembered_is_bounded() -> None:
    """By its size; a history that was forgotten is read all the same."""
    for number in range(64):
        text = json.dumps([{"role": "user", "content": f"{number}" * 100_000}])
        assert turns(text, bytes([number]))[0] == 1
        kept = sum(len(history.text) for history in histories._MEMO.values())
        assert 0 < kept == histories._MOST - histories._MEMO.room <= histories._MOST
