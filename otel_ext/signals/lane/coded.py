"""Agents that act by code and have no spans of calls: their calls, read from what the model is told.

Law of this file: a call is taken from a model step only when the code that it tells the outcome of is, digest
by digest, the code that an earlier answer of the lane asked to run, and when no span of a call came between
(then the calls are told already). The call's evidence is the span of the answer that asked for it.
"""

import msgspec

from otel_ext.step import Step


class Asked(msgspec.Struct, gc=False):
    """The newest answer of a lane that asked to run code, still without an outcome.

    Attributes:
        code: digest of the code.
        calls: tool calls of the lane until then.
    """

    code: bytes
    calls: int
    span_id: bytes
    parent_id: bytes
    start: int
    end: int


def asked(step: Step, calls: int) -> Asked | None:
    """What a model's answer asks to run, if it does so by code alone."""
    if step.said is None or step.said.code is None or step.issued:
        return None
    return Asked(step.said.code, calls, step.span_id, step.parent_id, step.start, step.end)


def happened(before: Asked | None, step: Step, calls: int) -> Step | None:
    """The call that a model step tells the outcome of, with the span and the times of its asking."""
    ran = step.ran
    if before is None or ran is None or before.calls != calls or ran.arguments_hash != before.code:
        return None
    return msgspec.structs.replace(
        ran,
        span_id=before.span_id,
        parent_id=before.parent_id,
        start=before.start,
        end=before.end,
        session_id=step.session_id,
        service=step.service,
    )
