"""Waiting calls by the names that producers give them, so that another telling of one is found.

Law of this file: a name finds a few calls at most (law L9). Of very many with one name it is no name.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

from otel_ext.step import Kind, Step

_TOOL, _LLM = Kind.TOOL, Kind.LLM  # looked up once: a member of an enum costs more than a branch

MOST: Final = 32
"""Calls found by one name."""


def names(step: Step) -> tuple[tuple[str, str], ...]:
    """What a call may be recognised by: the ids that producers give it, of a model call also its usage."""
    if step.kind is _TOOL:
        return (("tool", step.call_id),) if step.call_id else ()
    if step.kind is not _LLM:
        return ()
    found: tuple[tuple[str, str], ...] = (("model", step.response_id),) if step.response_id else ()
    if step.input_tokens and step.output_tokens:
        found += (("usage", f"{step.input_tokens} {step.output_tokens} {step.error}"),)
    return found


class Named:
    """Steps by their names and by whether a log record told them."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, bool], list[Step]] = {}

    def add(self, step: Step) -> None:
        """Let a step be found."""
        for kind, name in names(step):
            found = self._found.setdefault((kind, name, step.record), [])
            if len(found) < MOST:
                found.append(step)

    def remove(self, step: Step) -> None:
        """Let a step be found no more."""
        for kind, name in names(step):
            key = kind, name, step.record
            kept = [other for other in self._found.get(key, ()) if other is not step]
            if kept:
                self._found[key] = kept
            else:
                self._found.pop(key, None)

    def alike(self, step: Step) -> list[Step]:
        """Steps that may be of the same call, in no order; usage alone tells no two spans for one."""
        alike: list[Step] = []
        if self._found:
            for kind, name in names(step):
                for record in (not step.record,) if kind == "usage" else (False, True):
                    alike += self._found.get((kind, name, record), ())
        return [other for other in alike if other is not step] if alike else alike

    @contextlib.contextmanager
    def renamed(self, step: Step) -> Iterator[None]:
        """While a step learns more, so that it is found by that, too."""
        self.remove(step)
        yield
        self.add(step)

    def clear(self) -> None:
        """Forget all."""
        self._found.clear()
