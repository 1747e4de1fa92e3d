"""What reading one request's spans comes to.

Law of this file: plain data, in the order of the request.
"""

import msgspec

from otel_ext.pipeline.hold import Item
from otel_ext.pipeline.reorder import Outline
from otel_ext.step import Step


class Batch(msgspec.Struct):
    """What a request brought.

    Attributes:
        runs: spans to store, in order; those that follow one another in one trace, of one session, together.
        steps: `(step, whether its end bounds a lane)` for the detectors, in order.
        outlines: of the spans that no convention understands.
        named: session ids that spans of a trace carry, the first of each.
        duplicates: the trace id of each re-delivery.
    """

    runs: list[list[Item]]
    steps: list[tuple[Step, bool]]
    outlines: list[Outline]
    named: dict[bytes, str]
    duplicates: list[bytes]

    def forget_step(self, span_id: bytes) -> Step | None:
        """The last span is no telling of a step; what it would have told."""
        step = self.steps.pop()[0] if self.steps and self.steps[-1][0].span_id == span_id else None
        if self.outlines and self.outlines[-1].span_id == span_id:
            self.outlines.pop()
        return step
