"""Turns: places are handed round, nobody waits for more than one request of each other sender."""

import random
import threading
from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.errors import Busy, Throttled
from otel_ext.testing import ManualClock
from otel_ext.turns import Ticket, Turns
from tests.support import PATIENCE

LARGE = 1 << 20


def placed(tickets: list[Ticket]) -> list[Ticket]:
    """Those that have a place."""
    return [ticket for ticket in tickets if ticket.called and ticket.error is None]


@given(seed=st.integers(0, 10**6), places=st.integers(1, 5))
def test_nobody_waits_for_more_than_one_request_of_each_other_sender(seed: int, places: int) -> None:
    """Whatever comes and goes: while one waits that has no place, each other one is let in once."""
    rng = random.Random(seed)
    turns = Turns(places, waiting=1000, clock=ManualClock())
    inside: list[Ticket] = []
    queues: dict[str, deque[Ticket]] = {name: deque() for name in "abcd"}
    overtaken: dict[str, Counter[str]] = {name: Counter() for name in queues}  # since each one's head waits

    def look() -> None:
        for name, queue in queues.items():
            while queue and queue[0].called:
                inside.append(queue.popleft())
                overtaken[name].clear()
                for other, waiting in queues.items():
                    if other != name and waiting and not waiting[0].called:
                        overtaken[other][name] += 1
                        assert overtaken[other][name] <= 1 or held[other]

    held: Counter[str] = Counter()
    for _ in range(120):
        held = Counter(ticket.sender for ticket in inside)
        if inside and rng.random() < 0.5:
            turns.leave(inside.pop(rng.randrange(len(inside))))
        else:
            name = rng.choices("abcd", (8, 2, 1, 1))[0]
            queues[name].append(turns.ask(name, rng.choice((10, LARGE))))
        look()
        assert turns.state.inside == len(inside) <= places
        assert turns.state.waiting == sum(map(len, queues.values()))
        # No place is free for somebody who has none and waits.
        if len(inside) < places:
            has = {ticket.sender for ticket in inside}
            assert all(name in has for name, queue in queues.items() if queue)
    while inside:
        held = Counter(ticket.sender for ticket in inside)
        turns.leave(inside.pop())
        look()
    assert (turns.state.inside, turns.state.waiting) == (0, 0)


def test_a_sender_alone_has_all_places_and_one_among_others_leaves_them_free() -> None:
    """While another was here in the last ten seconds, large ones go one by one, small ones by four."""
    clock = ManualClock()
    turns = Turns(8, clock=clock)
    alone = [turns.ask("greedy", LARGE) for _ in range(10)]
    assert placed(alone) == alone[:8]
    for ticket in alone[:8]:
        turns.leave(ticket)
    for ticket in alone[8:]:
        turns.leave(ticket)
    assert turns.ask("quiet", LARGE).called
    assert [turns.ask("greedy", LARGE).called for _ in range(3)] == [True, False, False]
    assert [turns.ask("small", 10).called for _ in range(5)] == [True, True, True, True, False]
    assert turns.ask("late", LARGE).called
    clock.advance(11 * 10**9)
    assert turns.ask("late", LARGE).called


def test_a_full_queue_turns_away_whoever_has_most_in_it() -> None:
    """The latest of the greedy one's, not the one that comes; it is told to come again."""
    turns = Turns(1, 3, clock=ManualClock())
    first = turns.ask("greedy", LARGE)
    waiting = [turns.ask("greedy", LARGE) for _ in range(3)]
    quiet = turns.ask("quiet", LARGE)
    assert [type(ticket.error) for ticket in waiting] == [type(None), type(None), Throttled]
    assert placed([quiet]) == []
    turns.leave(first)
    assert [ticket.called for ticket in (*waiting[:2], quiet)] == [True, False, False]
    turns.leave(waiting[0])
    assert placed([quiet]) == [quiet]
    assert turns.state.refused == {"queue": 1}


def test_who_waits_too_long_is_told_to_come_again() -> None:
    """Busy after the patience, and nothing of it is left: the next one gets the place."""
    turns = Turns(1, patience=0.01)
    with turns.of("a", 1):
        with pytest.raises(Busy):
            turns.of("b", 1).__enter__()
        assert turns.state.waiting == 0
    with turns.of("b", 1):
        assert turns.state.refused == {"wait": 1}


def test_an_error_inside_gives_the_place_back() -> None:
    """Whatever the block raises."""
    turns = Turns(1)

    def fail() -> None:
        with turns.of("a", 1):
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert turns.state.inside == 0


def test_more_senders_than_are_remembered() -> None:
    """The silent ones are forgotten, the ones inside are not."""
    turns = Turns(4, clock=ManualClock())
    kept = turns.ask("kept", 1)
    for number in range(3000):
        turns.leave(turns.ask(str(number), 1))
    turns.leave(kept)
    assert turns.state.inside == 0


def test_threads_take_turns() -> None:
    """Many threads of three senders: never more than the places, each request done once."""
    turns = Turns(2, waiting=100, patience=PATIENCE)
    inside, most, done = [0], [0], Counter[str]()
    lock = threading.Lock()

    def client(name: str) -> None:
        for _ in range(50):
            with turns.of(name, LARGE):
                with lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                with lock:
                    inside[0] -= 1
                    done[name] += 1

    threads = [threading.Thread(target=client, args=(name,)) for name in "aaaaaabbc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert done == {"a": 300, "b": 100, "c": 50}
    assert most[0] <= 2
    assert turns.state == (0, 0, {})


def test_a_large_request_rests_while_others_are_there() -> None:
    """Its place stays taken for as long as it took, at most 0.1 s; alone, or small, it is free at once."""
    clock, pauses = ManualClock(), list[float]()
    turns = Turns(2, clock=clock, pause=pauses.append)

    def work(name: str, size: int, took: int) -> None:
        with turns.of(name, size):
            clock.advance(took)

    work("a", LARGE, 10**7)
    work("b", 10, 10**7)
    assert pauses == []
    work("a", LARGE, 10**7)
    work("a", LARGE, 10**10 - 10**8)
    assert pauses == [0.01, 0.1]
    clock.advance(11 * 10**9)
    work("a", LARGE, 10**7)
    assert pauses == [0.01, 0.1]
