"""The rules: one signal, one file, named like the signal.

`loop.exact_repeat` is in `loop/exact_repeat.py`.

Law of this room: a rule is a class with its own `Limits`, knows nothing of other rules' tables except by
import, and stands in `RULES` at the place of its precedence (precision rule 14: who comes first owns the
span): risk, then loops over failures, then loops, then waste, then the rest.
"""

from typing import Any, Final

from otel_ext.signals.rule import Rule
from otel_ext.signals.rules.loop.error_repeat import ErrorRepeat
from otel_ext.signals.rules.loop.error_streak import ErrorStreak
from otel_ext.signals.rules.loop.error_variants import ErrorVariants
from otel_ext.signals.rules.loop.exact_repeat import ExactRepeat
from otel_ext.signals.rules.loop.nothing_new import NothingNew
from otel_ext.signals.rules.loop.poll_stalled import PollStalled
from otel_ext.signals.rules.waste.failed_call import FailedCall

RULES: Final[tuple[type[Rule[Any]], ...]] = (
    ErrorRepeat,
    ErrorVariants,
    ErrorStreak,
    ExactRepeat,
    PollStalled,
    NothingNew,
    FailedCall,
)
"""The built-in rules by precedence."""
