"""Rules that break or are slow: counted by rule, and switched off before they harm the others.

Law of this file: what a rule does wrong costs its own findings only. Switching off is the one thing here that
depends on the machine and not on the spans: it lasts until the process ends, it is told, and a rule that
neither raises nor burns a thousand times its budget never meets it.
"""

from collections.abc import Callable, Iterable, Sequence
from time import thread_time_ns  # a measure of work, never an instant
from typing import Any, Final

ERRORS: Final = "otel_ext.detector.errors"
"""Counter of hooks of rules that raised."""

EVERY: Final = 31
"""One row of hooks in so many is measured; odd, since rows for models and for tools often take turns."""

OVER: Final = 1000
"""A rule is off once it has used so many budgets more than it has, in the rows that were measured singly."""


class Watch:
    """Keeps count of every rule of one process.

    Args:
        counters: where all errors are counted together.
        most_errors: a rule is off after so many; 0 for never.
        budget: ns of CPU that a hook may use on average; 0 for no limit.
    """

    def __init__(self, counters: dict[str, int], most_errors: int, budget: int) -> None:
        self._counters, self._most, self._budget = counters, most_errors, budget
        self.errors: dict[str, int] = {}
        """Raised hooks by signal."""
        self.off: dict[str, str] = {}
        """Why a rule is off, by signal, in words."""
        self.news: list[str] = []
        """Signals switched off that nobody has heard of yet."""
        self.spent: dict[str, int] = {}
        """CPU over budget by signal, ns, of the rows that were measured."""
        self._until = 0
        self._slow = False

    def each(self, hooks: Iterable[Callable[..., None]], context: object, about: object) -> None:
        """Call bound methods of rules, one after the other, whatever they raise."""
        if self._budget:
            self._until -= 1
            if self._until < 0:
                self._until = EVERY - 1
                (self._singly if self._slow else self._together)(hooks, (context, about))
                return
        for hook in hooks:
            try:
                hook(context, about)
            except Exception as error:  # noqa: BLE001 - a detector never raises into the pipeline
                self.failed(hook.__self__, error)  # type: ignore[attr-defined]

    def one(self, rule: Any, hook: Callable[..., None], *about: object) -> None:
        """Call anything on behalf of a rule."""
        try:
            hook(*about)
        except Exception as error:  # noqa: BLE001 - as above
            self.failed(rule, error)

    def failed(self, rule: Any, error: Exception) -> None:
        """Count what a rule raised."""
        self._counters[ERRORS] = self._counters.get(ERRORS, 0) + 1
        count = self.errors[rule.signal] = self.errors.get(rule.signal, 0) + 1
        if count == self._most:
            # The kind of error alone: its text may hold payload (law L12).
            self._switch_off(rule.signal, f"it raised {count} times, the last time {type(error).__name__}")

    def take_news(self) -> Sequence[str]:
        """What was switched off since the last call, in words."""
        told = [f"rule {signal} is off until this process ends: {self.off[signal]}" for signal in self.news]
        self.news.clear()
        return told

    # Reading the thread's clock costs more than most rules do, so it is read around the whole row; only after
    # a row that was slow it is asked whose fault that is, the next time that one is measured.

    def _together(self, hooks: Iterable[Callable[..., None]], about: tuple[object, ...]) -> None:
        began = thread_time_ns()
        for hook in hooks:
            self.one(hook.__self__, hook, *about)  # type: ignore[attr-defined]
        self._slow = thread_time_ns() - began > self._budget
        for hook in hooks if self.spent and not self._slow else ():
            rule: Any = hook.__self__  # type: ignore[attr-defined]
            if rule.signal in self.spent:
                self.spent[rule.signal] = max(0, self.spent[rule.signal] - self._budget)

    def _singly(self, hooks: Iterable[Callable[..., None]], about: tuple[object, ...]) -> None:
        spent, budget, first = self.spent, self._budget, thread_time_ns()
        began = first
        for hook in hooks:
            rule: Any = hook.__self__  # type: ignore[attr-defined]
            self.one(rule, hook, *about)
            ended = thread_time_ns()
            over = spent.get(rule.signal, 0) + ended - began - budget
            began = ended
            spent[rule.signal] = max(0, over)
            if over > OVER * budget:
                self._switch_off(rule.signal, f"it used over {budget / 1e6:g} ms of CPU a step")
        self._slow = began - first > budget

    def _switch_off(self, signal: str, why: str) -> None:
        if signal not in self.off:
            self.off[signal] = why
            self.news.append(signal)
