"""What had begun is dumped so that a load gives the same again, and nothing is dumped for nothing."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from otel_ext import otlp
from otel_ext.pipeline.unfinished import Begun, Unfinished

KEYS = st.integers(0, 5)
STEPS = st.sampled_from(["begin", "grow", "end", "dump", "wrote", "clear", "reload"])


def begun(key: int, raw: bytes) -> Begun:
    """A span that began."""
    return Begun(bytes(15) + bytes((key,)), bytes(8), raw, "")


@given(
    st.lists(st.tuples(st.sampled_from(["begin", "grow", "end", "dump", "wrote", "clear", "reload"]), KEYS))
)
def test_what_is_stored_is_what_had_begun(steps: list[tuple[str, int]]) -> None:
    """After each dump the store holds the open spans as they are; none is removed that it never held."""
    one, stored = Unfinished(100, 1 << 20), dict[str, bytes]()
    for number, (what, key) in enumerate([*steps, ("dump", 0)]):
        now = {each.trace_id: each for each in one.unwritten()}
        match what:
            case "begin" | "grow":
                one.add(begun(key, b"%d" % number))
            case "end":
                one.ended(bytes(15) + bytes((key,)) + bytes(8))
            case "wrote" if (known := now.get(bytes(15) + bytes((key,)))) is not None:
                one.wrote(known)
            case "clear":
                one.clear()
            case "dump" | "reload":
                for name, data in one.dump().items():
                    if data:
                        stored[name] = data
                    else:
                        assert stored.pop(name)
                assert len(stored) == len(one)
                again = Unfinished(100, 1 << 20)
                again.load(stored)
                assert list(again._begun.items()) == list(one._begun.items())
                if what == "reload":
                    one = again


def test_what_an_earlier_version_dumped_is_read() -> None:
    """Its resource, scope and span come back as one request, with what was known of it."""
    old = [1, [bytes(16), bytes(8), b"", "", b"", "", b"\x12\x08" + bytes(8), "session", False, 7]]
    one = Unfinished(100, 1 << 20)
    one.load({"begun/a": msgspec.msgpack.encode(old)})
    assert one.session_of(bytes(16)) == "session"
    (begun,) = one.unwritten()
    assert (begun.span_id, begun.order) == (bytes(8), 7)
    assert [list(group.items) for group in otlp.split(begun.payload)] == [[b"\x12\x08" + bytes(8)]]
