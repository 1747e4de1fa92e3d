"""Whose an exception is that passes through our code: ours to swallow, or the program's.

Law of this file: a signal handler of the program may raise anywhere, also inside us (that is how a tool is
timed out), and what it raises is never swallowed. What a span's attribute or another object of the program
raises when we look at it is a failure of ours.
"""

from types import FrameType


def is_hosts(error: BaseException) -> bool:
    """Whether the program interrupted us: it is no `Exception`, or a signal handler raised it.

    A signal handler is known by what it alone is called with: `(number, the frame that it interrupted)`.
    """
    if not isinstance(error, Exception):
        return True
    trace = error.__traceback__
    while trace is not None:
        code, given = trace.tb_frame.f_code, trace.tb_frame.f_locals
        count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x04)  # 0x04: has *args
        for name in code.co_varnames[:count]:
            value = given.get(name)
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, FrameType):
                    return True
        trace = trace.tb_next
    return False
