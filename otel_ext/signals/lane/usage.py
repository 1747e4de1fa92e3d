"""What the model steps of a lane used, and what that cost.

Law of this file: money is counted in whole millionths of a millionth of the currency (a price per million
tokens is then a whole number a token), so that a replay agrees; and only where a price was observed or
configured. No price is shipped: they change, and a wrong one is worse than none.
"""

from fnmatch import fnmatchcase
from typing import Final

import msgspec

from otel_ext.signals.settings import Price, Settings
from otel_ext.step import Step

PICO: Final = 10**12
"""Units of account in one unit of the currency."""

MOST: Final = 1 << 40
"""A larger token count is nobody's usage; it is taken as not reported."""

_PER_TOKEN: Final = 10**6  # PICO / a million tokens

_DEAREST: Final = 10**6
"""A single cost above this (units of the currency) is a mistake and taken as not reported."""


class Usage(msgspec.Struct, array_like=True, gc=False):
    """The sum over the model steps of a lane; what was not reported adds nothing.

    Attributes:
        steps: model steps; `silent` those that reported no tokens.
        cost: in millionths of a millionth, of the steps with a known cost; `priced` how many those are.
    """

    steps: int = 0
    silent: int = 0
    input: int = 0
    output: int = 0
    cost: int = 0
    priced: int = 0

    def add(self, step: Step, cost: int) -> None:
        """Add a model step and its cost, -1 when that is unknown."""
        self.steps += 1
        given, made = reported(step.input_tokens), reported(step.output_tokens)
        self.silent += given <= 0 and made <= 0
        self.input += max(0, given)
        self.output += max(0, made)
        if cost >= 0:
            self.cost += cost
            self.priced += 1


def reported(tokens: int | None) -> int:
    """A token count, -1 when it was not reported or cannot be one."""
    return tokens if tokens is not None and 0 <= tokens <= MOST else -1


def price_of(settings: Settings, model: str) -> Price | None:
    """The first configured price whose pattern matches a model's name; None when none does."""
    for pattern, price in settings.prices.items():
        if fnmatchcase(model, pattern):
            return price
    return None


def cost_of(settings: Settings, step: Step) -> int:
    """What a model step cost: as its producer says, else by the configured price; -1 when unknown."""
    if step.cost is not None and settings.currency == "USD" and 0 <= step.cost <= _DEAREST:
        return round(step.cost * PICO)
    if not settings.prices or (price := price_of(settings, step.name)) is None:
        return -1
    given, made = reported(step.input_tokens), reported(step.output_tokens)
    if given < 0 or made < 0:
        return -1
    cached = min(given, max(0, reported(step.cached_tokens)))
    created = min(given - cached, max(0, reported(step.created_tokens)))
    return (
        (given - cached - created) * per_token(price.input)
        + cached * per_token(price.input if price.cached is None else price.cached)
        + created * per_token(price.input if price.created is None else price.created)
        + made * per_token(price.output)
    )


def carry_rate(settings: Settings, step: Step) -> int:
    """What one token of a result costs in each later input: read from the cache where one is in use."""
    if not settings.prices or (price := price_of(settings, step.name)) is None:
        return -1
    if price.cached is not None and reported(step.cached_tokens) > 0:
        return per_token(price.cached)
    return per_token(price.input)


def per_call(settings: Settings, tool: str) -> int:
    """A tool's configured price; -1 without one."""
    price = settings.tool_prices.get(tool)
    return -1 if price is None else round(price * PICO)


def per_token(price: float) -> int:
    """A price per million tokens as whole units of account a token."""
    return round(price * _PER_TOKEN)
