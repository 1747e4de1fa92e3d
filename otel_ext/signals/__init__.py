"""Detectors: what an agent's steps show that no single span does.

Pure folds over `Step`s: `Signals` takes steps in and gives `Finding`s out, `derived_span` makes a finding a
span, `classify` says what a call does, `failing` what kind of failure it met. Reading order: `settings`,
`finding`, `lanes`, `rounds`, `waste` (what is kept), `rule`, `episodes` (how a rule speaks), `rules` (one
file a signal), `installed`, `chosen` (which of them run), `watch`, `fold`, `engine` (who calls them),
`detectors` (those on trial beside them, and who is muted), `terminal` (how a session's end is told),
`readback` (a span read back as a finding). A new rule is one class in a file of its own and one entry in
`rules.RULES`.
"""

from otel_ext.signals.chosen import mistakes
from otel_ext.signals.classify import effect_of, is_waiting
from otel_ext.signals.derived import SCOPE_NAME, derived_id, derived_span, scope_bytes
from otel_ext.signals.detectors import Detectors
from otel_ext.signals.engine import Signals
from otel_ext.signals.failing import absent_path, is_invalid, is_transient, is_vague
from otel_ext.signals.finding import Finding, Status, Waste
from otel_ext.signals.installed import every_rule
from otel_ext.signals.readback import finding_of
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.rules import RULES
from otel_ext.signals.said import own_words, said_of
from otel_ext.signals.settings import Levels, Mute, RuleSettings, Settings
from otel_ext.signals.subject import subject_of
from otel_ext.signals.terminal import ENDS, termination

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
