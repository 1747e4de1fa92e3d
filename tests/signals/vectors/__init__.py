"""Acceptance vectors: agent runs that a rule must speak about, and runs about which it must not.

One file a family (`loop.py`, `waste.py`, ...), each with the lists `MUST` and `MUST_NOT`; every module of
this folder is found by itself. A story is a function that writes an `AgentRun`; its docstring says what
happens. `test_vectors.py` takes all of them through everything that an agent's spans may go through.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from otel_ext.signals.settings import RuleSettings, Severity
from otel_ext.testing import AgentRun

CONFIGURED: Final = {"waste.cost_velocity": RuleSettings(limits={"tokens": 5_000_000})}
"""What the stories are told with: limits that a rule does not have of its own."""


class Vector(NamedTuple):
    """A story and the signal that must, or must not, be found in it.

    Attributes:
        story: writes the run.
        signal: the signal. In `MUST_NOT` also a family ("loop.") or "" for any at all.
        least: in `MUST`, the finding has this severity at least and is no mere candidate: an alarm.
    """

    story: Callable[[AgentRun], None]
    signal: str
    least: Severity | Literal[""] = ""

    @property
    def name(self) -> str:
        """What tests call it."""
        return f"{self.signal.rstrip('.') or 'any'}-{self.story.__name__}"


def _all(which: str) -> list[Vector]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = [
        vector for name in names for vector in getattr(importlib.import_module(f"{__name__}.{name}"), which)
    ]
    return [Vector(*vector) for vector in found]


def must() -> list[Vector]:
    """Every vector that must fire, by file."""
    return _all("MUST")


def must_not() -> list[Vector]:
    """Every vector that must not."""
    return _all("MUST_NOT")
