"""When a lane's history was made smaller: what its model is given shrinks, and stays small.

Law of this file: told by usage alone, so a lane without usage has no compaction (L10). One small input
between two large ones is a question asked aside, no compaction, so a fall is believed at the step after it.
"""

from typing import Final

import msgspec

from otel_ext.signals.lane.usage import reported
from otel_ext.step import Step

LEAST: Final = 8_000
"""Tokens of input below which nobody compacts."""

MODELS: Final = 4
"""Models of a lane that are told apart: programs ask a small one in between."""


class Contexts(msgspec.Struct):
    """The newest input of each model of a lane.

    Attributes:
        inputs: model -> tokens of its newest input; `fell` model -> the round in which that had halved.
        compacted: the first round after the newest compaction, 0 while there was none.
        before: tokens of the input before it.
    """

    inputs: dict[str, int] = {}
    fell: dict[str, int] = {}
    compacted: int = 0
    before: int = 0

    @property
    def dropped(self) -> int:
        """The round since which earlier results may be gone: of a compaction, or of what may be one."""
        return max(self.compacted, *self.fell.values(), 0)

    def model(self, step: Step, number: int) -> None:
        """Take in a model step of a round."""
        given = reported(step.input_tokens)
        if given <= 0:
            return
        before = self.inputs.get(step.name, 0)
        since = self.fell.pop(step.name, 0)
        if since and given * 10 < before * 9:
            self.compacted, self.before = since, before
        elif not since and before >= LEAST and given * 2 <= before:
            self.fell[step.name] = number
            return
        self.inputs.pop(step.name, None)
        self.inputs[step.name] = given
        if len(self.inputs) > MODELS:
            oldest = next(iter(self.inputs))
            del self.inputs[oldest]
            self.fell.pop(oldest, None)
