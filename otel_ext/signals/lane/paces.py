"""What was measured of a trace's model calls.

Law of this file: a call is measured once, however often its lane is folded anew; calls of one model at the
same time are told from single ones. Other traces do not matter here: a service has many.
"""

from typing import Final

import msgspec

MOST: Final = 128
"""Calls remembered of one trace; more than lanes keep for folding."""

MODELS: Final = 8
"""Models of one trace that are told apart."""


class Paces(msgspec.Struct):
    """The newest calls of a trace.

    Attributes:
        until: model -> the latest end of its calls so far, ns.
        judged: span id -> (ns that the call took longer than usual, what is usual); -1 for not judged.
    """

    until: dict[str, int] = {}
    judged: dict[bytes, tuple[int, int]] = {}

    def alone(self, model: str, start: int, end: int) -> bool:
        """Whether no call of a model that began before is still at work; it is until `end` then."""
        before = self.until.pop(model, 0)
        self.until[model] = max(before, min(end, 1 << 62))
        if len(self.until) > MODELS:
            del self.until[next(iter(self.until))]
        return start >= before

    def judge(self, span_id: bytes, late: int, usual: int) -> None:
        """Remember a judgement."""
        self.judged[span_id] = late, usual
        if len(self.judged) > MOST:
            del self.judged[next(iter(self.judged))]
