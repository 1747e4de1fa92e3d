"""Which steps a rule listens to: a word of bits a step, two masks a rule.

    class Swallowed(Rule[Limits]):
        hears = Hears(ERROR | KEYED, skips=POLLS)

Law of this file: a mask spares calls that would do nothing, and changes no finding: a test runs every rule
with and without. It names what a rule asks of *every* step; what one of its branches asks stays in the rule.
"""

from typing import Final, NamedTuple

from otel_ext.signals.lane.usage import reported
from otel_ext.step import Effect, Step

ERROR: Final = 1 << 0
DONE: Final = 1 << 1
"""It did not fail."""
TRANSIENT: Final = 1 << 2
KEYED: Final = 1 << 3
"""A call's arguments were captured."""
TOLD: Final = 1 << 4
"""A call's result was."""
READ: Final = 1 << 5
WRITE: Final = 1 << 6
POLLS: Final = 1 << 7
"""Repeating the call is its purpose, by its class or by what it returned."""
EXEMPT: Final = 1 << 8
"""Repeating it says nothing."""
ABOUT: Final = 1 << 9
"""Something is known of what the call is about (`Step.subject`)."""
CHECKS: Final = 1 << 10
"""It runs tests or the like."""
UNMARKED: Final = 1 << 11
HANDOFF: Final = 1 << 12
STATED: Final = 1 << 13
"""The app told its state."""
ANSWERED: Final = 1 << 14
"""A model's answer was captured."""
USED: Final = 1 << 15
"""A model's input is known, in tokens, and is not 0."""
MADE: Final = 1 << 16
"""The same of its output."""
CACHED: Final = 1 << 17
"""A model's use of a prompt cache is known, be it 0."""
UNTOLD: Final = 1 << 18
"""A call that did not fail, its result not captured."""
SPOKE: Final = 1 << 19
"""How much of a call's result is not of the call itself is known (`Step.own_words`)."""

BITS: Final = 20
"""Of them all."""

_EFFECTS: Final = {
    Effect.READ: READ, Effect.WRITE: WRITE, Effect.POLL: POLLS, Effect.EXEMPT: EXEMPT, Effect.UNKNOWN: 0
}  # fmt: skip


class Hears(NamedTuple):
    """The steps that a hook is called for.

    Attributes:
        needs: all of these it must be.
        skips: none of these it may be.
        after: from the first step of the lane on that was any of these, that one included; 0 for at once.
    """

    needs: int = 0
    skips: int = 0
    after: int = 0

    def takes(self, traits: int, seen: int) -> bool:
        """Whether a step of these traits is one of them, in a lane that has seen those, too."""
        if self.after and not seen & self.after:
            return False
        return traits & self.needs == self.needs and not traits & self.skips


def of_call(step: Step) -> int:
    """What a tool call is."""
    traits = _EFFECTS[step.effect] | (ERROR if step.error else DONE)
    if step.arguments_hash is not None:
        traits |= KEYED
    if step.result_hash is not None:
        traits |= TOLD
    elif not step.error:
        traits |= UNTOLD
    if step.own_words >= 0:
        traits |= SPOKE
    if step.waiting:
        traits |= POLLS
    if step.transient:
        traits |= TRANSIENT
    if (subject := step.subject) is not None:
        traits |= ABOUT | CHECKS if subject.verifies else ABOUT
    if step.unmarked:
        traits |= UNMARKED
    if step.handoff:
        traits |= HANDOFF
    if step.state is not None:
        traits |= STATED
    return traits


def of_model(step: Step) -> int:
    """What a call of a model is."""
    traits = ERROR if step.error else DONE
    if step.transient:
        traits |= TRANSIENT
    if step.said is not None and step.said.captured:
        traits |= ANSWERED
    if reported(step.input_tokens) > 0:
        traits |= USED
    if reported(step.output_tokens) > 0:
        traits |= MADE
    if reported(step.cached_tokens) >= 0 or reported(step.created_tokens) >= 0:
        traits |= CACHED
    return traits
