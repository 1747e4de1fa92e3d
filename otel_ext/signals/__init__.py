"""Detectors: what an agent's steps show that no single span does.

Pure folds over `Step`s: `Signals` takes steps in and gives `Finding`s out.

* `calls`: what a call and an answer say of themselves, digested; asked by whoever makes a `Step`.
* `lane`: what is kept of one agent's steps and of their trace, and how it is dumped.
* `findings`: how a rule speaks: the life of a finding, its words, its span.
* `rules`: one file a signal. A new rule is one class in a file of its own and one entry in `rules.RULES`.
* Here: `settings`; `rule` and `hears` (what a rule is and listens to); `installed`, `chosen`, `watch` (which
  of them run); `cycling` (what two rules share); `fold`, `engine`, `detectors` (who calls them).
"""

from otel_ext.signals.calls.classify import effect_of, is_waiting
from otel_ext.signals.calls.failing import absent_path, is_invalid, is_transient, is_vague
from otel_ext.signals.calls.said import own_words, said_of
from otel_ext.signals.calls.subject import subject_of
from otel_ext.signals.chosen import mistakes
from otel_ext.signals.detectors import Detectors
from otel_ext.signals.engine import Signals
from otel_ext.signals.findings.derived import SCOPE_NAME, derived_id, derived_span, scope_bytes
from otel_ext.signals.findings.finding import Finding, Status, Waste
from otel_ext.signals.findings.readback import finding_of
from otel_ext.signals.findings.terminal import ENDS, termination
from otel_ext.signals.installed import every_rule
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.rules import RULES
from otel_ext.signals.settings import Levels, Mute, RuleSettings, Settings

__all__ = [
    "ENDS",
    "RULES",
    "SCOPE_NAME",
    "Call",
    "Context",
    "Detectors",
    "Finding",
    "Levels",
    "Limits",
    "Mute",
    "Rule",
    "RuleSettings",
    "Settings",
    "Signals",
    "Status",
    "Waste",
    "absent_path",
    "derived_id",
    "derived_span",
    "effect_of",
    "every_rule",
    "finding_of",
    "is_invalid",
    "is_transient",
    "is_vague",
    "is_waiting",
    "mistakes",
    "own_words",
    "said_of",
    "scope_bytes",
    "subject_of",
    "termination",
]
